/* SPDX-License-Identifier: Apache-2.0
 *
 * The log of a store: its events, for the log or the traces of the program. */
#ifndef LEASEHOLD_LOG_H
#define LEASEHOLD_LOG_H

#include <leasehold/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The level of an event. LH_LEVEL_ERROR: an operator has to act, because the server would refuse
 * again. LH_LEVEL_WARNING: a lease was lost, or the server did not respond. LH_LEVEL_INFO: the
 * beginnings and ends of leases and stores. LH_LEVEL_DEBUG: each command, each renewal, each place
 * in a queue. */
enum {
    LH_LEVEL_ERROR = 1,
    LH_LEVEL_WARNING = 2,
    LH_LEVEL_INFO = 3,
    LH_LEVEL_DEBUG = 4,
};

/* The events. An event that can fail has an `outcome`, which raises its level: LH_LEVEL_WARNING for
 * LH_LOST, LH_UNKNOWN and LH_UNREACHABLE, LH_LEVEL_ERROR for outcomes that need an operator. But a
 * command that the server refused stays LH_LEVEL_DEBUG: the call that sent it knows whether that is
 * a failure. A program can rely on the numbers and the words; a later version adds events. */
#define LH_LOG_EVENTS(X)                                                                           \
    X(LH_LOG_OPENED, 1, "opened", "the store was opened, or could not be")                         \
    X(LH_LOG_CLOSED, 2, "closed", "the store was closed")                                          \
    X(LH_LOG_COMMAND, 3, "command", "a command ended, after one or several attempts")              \
    X(LH_LOG_REPEAT, 4, "repeat", "an attempt of a command failed; the command is sent again")     \
    X(LH_LOG_ACQUIRE, 5, "acquire", "an acquire ended: granted, busy, or failed")                  \
    X(LH_LOG_QUEUED, 6, "queued", "a waiter entered the queue of its key")                         \
    X(LH_LOG_GRANTED, 7, "granted", "a command of another client granted the key to a waiter")     \
    X(LH_LOG_RENEW, 8, "renew", "leases were renewed, or could not be")                            \
    X(LH_LOG_LOST, 9, "lost", "a lease ended against its holder's will")                           \
    X(LH_LOG_RELEASE, 10, "release", "leases were released, or could not be")                      \
    X(LH_LOG_TRANSFER, 11, "transfer", "a lease was transferred, or could not be")                 \
    X(LH_LOG_STREAM_OPENED, 12, "stream_opened", "the change stream that wakes waiters is open")   \
    X(LH_LOG_STREAM_CLOSED, 13, "stream_closed", "the change stream ended; waiters poll")

enum {
#define X(name, number, word, sentence) name = number,
    LH_LOG_EVENTS(X)
#undef X
};

/* The word of an event, such as "acquire", and its general sentence; the word of a level, such as
 * "warning". "" for any other number. */
LH_API const char *lh_log_word(int event);
LH_API const char *lh_log_sentence(int event);
LH_API const char *lh_level_word(int level);

/* One event. It contains no secret: neither a connection string nor a password, no lease id in
 * full, no command and no document. Its strings are valid during the call. A field that does not
 * apply to an event is 0 or NULL. */
typedef struct lh_log_event {
    size_t size;         /* of the library's struct: a field beyond it is not there */
    int event;           /* LH_LOG_… */
    int level;           /* LH_LEVEL_… */
    int outcome;         /* an lh_outcome */
    int reason;          /* LH_REASON_…, if the outcome has one */
    int server_code;     /* MongoDB's error code */
    int attempt;         /* command, repeat: the attempts so far */
    int64_t duration_us; /* how long it took, in microseconds: of an acquire, with its wait */
    int64_t token;       /* the token of the lease */
    uint64_t count; /* renew, release: how many leases; `key` and `lease` are the first one's */
    const char *key;
    const char *lease;   /* the first eight characters of the lease id */
    const char *command; /* command, repeat: its purpose, such as "acquire the lease" */
    const char *message; /* the sentence of the failure; "" if it did not fail */
} lh_log_event;

/* To get the events, set `log` in the lh_store_options (store.h). The callback runs in the thread
 * in which the event happened: in any thread that is in a call on the store, and in the store's own
 * threads; in several at once. The library holds no lock meanwhile. But the next work of that
 * thread, such as the keeper's renewals, waits until the callback returns. So the callback must
 * return quickly. It is not called after lh_store_close() has returned.
 *
 * It may use the functions of a lease, a waiting or a record that send no command and return no
 * outcome, such as lh_lease_remaining_ms(), and the functions that return words. Calls on the store
 * or its leases that return an outcome are refused with LH_INVALID. It must not close the store.
 *
 * Commands that the guard and the fence (mongo.h) send over the caller's own client are not
 * logged. */

#ifdef __cplusplus
}
#endif

#endif

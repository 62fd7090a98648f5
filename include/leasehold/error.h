/* SPDX-License-Identifier: Apache-2.0
 *
 * Outcomes of calls, and the details of a failure. */
#ifndef LEASEHOLD_ERROR_H
#define LEASEHOLD_ERROR_H

#include <leasehold/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every function that can fail returns one of these, as int. LH_BUSY is an outcome, not an error:
 * another holder has the key. The word is what the command line prints as "code" in JSON. The
 * sentence is the general meaning; `lh_error.message` describes the case at hand. */
#define LH_OUTCOMES(X)                                                                             \
    X(LH_OK, 0, "ok", "done")                                                                      \
    X(LH_BUSY, 1, "busy", "somebody else holds the key")                                           \
    X(LH_LOST, 2, "lost", "the lease has ended, or was never this caller's")                       \
    X(LH_UNKNOWN, 3, "unknown", "the server may or may not have done it; nothing may be believed") \
    X(LH_INVALID, 4, "invalid", "an argument is outside its documented range")                     \
    X(LH_UNREACHABLE, 5, "unreachable", "the server is unreachable or too slow")                   \
    X(LH_DENIED, 6, "denied", "the credentials are wrong or lack a privilege")                     \
    X(LH_CONFIG, 7, "config", "the deployment or the collection is not fit for leases")            \
    X(LH_DATA, 8, "data", "stored data cannot be read; it counts as held")                         \
    X(LH_SERVER, 9, "server", "the server refused the command")                                    \
    X(LH_MEMORY, 10, "memory", "out of memory")                                                    \
    X(LH_FORKED, 11, "forked", "the store was opened by another process (fork)")                   \
    X(LH_STOPPED, 12, "stopped", "a callback asked to stop")                                       \
    X(LH_BUG, 13, "bug", "a bug in Leasehold; please report it")                                   \
    X(LH_CANCELLED, 14, "cancelled", "the wait was cancelled; nothing is held")                    \
    X(LH_CLOSED, 15, "closed", "the store was closed during the wait; nothing is held")            \
    X(LH_AGAIN, 16, "again", "the transaction met another one; abort it and begin again")          \
    X(LH_ABSENT, 17, "absent", "there is no such document")

typedef enum lh_outcome {
#define X(name, number, word, sentence) name = number,
    LH_OUTCOMES(X)
#undef X
} lh_outcome;

/* The word of an outcome, such as "busy", and its general sentence. A number that is no outcome
 * gives those of LH_BUG. */
LH_API const char *lh_outcome_word(int outcome);
LH_API const char *lh_outcome_sentence(int outcome);

/* Characters of a lease id: 128 random bits in lower-case hexadecimal. */
#define LH_LEASE_ID_LEN 32

/* The details of a failure. The caller owns it; a call fills it on every outcome but LH_OK, LH_BUSY
 * included. */
typedef struct lh_error {
    size_t size;
    int code;        /* the lh_outcome */
    int server_code; /* MongoDB's error code, or 0 */
    /* LH_UNKNOWN from an acquire or a transfer: the id of the lease in doubt. Otherwise "". */
    char lease_id[LH_LEASE_ID_LEN + 8];
    /* What was wrong, where, and what to do. It never contains a password. A message that is too
     * long is cut between two characters. */
    char message[512];
} lh_error;

#define LH_ERROR_INIT                                                                              \
    {                                                                                              \
        sizeof(lh_error), 0, 0, "", ""                                                             \
    }

/* Does what the macro does, for languages without macros. Each struct that begins with `size` has
 * such a function. `size` is the caller's size of the struct; nothing is written beyond it. */
LH_API void lh_error_init(lh_error *error, size_t size);

#ifdef __cplusplus
}
#endif

#endif

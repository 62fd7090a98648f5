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
    X(LH_UNKNOWN, 3, "unknown", "the server may or may not have done it; rely on neither")         \
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
    X(LH_AGAIN, 16, "again",                                                                       \
      "another transaction was in conflict; abort this one and begin again")                       \
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

/* Why a call had its outcome, where that has several causes. A program can rely on the numbers and
 * the words; sentences and messages may change. The number of a reason is a hundred times the
 * outcome, plus 1, 2, … The words are printed as "reason" in JSON. Those of LH_BUSY are also the
 * words of LH_WHY_… (record.h); LH_REASON_TIMEOUT is an addition. */
#define LH_REASONS(X)                                                                              \
    X(LH_REASON_HELD, 101, "held", "another holder has the key")                                   \
    X(LH_REASON_QUEUE, 102, "queue", "the key is free or shared, but waiters are ahead")           \
    X(LH_REASON_MALFORMED, 103, "malformed", "the key's document cannot be read")                  \
    X(LH_REASON_FULL, 104, "full", "the key has as many shared holders as the store allows")       \
    X(LH_REASON_RACE, 105, "race",                                                                 \
      "others were faster at each attempt, on a key without a document")                           \
    X(LH_REASON_FULL_QUEUE, 106, "full_queue", "the key has as many waiters as the store allows")  \
    X(LH_REASON_PATH, 107, "path", "a path above or below the key is held")                        \
    X(LH_REASON_TIMEOUT, 108, "timeout", "the wait is over, and the key is still held")            \
    X(LH_REASON_ENDED, 201, "ended", "the lease ended: released, or not renewed in time")          \
    X(LH_REASON_GONE, 202, "gone", "the key's document was removed")                               \
    X(LH_REASON_SUPERSEDED, 203, "superseded", "the key was taken over, broken or handed on")      \
    X(LH_REASON_NOT_HOLDER, 204, "not_holder", "the key's document does not show this lease")      \
    X(LH_REASON_NOT_HELD, 205, "not_held", "nobody holds the key: there is nothing to break")      \
    X(LH_REASON_CHANGED_HANDS, 206, "changed_hands",                                               \
      "the key has another holder than the one to break")                                          \
    X(LH_REASON_TOO_LATE, 207, "too_late", "the grant's reply came too late to be relied on")      \
    X(LH_REASON_ID_USED, 208, "id_used", "the lease id was used before")                           \
    X(LH_REASON_NO_DOCUMENT, 209, "no_document", "no document has that _id")                       \
    X(LH_REASON_NO_REPLY, 301, "no_reply", "the connection broke, or no reply came in time")       \
    X(LH_REASON_INTERRUPTED, 302, "interrupted",                                                   \
      "the server was stopped, or lost an election, during the command")                           \
    X(LH_REASON_NO_MAJORITY, 303, "no_majority", "no majority of the set acknowledged it in time") \
    X(LH_REASON_NOT_GIVEN_BACK, 304, "not_given_back",                                             \
      "the lease was granted but not returned, and could not be released")                         \
    X(LH_REASON_STORE_CLOSED, 401, "store_closed", "the store was closed")                         \
    X(LH_REASON_NO_SERVER, 501, "no_server", "no server accepts connections")                      \
    X(LH_REASON_NO_ADDRESS, 502, "no_address", "the name of a host cannot be resolved")            \
    X(LH_REASON_NO_PRIMARY, 503, "no_primary", "the set has no primary now")                       \
    X(LH_REASON_HANDSHAKE, 504, "handshake", "the TLS handshake failed")                           \
    X(LH_REASON_TIMED_OUT, 505, "timed_out", "the server did not respond in time")                 \
    X(LH_REASON_OVERLOADED, 506, "overloaded", "the server is overloaded, and refuses work")       \
    X(LH_REASON_IN_PROGRESS, 507, "in_progress",                                                   \
      "another operation must end first, such as an index build or a migration")                   \
    X(LH_REASON_CONNECTIONS, 508, "connections", "all connections of the store are in use")        \
    X(LH_REASON_CURSOR, 509, "cursor", "the server closed the cursor")                             \
    X(LH_REASON_CREDENTIALS, 601, "credentials", "the user name or the password is wrong")         \
    X(LH_REASON_NO_CREDENTIALS, 602, "no_credentials",                                             \
      "the server requires a user, and the URI has none")                                          \
    X(LH_REASON_PRIVILEGE, 603, "privilege", "the user lacks a privilege")                         \
    X(LH_REASON_URI, 701, "uri",                                                                   \
      "the connection string is wrong, or has an option that is refused")                          \
    X(LH_REASON_WRITE_CONCERN, 702, "write_concern",                                               \
      "the connection string weakens the write concern")                                           \
    X(LH_REASON_TLS, 703, "tls",                                                                   \
      "the connection string weakens TLS, or names files that cannot be used")                     \
    X(LH_REASON_CERTIFICATE, 704, "certificate", "the server's certificate is not accepted")       \
    X(LH_REASON_SET_NAME, 705, "set_name",                                                         \
      "the set has another name, or that URI leads to no primary")                                 \
    X(LH_REASON_MONGOS, 706, "mongos", "the server is a mongos")                                   \
    X(LH_REASON_SHARDED, 707, "sharded", "the server is a shard or a config server")               \
    X(LH_REASON_VERSION, 708, "version",                                                           \
      "the server is older than MongoDB 6.0, or is not MongoDB")                                   \
    X(LH_REASON_COMPATIBILITY, 709, "compatibility",                                               \
      "the feature compatibility version is below 6.0")                                            \
    X(LH_REASON_TRANSACTIONS, 710, "transactions",                                                 \
      "the deployment has no transactions, or the transaction is too weak")                        \
    X(LH_REASON_INDEX, 711, "index", "the unique index is missing")                                \
    X(LH_REASON_NOT_UNIQUE, 712, "not_unique", "the index is not unique, or has other options")    \
    X(LH_REASON_TTL_INDEX, 713, "ttl_index",                                                       \
      "an index makes the server delete leases that are held")                                     \
    X(LH_REASON_OTHER_INDEX, 714, "other_index",                                                   \
      "another unique index refuses the documents of leases")                                      \
    X(LH_REASON_COLLATION, 715, "collation", "the collection has a collation")                     \
    X(LH_REASON_COLLECTION, 716, "collection", "a view, or a capped or time-series collection")    \
    X(LH_REASON_VALIDATOR, 717, "validator",                                                       \
      "the collection's validator refuses documents of leases")                                    \
    X(LH_REASON_DUPLICATES, 718, "duplicates", "keys with several documents prevent the index")    \
    X(LH_REASON_FOREIGN_KEYS, 719, "foreign_keys",                                                 \
      "documents whose workspace_id is not a string prevent the migration")                        \
    X(LH_REASON_NAME, 720, "name",                                                                 \
      "the server refuses the name of the database or the collection")                             \
    X(LH_REASON_API_VERSION, 721, "api_version", "the server requires a declared API version")     \
    X(LH_REASON_UNREADABLE, 801, "unreadable", "a stored document cannot be read")                 \
    X(LH_REASON_DOUBLED, 802, "doubled", "the key's document has a field twice")                   \
    X(LH_REASON_DISK_FULL, 901, "disk_full", "the server's disk is full")                          \
    X(LH_REASON_LIMIT, 902, "limit", "a limit of the hosting service, such as its space")          \
    X(LH_REASON_NO_SCAN, 903, "no_scan", "an index is missing, and the server refuses to scan")    \
    X(LH_REASON_TOO_LARGE, 904, "too_large", "the document would be larger than 16 MiB")           \
    X(LH_REASON_KEY_TOO_LONG, 905, "key_too_long", "the key is too long for the server's index")

enum {
#define X(name, number, word, sentence) name = number,
    LH_REASONS(X)
#undef X
};

/* The word of a reason, such as "timeout", and its general sentence; "" for any other number. */
LH_API const char *lh_reason_word(int reason);
LH_API const char *lh_reason_sentence(int reason);

/* Characters of a lease id: 128 random bits in lower-case hexadecimal. */
#define LH_LEASE_ID_LEN 32

/* The details of a failure. The caller owns it; a call fills it on every outcome but LH_OK, LH_BUSY
 * included. On LH_OK it is untouched, with one exception: a call that ends a lease of a store with
 * an audit trail sets `message` to "", or to a warning that the audit entry is missing
 * (audit.h). */
typedef struct lh_error {
    size_t size;
    int code;        /* the lh_outcome */
    int server_code; /* MongoDB's error code, or 0 */
    int reason;      /* LH_REASON_…; 0: the outcome has no finer reason */
    /* LH_UNKNOWN from an acquire or a transfer: the id of the lease in doubt. Otherwise "". */
    char lease_id[LH_LEASE_ID_LEN + 4];
    /* What was wrong, where, and what to do. It never contains a password. A message that is too
     * long is cut between two characters. */
    char message[512];
} lh_error;

#define LH_ERROR_INIT                                                                              \
    {                                                                                              \
        sizeof(lh_error), 0, 0, 0, "", ""                                                          \
    }

/* Does what the macro does, for languages without macros. Each struct that begins with `size` has
 * such a function. `size` is the caller's size of the struct; nothing is written beyond it. */
LH_API void lh_error_init(lh_error *error, size_t size);

#ifdef __cplusplus
}
#endif

#endif

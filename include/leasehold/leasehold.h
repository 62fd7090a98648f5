/* SPDX-License-Identifier: Apache-2.0
 *
 * Leasehold: leases on keys, kept in MongoDB.
 *
 * A lease is a lock with an end. Whoever holds the lease on a key (a workspace, a repository, a document being edited)
 * may work on it until the lease ends, is released, or is broken by an operator:
 *
 *     lh_store_options options = LH_STORE_OPTIONS_INIT;
 *     options.uri = "mongodb://db0,db1,db2/?replicaSet=rs";
 *     lh_store *store;
 *     lh_error error;
 *     if (lh_store_open(&options, &store, &error) != LH_OK)
 *         die(error.message);
 *
 *     lh_lease *lease;
 *     switch (lh_acquire(store, "project:42", NULL, &lease, NULL, &error)) {
 *     case LH_OK:
 *         rebuild(lh_lease_token(lease));         // check lh_lease_valid() between the steps
 *         lh_lease_release(lease, &error);
 *         lh_lease_free(lease);
 *         break;
 *     case LH_BUSY:                               // somebody else works on it: try again later
 *         break;
 *     default:
 *         log(error.message);
 *     }
 *     lh_store_close(store);
 *
 * Conventions, for everything below
 *   - Functions that can fail return an `lh_outcome` as int: LH_OK, or what happened. Outputs (`ret_…`) are written only
 *     when the text says so; on any other outcome they are untouched. `error` may be NULL.
 *   - Times: `…_ms` is milliseconds. `…_at_ms` is a wall-clock instant of the server, milliseconds since 1970 UTC;
 *     LH_NEVER where a lock has no end.
 *   - Strings are NUL-terminated UTF-8. Strings in results belong to the result.
 *   - Option structs begin with `size`; initialise them with their `_INIT` macro, so that a program compiled against an
 *     older header keeps its meaning with a newer library. A NULL options pointer means all defaults.
 *   - `…_free(NULL)` and `lh_store_close(NULL)` do nothing.
 *   - A store may be used by any number of threads. A lease may too, but not while another thread frees it.
 *   - The library prints nothing, exits nothing, installs no signal handler, and starts no thread unless the text says so:
 *     a store has at most a keeper (renews, looks after who waits, settles what ended unknown), a watcher (on a replica set, while somebody waits),
 *     and one that calls `on_lost`, each started when it is first needed and joined by lh_store_close().
 *   - A store does not survive fork(): in the child every call returns LH_FORKED.
 *
 * Guarantees, and where they come from: src/README.md lists the invariants by number; the text below refers to them.
 */
#ifndef LEASEHOLD_H
#define LEASEHOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LH_API __attribute__((visibility("default")))
#else
#define LH_API
#endif

#define LH_VERSION "0.1.0"

/* The version of the library that runs, as LH_VERSION. */
LH_API const char *lh_version(void);

/* ---- Outcomes ------------------------------------------------------------------------------------------------------
 *
 * LH_BUSY is an outcome, not an error: somebody else holds the key. The words are what the command line prints as
 * "code" in JSON; the sentences are the general meaning, and `lh_error.message` says what it was this time. */
#define LH_OUTCOMES(X)                                                                                                 \
    X(LH_OK, 0, "ok", "done")                                                                                          \
    X(LH_BUSY, 1, "busy", "somebody else holds the key")                                                               \
    X(LH_LOST, 2, "lost", "the lease has ended, or was never this caller's")                                           \
    X(LH_UNKNOWN, 3, "unknown", "the server may or may not have done it; nothing may be believed")                     \
    X(LH_INVALID, 4, "invalid", "an argument is outside its documented range")                                         \
    X(LH_UNREACHABLE, 5, "unreachable", "the server is unreachable or too slow")                                       \
    X(LH_DENIED, 6, "denied", "the credentials are wrong or lack a privilege")                                         \
    X(LH_CONFIG, 7, "config", "the deployment or the collection is not fit for leases")                                \
    X(LH_DATA, 8, "data", "stored data cannot be read; it counts as held")                                             \
    X(LH_SERVER, 9, "server", "the server refused the command")                                                        \
    X(LH_MEMORY, 10, "memory", "out of memory")                                                                        \
    X(LH_FORKED, 11, "forked", "the store was opened by another process (fork)")                                       \
    X(LH_STOPPED, 12, "stopped", "a callback asked to stop")                                                           \
    X(LH_BUG, 13, "bug", "a bug in Leasehold; please report it")                                                       \
    X(LH_CANCELLED, 14, "cancelled", "the wait was cancelled; nothing is held")                                        \
    X(LH_CLOSED, 15, "closed", "the store was closed during the wait; nothing is held")

typedef enum lh_outcome {
#define X(name, number, word, sentence) name = number,
    LH_OUTCOMES(X)
#undef X
} lh_outcome;

/* The word ("busy") and the general sentence of an outcome; "bug" and its sentence for a number that is none. */
LH_API const char *lh_outcome_word(int outcome);
LH_API const char *lh_outcome_sentence(int outcome);

#define LH_KEY_MAX        1024 /* bytes of a key, at least 1 */
#define LH_OWNER_MAX      256  /* bytes of an owner, at least 1 */
#define LH_TEXT_MAX       1024 /* bytes of a purpose or a reason */
#define LH_LEASE_ID_LEN   32   /* characters of a lease id: 128 random bits in lower-case hexadecimal */
#define LH_TTL_MIN_MS     1000 /* one second */
#define LH_TTL_MAX_MS     (7 * 24 * 3600 * INT64_C(1000))
#define LH_TTL_DEFAULT_MS 30000
#define LH_NEVER          INT64_MAX
#define LH_FOREVER        INT64_MAX /* as wait_ms */

/* Details of a failure. Owned by the caller, filled on every outcome but LH_OK (also on LH_BUSY: one sentence). */
typedef struct lh_error {
    int code;                           /* the lh_outcome */
    int server_code;                    /* MongoDB's error code, or 0 */
    char lease_id[LH_LEASE_ID_LEN + 1]; /* with LH_UNKNOWN from an acquire: the lease in doubt; else "" */
    char message[512];                  /* what was wrong, where, what to do; never a password; cut at a character */
} lh_error;

/* ---- The store -----------------------------------------------------------------------------------------------------
 *
 * One collection of leases on one deployment, reached through a pool of connections of its own. */
typedef struct lh_store lh_store;
typedef struct lh_lease lh_lease;

enum {
    LH_AT_OPEN_NOTHING = 0, /* the index is looked at before the first grant */
    LH_AT_OPEN_VERIFY = 1,  /* the index must be there: needs no more than find on the collection */
    LH_AT_OPEN_MIGRATE = 2, /* lh_migrate(); one round trip when there is nothing to do */
};

struct lh_migrate_options;

typedef struct lh_store_options {
    size_t size;
    const char *uri;        /* a MongoDB connection string. A weaker write concern than majority is refused (LH_CONFIG);
                                timeouts in it are honoured where they are shorter than `timeout_ms` */
    const char *db;         /* NULL: the URI's, else "leasehold" */
    const char *collection; /* NULL: "workspace_locks" */
    const char *owner;      /* owner of leases whose acquire names none. NULL: user@host */
    const char *app_name;   /* as the server's log and currentOp show it. NULL: "leasehold" */
    int64_t timeout_ms; /* how long one call may take when the server does not answer: 100 … 600,000; default 10,000 */
    int64_t clock_skew_ms; /* grace: nobody is taken over before its end + this; 0 … 60,000; default 500. One value per
                                deployment. Exclusion by expiry holds while the clocks of any two members that were
                                primary during the lease differ by no more (invariant 1) */
    uint32_t max_waiters;  /* queue bound per key: 1 … 10,000; default 1,000 */
    uint32_t max_shared;   /* shared holders per key: 1 … 1,000; default 128 */
    uint32_t pool_size;    /* connections at most, besides the keeper's and the watcher's: 1 … 1,000; default 16 */
    int at_open;           /* one of LH_AT_OPEN_…; default LH_AT_OPEN_VERIFY */
    const struct lh_migrate_options *migrate; /* for LH_AT_OPEN_MIGRATE; NULL: its defaults */
    /* Called once for each lease that the store acquired and that ended otherwise than by its holder (not renewed in time,
     * broken, its document gone), at the latest at its local deadline, even while no server answers. From a thread of the library, or
     * from the one whose lh_lease_renew() is told so: it must not block, nor close the store; the strings live for the call.
     * NULL: see lh_lease_lost_fd(). */
    void (*on_lost)(void *arg, const char *key, const char *lease_id);
    void *on_lost_arg;
} lh_store_options;

#define LH_STORE_OPTIONS_INIT                                                                                          \
    {                                                                                                                  \
        sizeof(lh_store_options), NULL, NULL, NULL, NULL, NULL, 10000, 500, 1000, 128, 16, 1, NULL, NULL, NULL         \
    }

/* Opens a store. With LH_AT_OPEN_NOTHING no server is contacted; otherwise the deployment must answer in `timeout_ms`.
 *
 * LH_OK: *ret_store is the store, to be closed with lh_store_close().
 * LH_INVALID (an option), LH_CONFIG (the URI does not parse; weak write concern; a mongos; a server below 6.0; no unique
 * index), LH_UNREACHABLE, LH_DENIED, LH_MEMORY, or what lh_migrate() returns. */
LH_API int lh_store_open(const lh_store_options *options, lh_store **ret_store, lh_error *error);

/* Closes the store: ends all waiting (LH_CLOSED), joins the store's threads, and releases, within about `timeout_ms` in all (two to three times that where a server hangs), what it
 * holds (leases whose handle was neither released nor freed) and what it may hold (acquires that ended LH_UNKNOWN). Handles
 * stay allocated and must still be freed; any other call on them returns LH_INVALID. No other thread may be inside a call on the
 * store, but for those that wait in lh_acquire() or lh_waiting_finish(). Not from a callback of the store. */
LH_API void lh_store_close(lh_store *store);

/* What the MongoDB driver has to say (it logs to stderr by default): `fn` gets each line instead, from any thread; NULL
 * drops them. Process-wide, so for programs, not for libraries; call it before the first store is opened. */
LH_API void lh_driver_log(void (*fn)(void *arg, int level, const char *line), void *arg);

/* ---- Keys ----------------------------------------------------------------------------------------------------------
 *
 * A key is 1 to 1,024 bytes of UTF-8 without control characters (U+0000–U+001F, U+007F–U+009F). */

/* LH_OK, or LH_INVALID with what is wrong and at which byte. `key` need not be NUL-terminated. */
LH_API int lh_key_check(const char *key, size_t key_len, lh_error *error);

/* Joins `n` parts to a key: "project", "42" gives project:42. A ':' or '%' inside a part is written %3A or %25, so that
 * different parts never give the same key. LH_OK: *ret_key is to be freed with lh_string_free(). LH_INVALID: no part, an
 * empty part, or the result is no key. */
LH_API int lh_key_join(const char *const *parts, size_t n, char **ret_key, lh_error *error);
LH_API void lh_string_free(char *string);

/* ---- What is known of a key ----------------------------------------------------------------------------------------*/
enum { LH_FREE = 0, LH_HELD = 1, LH_MALFORMED = 2 };
enum { LH_EXCLUSIVE = 0, LH_SHARED = 1 };

/* Why an acquire was told `busy`. */
enum {
    LH_WHY_HELD = 1,       /* somebody holds it */
    LH_WHY_QUEUE = 2,      /* it is free, or shared, but others wait in front */
    LH_WHY_MALFORMED = 3,  /* its document cannot be read: held, until an operator breaks it */
    LH_WHY_FULL = 4,       /* as many shared holders as the store allows */
    LH_WHY_RACE = 5,       /* others kept winning the race for a fresh key */
    LH_WHY_FULL_QUEUE = 6, /* as many waiting as the store allows */
};
/* "held", "queue", "malformed", "full", "race", "full_queue". */
LH_API const char *lh_why_word(int why);

typedef struct lh_holder {
    const char *owner;      /* "" where the document names none (`user_id` is shown where there is no `owner`) */
    const char *host;       /* "" where unknown */
    const char *purpose;    /* "" where none was given */
    int64_t pid;            /* 0 where unknown */
    int mode;               /* LH_EXCLUSIVE or LH_SHARED */
    int64_t token;          /* 0 for a lock of older code */
    int64_t acquired_at_ms; /* 0 where unknown */
    int64_t expires_at_ms;  /* LH_NEVER: no end, or one that cannot be read */
    int64_t remaining_ms;   /* by the server's clock when it answered; 0 or less: past its end. LH_NEVER likewise */
} lh_holder;

typedef struct lh_waiter {
    const char *owner, *purpose;
    int mode;
    int64_t since_ms; /* when it queued */
} lh_waiter;

typedef struct lh_record {
    const char *key;     /* for a document whose workspace_id is no string: its value as extended JSON */
    int state;           /* LH_FREE, LH_HELD or LH_MALFORMED (counts as held) */
    const char *problem; /* LH_MALFORMED: what cannot be read, in words; else "" */
    int64_t token;       /* the highest ever granted on the key; 0 if none was */
    bool expired; /* its holder is past its end and nobody took over yet: LH_FREE, and released_how is "expire" */
    size_t holders, waiters; /* how many the deployment counted; lh_record_holder() may give fewer (see there) */
    int64_t now_ms;          /* the server's clock when it answered */
    /* How the previous holder ended; released_how is "" where that is unknown. */
    const char *released_how; /* "release", "expire", "transfer" or "break" */
    const char *released_owner, *released_by, *released_reason;
    int64_t released_at_ms;
    /* Only from an acquire that was told busy: */
    int why;                /* LH_WHY_… */
    int64_t retry_after_ms; /* when asking again is worth it: a hint */
} lh_record;

/* The i-th holder and waiter, NULL past the last. A record from lh_acquire() carries one holder (of several readers, the
 * newest) and no waiter; one from lh_status() and lh_list() carries all. Borrowed from the record. */
LH_API const lh_holder *lh_record_holder(const lh_record *record, size_t i);
LH_API const lh_waiter *lh_record_waiter(const lh_record *record, size_t i);
LH_API void lh_record_free(lh_record *record);

/* ---- Leases --------------------------------------------------------------------------------------------------------*/
typedef struct lh_acquire_options {
    size_t size;
    int64_t ttl_ms;      /* 1,000 … 604,800,000 (7 days); default 30,000 */
    int mode;            /* LH_EXCLUSIVE (default) or LH_SHARED */
    const char *owner;   /* 1–256 bytes: who, for people; never a proof of anything. NULL: the store's */
    const char *purpose; /* up to 1,024 bytes: why, for people. NULL: none */
    const char
        *lease_id; /* LH_LEASE_ID_LEN hexadecimal digits, from a good random source, never used before: for a caller
                              that records the id before it asks. NULL: the library draws one */
    int64_t timeout_ms; /* for one command; 0: the store's */
    int64_t wait_ms;    /* how long to wait in the queue: 0 (default) asks once; LH_FOREVER */
    int64_t
        claim_ms; /* how long a waiter may be silent until it is skipped, and a grant unclaimed until it ends: 1,000 … 60,000,
                           cut to the ttl; default 5,000. A waiter shows three times in it that it is alive */
    bool
        by_hand; /* true: the caller renews the lease; false (default): the store's keeper does, at a third of the ttl, until
                           it is released, its handle is freed, or the store is closed */
    struct lh_cancel *cancel; /* ends the wait from another thread; NULL: nothing does. It must outlive the call */
    /* Who holds it, how long still (record), and how many wait in front (place): once when the wait begins, and whenever the library
     * hears more. Called from the thread that waits in lh_acquire() or lh_waiting_finish(); the record is borrowed. */
    void (*feedback)(void *arg, const lh_record *record, uint32_t place);
    void *feedback_arg;
} lh_acquire_options;

#define LH_ACQUIRE_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(lh_acquire_options), LH_TTL_DEFAULT_MS, LH_EXCLUSIVE, NULL, NULL, NULL, 0, 0, 5000, false, NULL, NULL,  \
            NULL                                                                                                       \
    }

/* Asks for the lease on `key`: one command, decided by the server with the server's clock. (The first acquire of a store
 * that was opened with LH_AT_OPEN_NOTHING looks at the index before.) With wait_ms it stays in the key's queue, first come, first
 * served, until it is granted, until that time is over, or until it is cancelled; whoever leaves the queue leaves no trace in it.
 *
 * LH_OK: granted, acknowledged by a majority; *ret_lease is to be freed with lh_lease_free(). After a wait its first
 *   lh_lease_remaining_ms() may be no more than claim_ms; the keeper extends it to the full ttl at once.
 * LH_BUSY: somebody else holds it, or the wait is over. *ret_busy (if not NULL) says who, to be freed with lh_record_free().
 * LH_CANCELLED, LH_CLOSED: the wait was ended; nothing is held.
 * LH_UNKNOWN: the server may have granted it and the answer was lost; asked again with the same lease id until the timeout,
 *   in vain. error->lease_id names it. Believe nothing: the store's keeper releases it in the background as soon as a server
 *   answers, and what it did not come to, closing the store does; else it ends with its ttl. Its id is spent.
 * LH_LOST: the grant's answer came after the lease's end, or repeatedly too late to be believed.
 * LH_INVALID, LH_UNREACHABLE (surely not granted), LH_DENIED, LH_CONFIG (no unique index …), LH_SERVER, LH_FORKED, LH_MEMORY. */
LH_API int lh_acquire(lh_store *store, const char *key, const lh_acquire_options *options, lh_lease **ret_lease,
                      lh_record **ret_busy, lh_error *error);

/* A way to end waits from another thread: lh_cancel_now() ends those that have it among their options, now and from now on.
 * LH_OK: *ret_cancel, to be freed when no call uses it any more. LH_MEMORY: no memory or no descriptor is left. */
typedef struct lh_cancel lh_cancel;
LH_API int lh_cancel_new(lh_cancel **ret_cancel, lh_error *error);
LH_API void lh_cancel_now(lh_cancel *cancel);
LH_API void lh_cancel_free(lh_cancel *cancel);

/* The same without a thread that waits: sends the first command, as lh_acquire() does, and returns; from then on a waiter is an entry
 * in the store's table, whatever their number. `wait_ms` counts from here; `cancel` and `feedback` are used in lh_waiting_finish().
 *
 * LH_OK: *ret_waiting, to be ended by exactly one of finish and cancel, also after the store was closed. It may be settled already.
 * LH_INVALID, LH_FORKED, LH_MEMORY: nothing was sent. What the server said is told by lh_waiting_finish(). */
typedef struct lh_waiting lh_waiting;
LH_API int lh_acquire_start(lh_store *store, const char *key, const lh_acquire_options *options,
                            lh_waiting **ret_waiting, lh_error *error);

/* A descriptor that is readable when the wait is settled: for poll(); not to be read or closed. It lives as long as the
 * waiting. -1: the system has no descriptor left (lh_waiting_finish() works without). */
LH_API int lh_waiting_fd(lh_waiting *waiting);

/* What came of it, as from lh_acquire(); waits for it if it is not settled yet. Frees `waiting`, on every outcome. */
LH_API int lh_waiting_finish(lh_waiting *waiting, lh_lease **ret_lease, lh_record **ret_busy, lh_error *error);

/* Leaves the queue, or releases what was granted meanwhile: one command. Frees `waiting`, on every outcome. NULL: nothing is done.
 * LH_OK: nothing is held. LH_UNKNOWN, LH_UNREACHABLE: it is sent again in the background; its place ends after claim_ms at the
 * latest, and a grant that it gets unclaimed too. */
LH_API int lh_waiting_cancel(lh_waiting *waiting, lh_error *error);

/* Acquires (and waits, if the options say so), calls `fn`, and releases. `fn` returns LH_OK or an outcome of its own, and
 * should look at lh_lease_valid() between its steps.
 * LH_OK: `fn` returned it, and the lease was valid until then. LH_LOST: `fn` returned LH_OK, but the lease had ended before. Else what
 * lh_acquire() or `fn` returned. What became of the release is not told: the lease ends with its ttl at the latest. */
LH_API int lh_with_lease(lh_store *store, const char *key, const lh_acquire_options *options,
                         int (*fn)(void *arg, lh_lease *lease), void *arg, lh_error *error);

/* A handle on a lease that somebody else acquired: another process goes on with it. No command is sent and nothing is
 * believed (lh_lease_valid() is false) until the first lh_lease_renew() succeeded. The keeper leaves it alone. Freeing the handle
 * does not release.
 * LH_OK: *ret_lease. LH_INVALID, LH_MEMORY. */
LH_API int lh_lease_attach(lh_store *store, const char *key, const char *lease_id, lh_lease **ret_lease,
                           lh_error *error);

/* Extends the lease to the later of its present end and now + ttl_ms (0: the ttl it has). One command. Never shortens,
 * never revives a lease that has ended, never changes the token (invariant 4).
 *
 * LH_OK: lh_lease_remaining_ms() has grown. LH_LOST: the lease has ended, for good; stop the work; *ret_record (if not
 * NULL) says who holds the key now, or is NULL where the server could not be asked. LH_UNREACHABLE: not known to be extended: the lease is still valid until
 * lh_lease_remaining_ms() is 0; try again. LH_INVALID, LH_DATA, LH_DENIED, LH_SERVER, LH_FORKED. */
LH_API int lh_lease_renew(lh_lease *lease, int64_t ttl_ms, lh_record **ret_record, lh_error *error);

/* Gives the lease back; from the call on lh_lease_valid() is false. One command, which grants the head of the queue if
 * there is one. Releasing again what was released is LH_OK, and so is a lease that ended and that nobody took.
 *
 * LH_LOST: the key is somebody else's by now; nothing was changed. LH_UNKNOWN: sent, the answer was lost; it is sent again in
 * the background, and the lease ends with its ttl at the latest. LH_UNREACHABLE (surely not released), LH_DATA, LH_DENIED, LH_SERVER, LH_FORKED. */
LH_API int lh_lease_release(lh_lease *lease, lh_error *error);

/* Hands the lease on to `to_owner`, past the queue: one command that ends it and grants the key under a new lease id, with the
 * lease's full ttl and a higher token. Whoever is given the id holds it after lh_lease_attach() and its first
 * lh_lease_renew(), and nobody does before. From the call on lh_lease_valid() is false.
 *
 * LH_OK: ret_lease_id is the new id. LH_LOST: it had ended; nothing was changed. LH_UNKNOWN: sent, the answer was lost:
 * error->lease_id names the new lease, which ends with its ttl if nobody renews it. LH_UNREACHABLE: surely not handed on; release
 * the lease, or let it end. LH_INVALID (to_owner: 1–256 bytes), LH_DATA, LH_DENIED, LH_SERVER, LH_FORKED. */
LH_API int lh_lease_transfer(lh_lease *lease, const char *to_owner, char ret_lease_id[LH_LEASE_ID_LEN + 1],
                             lh_error *error);

/* A descriptor that becomes readable when the lease is lost: at once when that is heard of, and by itself at the local
 * deadline, even while the process's other threads hang. For poll(), not to be read or closed; it lives as long as the handle. It never
 * becomes readable after a release. -1: the system has none left. */
LH_API int lh_lease_lost_fd(lh_lease *lease);

/* May the holder still work? True until the local deadline: the time at which the command that granted or last renewed
 * the lease was sent, plus the ttl, less a drift allowance of ttl/1000 + 2 ms, on CLOCK_BOOTTIME, which goes on while the machine sleeps.
 * No command is sent; a passed deadline is final. */
LH_API bool lh_lease_valid(const lh_lease *lease);
/* Milliseconds until that deadline, 0 when it has passed. */
LH_API int64_t lh_lease_remaining_ms(const lh_lease *lease);

/* The fencing token: strictly increasing per key, over release, break, expiry, cleanup, failover (invariant 2). 0 on an
 * attached lease that was not renewed yet. Send it along with what is written under the lease, and refuse a smaller one. */
LH_API int64_t lh_lease_token(const lh_lease *lease);
LH_API const char *lh_lease_key(const lh_lease *lease);
LH_API const char *lh_lease_id(const lh_lease *lease); /* a capability: whoever knows it may renew and release */
LH_API const char *lh_lease_owner(const lh_lease *lease);
LH_API int lh_lease_mode(const lh_lease *lease);
LH_API int64_t lh_lease_ttl_ms(const lh_lease *lease);
LH_API int64_t
lh_lease_expires_at_ms(const lh_lease *lease); /* by the server's clock, as last heard; 0: not heard yet */

/* Frees the handle and forgets the lease, which is not released: it ends with its ttl, unless somebody attaches to it by
 * its id. A handle may be freed before or after its store is closed. */
LH_API void lh_lease_free(lh_lease *lease);

/* ---- Seeing and acting: for operators ------------------------------------------------------------------------------*/

/* What is stored for `key`, read from the primary with majority read concern. LH_OK: *ret_record, also where there is no
 * document (free, token 0). A document that cannot be read is LH_OK with state LH_MALFORMED. LH_INVALID, LH_UNREACHABLE, … */
LH_API int lh_status(lh_store *store, const char *key, lh_record **ret_record, lh_error *error);

typedef struct lh_list_options {
    size_t size;
    const char *prefix; /* only keys that begin with this; NULL: all */
    const char *owner;  /* only keys that this owner holds (or waits for); NULL: all */
    bool expired;       /* only holders past their end that nobody took over */
    bool malformed;     /* only documents that cannot be read */
    bool free_too;      /* also keys that are free; without it only held and malformed ones are given */
    uint64_t limit;     /* 0: all */
} lh_list_options;

#define LH_LIST_OPTIONS_INIT                                                                                           \
    {                                                                                                                  \
        sizeof(lh_list_options), NULL, NULL, false, false, false, 0                                                    \
    }

/* Streams the records in key order, in constant memory. `each` borrows the record for the call and returns 0 to go on;
 * anything else ends the list with LH_STOPPED. */
LH_API int lh_list(lh_store *store, const lh_list_options *options, int (*each)(void *arg, const lh_record *record),
                   void *arg, lh_error *error);

typedef struct lh_break_options {
    size_t size;
    const char *reason; /* why: required, 1–1,024 bytes; stored with the key */
    const char *by;     /* who; NULL: the store's owner */
    int64_t token;      /* break only if this is still the grant's token; -1: whatever is held now */
} lh_break_options;

#define LH_BREAK_OPTIONS_INIT                                                                                          \
    {                                                                                                                  \
        sizeof(lh_break_options), NULL, NULL, -1                                                                       \
    }

/* Takes the key from whoever holds it, also where the document cannot be read; the head of the queue gets it. The one
 * operation that waives invariant 1: the broken holder may believe until its deadline; fencing tokens still hold.
 * Two round trips: what is there, and the write, which matches exactly that.
 *
 * LH_OK: *ret_record is what was broken. LH_LOST: nobody holds it (any more), or another token than asked for;
 * *ret_record is untouched. LH_INVALID, LH_UNKNOWN, LH_UNREACHABLE, … */
LH_API int lh_break(lh_store *store, const char *key, const lh_break_options *options, lh_record **ret_record,
                    lh_error *error);

typedef struct lh_cleanup_options {
    size_t size;
    int64_t older_than_ms; /* how long free, or past its end: at least 1,000; default 86,400,000 (24 h) */
    bool dry_run;          /* count, change nothing */
    int (*progress)(void *arg, uint64_t looked_at, uint64_t removed); /* after each batch; not 0 ends with LH_STOPPED */
    void *progress_arg;
} lh_cleanup_options;

#define LH_CLEANUP_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(lh_cleanup_options), INT64_C(86400000), false, NULL, NULL                                               \
    }

typedef struct lh_cleanup_report {
    uint64_t removed; /* documents deleted: free, or past their end, for that long */
    uint64_t
        holders_dropped; /* holders past their end + grace, not yet that long: marked as ended, the queue's head granted */
    uint64_t waiters_dropped; /* waiters that stopped beating */
} lh_cleanup_report;

/* Removes what is dead, in bounded batches; each document is judged again by the server in the write that changes it.
 * Documents that cannot be read are never touched. The report is filled on every outcome with what was done. */
LH_API int lh_cleanup(lh_store *store, const lh_cleanup_options *options, lh_cleanup_report *report, lh_error *error);

/* ---- Migration -----------------------------------------------------------------------------------------------------
 *
 * Puts the unique index `workspace_id_unique` on the collection, and removes what stands in its way: of the documents of
 * one key the one with the newest `expires_at` stays (dates, ISO-8601 strings and numbers compared as instants; null,
 * missing and unreadable are oldest; the highest _id wins a tie), the others are moved to the archive. Safe to call at
 * every boot, by any number of processes at once, beside live writers; resumes after a crash at any point. */
enum { LH_INDEX_PRESENT = 0, LH_INDEX_CREATED = 1, LH_INDEX_CONVERTED = 2, LH_INDEX_MISSING = 3 };

/* One survivor and why, for `verdict` below. Borrowed for the call. */
typedef struct lh_verdict {
    const char *key;
    const char *survivor; /* its _id as extended JSON */
    const char *reason;   /* a sentence: why it stays */
    uint64_t losers;      /* how many documents go */
} lh_verdict;

typedef struct lh_migrate_options {
    size_t size;
    bool dry_run; /* look and report, change nothing */
    bool remove;  /* may move duplicates to the archive. false: duplicates are LH_CONFIG, and reported. Default true */
    bool no_archive;     /* delete the losers without keeping a copy */
    const char *archive; /* NULL: "<collection>_archive" */
    bool quarantine;     /* move documents whose workspace_id is no string to the archive too */
    int64_t timeout_ms;  /* for the whole migration, waiting for other migrators included: default 600,000 */
    int (*progress)(void *arg, const char *step, uint64_t done, uint64_t total); /* total 0: unknown; not 0 stops */
    void (*verdict)(void *arg, const lh_verdict *verdict);
    void *arg; /* of both */
} lh_migrate_options;

#define LH_MIGRATE_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(lh_migrate_options), false, true, false, NULL, false, 600000, NULL, NULL, NULL                          \
    }

typedef struct lh_migrate_report {
    int index;               /* LH_INDEX_… at the end */
    uint64_t scanned;        /* documents looked at (0 when the index was there) */
    uint64_t duplicate_keys; /* keys with more than one document */
    uint64_t removed;        /* losers deleted (dry run: that would be) */
    uint64_t archived;       /* copies written to the archive */
    uint64_t quarantined;    /* documents without a string workspace_id moved to the archive */
    uint64_t malformed; /* documents without a string workspace_id found, plus those with an unreadable expires_at */
    uint64_t waited_ms; /* how long another migrator was waited for */
    uint64_t elapsed_ms;
} lh_migrate_report;

/* "present", "created", "converted", "missing". */
LH_API const char *lh_index_word(int index);

/* The report is filled on every outcome with what was done. LH_OK: the index is there (dry run: it was only looked).
 * LH_CONFIG: an index of that name with other options, a collation, a view, a capped or time-series collection,
 * duplicates without `remove`, malformed keys without `quarantine`; the message says which. LH_UNREACHABLE: out of time;
 * call again, it resumes. LH_DENIED: which privilege is missing. LH_STOPPED: `progress` asked to. */
LH_API int lh_migrate(lh_store *store, const lh_migrate_options *options, lh_migrate_report *report, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif

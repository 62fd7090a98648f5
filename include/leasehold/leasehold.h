/* SPDX-License-Identifier: Apache-2.0
 *
 * Leasehold: leases on keys, kept in MongoDB.
 *
 * A lease is a lock with an end. Whoever holds the lease on a key (a workspace, a repository, a
 * document being edited) may work on it until the lease ends, is released, or is broken by an
 * operator:
 *
 *     lh_store_options options = LH_STORE_OPTIONS_INIT;
 *     options.uri = "mongodb://db0,db1,db2/?replicaSet=rs";
 *     lh_store *store;
 *     lh_error error = LH_ERROR_INIT;
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
 *   - Functions that can fail return an `lh_outcome` as int: LH_OK, or what happened. Outputs
 *     (`ret_…`) are written only when the text says so; on any other outcome they are untouched.
 *     `error` may be NULL. A list of outcomes that ends in `…` goes on with what any call may
 *     return that asks a server: LH_UNREACHABLE, LH_DENIED, LH_CONFIG, LH_SERVER, LH_FORKED,
 *     LH_MEMORY. Of these only LH_UNREACHABLE may pass by itself. LH_DENIED, LH_CONFIG and
 *     LH_SERVER need a person: the server would refuse again; the message says what to do where
 *     that is known.
 *   - Times: `…_ms` is milliseconds. `…_at_ms` is a wall-clock instant of the server, milliseconds
 *     since 1970 UTC; LH_NEVER where a lock has no end.
 *   - Strings are NUL-terminated UTF-8. Strings in results belong to the result.
 *   - Structs that the caller allocates begin with `size`: options, reports, lh_error. Initialise
 *     them with their `_INIT` macro, or from another language with their `_init` function, and
 *     leave `size` alone. So programs and libraries of different age go together:
 *       - A library that is newer than the program uses the defaults of the options that the
 *         program does not know, and writes nothing beyond the size of a report or an lh_error.
 *       - A library that is older than the program refuses a call whose options have a byte set
 *         that it does not know (LH_INVALID), instead of ignoring it. An option that is added later
 *         is off, or the default, at 0.
 *       - A size that no version has, 0 for one, is LH_INVALID, and nothing was done. An lh_error
 *         whose size is 0 or absurd was not initialised: its message says so. Where such an error
 *         is given to a call that frees, lh_waiting_finish() or lh_waiting_cancel(), nothing was
 *         freed: call again.
 *     A NULL options pointer means all defaults; a report or an error may be NULL.
 *   - `…_free(NULL)` and `lh_store_close(NULL)` do nothing.
 *   - A store may be used by any number of threads. A lease may too, but not while another thread
 *     frees it.
 *   - The library prints nothing, exits nothing, installs no signal handler, and starts no thread
 *     unless the text says so: a store has at most a keeper (renews, looks after who waits, settles
 *     what ended unknown), a watcher (on a replica set, while somebody waits), and one that calls
 *     `on_lost`, each started when it is first needed and joined by lh_store_close().
 *   - A store does not survive fork(): in the child every call returns LH_FORKED.
 *
 * Guarantees, and where they come from: src/README.md lists the invariants by number; the text
 * below refers to them.
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

/* The version of this header. The number is for #if: 1,000,000 for a major, 1,000 for a minor
 * version, 1 for a patch. */
#define LH_VERSION        "0.1.0"
#define LH_VERSION_MAJOR  0
#define LH_VERSION_MINOR  1
#define LH_VERSION_PATCH  0
#define LH_VERSION_NUMBER (LH_VERSION_MAJOR * 1000000 + LH_VERSION_MINOR * 1000 + LH_VERSION_PATCH)

/* The version of the library that runs, as LH_VERSION and as LH_VERSION_NUMBER. */
LH_API const char *lh_version(void);
LH_API int lh_version_number(void);

/* ---- Outcomes ---------------------------------------------------------------------------------
 *
 * LH_BUSY is an outcome, not an error: somebody else holds the key. The words are what the command
 * line prints as "code" in JSON; the sentences are the general meaning, and `lh_error.message` says
 * what it was this time. */
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

/* The word ("busy") and the general sentence of an outcome; "bug" and its sentence for a number
 * that is none. */
LH_API const char *lh_outcome_word(int outcome);
LH_API const char *lh_outcome_sentence(int outcome);

#define LH_KEY_MAX   1024 /* bytes of a key, at least 1 */
#define LH_OWNER_MAX 256  /* bytes of an owner, at least 1 */
#define LH_TEXT_MAX  1024 /* bytes of a purpose or a reason */
/* characters of a lease id: 128 random bits in lower-case hexadecimal */
#define LH_LEASE_ID_LEN   32
#define LH_TTL_MIN_MS     1000 /* one second */
#define LH_TTL_MAX_MS     (7 * 24 * 3600 * INT64_C(1000))
#define LH_TTL_DEFAULT_MS 30000
#define LH_NEVER          INT64_MAX
#define LH_FOREVER        INT64_MAX /* as wait_ms */

/* Details of a failure. Owned by the caller, filled on every outcome but LH_OK (also on LH_BUSY:
 * one sentence). */
typedef struct lh_error {
    size_t size;
    int code;        /* the lh_outcome */
    int server_code; /* MongoDB's error code, or 0 */
    /* with LH_UNKNOWN from an acquire: the lease in doubt; else "" */
    char lease_id[LH_LEASE_ID_LEN + 8];
    /* what was wrong, where, what to do; never a password; cut at a character */
    char message[512];
} lh_error;

#define LH_ERROR_INIT                                                                              \
    {                                                                                              \
        sizeof(lh_error), 0, 0, "", ""                                                             \
    }

/* What the macro does, in `size` bytes: for languages that have no macros. Each struct that begins
 * with `size` has such a function. `size` is the caller's size of the struct; nothing is written
 * beyond it. */
LH_API void lh_error_init(lh_error *error, size_t size);

/* ---- The store --------------------------------------------------------------------------------
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

/* How a store's leases bind: for switching a program over step by step, and off at once.
 * leasehold-upgrade(7) has the steps.
 *
 * LH_OBSERVE: everything is done and recorded as ever, but nobody is refused, and nobody waits.
 * What an acquire, a renewal, a release, or a transfer
 *   would be refused for (busy, lost, an unreachable server, a missing index or privilege) is
 *   counted, and the call returns LH_OK. No call takes longer than LH_OBSERVE_MS where the server
 *   does not answer: `timeout_ms` is cut to that.
 * LH_OFF: no command is sent for a lease, nor when the store is opened: no server is needed, no
 * index, and no `uri`.
 *
 *   What is granted is stored: programs that enforce, and programs without Leasehold, are refused
 *   by it as ever.
 *
 * In both, a lease is not enforced (lh_lease_enforced()): it stays valid until it is released,
 * `on_lost` is not called, guard and fence let it pass, and its token, where it was not granted by
 * the server, is 0: a program that compares tokens itself lets those pass too. What is wrong with
 * the arguments is still LH_INVALID. lh_status(), lh_list(), lh_watch(), lh_migrate(),
 * lh_cleanup(), lh_break() and lh_doctor() do what they do in every mode: they are asked for by
 * name. */
enum {
    LH_ENFORCE = 0, /* who is refused is refused */
    LH_OBSERVE = 1,
    LH_OFF = 2,
    LH_BY_ENVIRONMENT =
        /* as LEASEHOLD_MODE says when the store is opened: enforce (also where it is not set),
         * observe, off; else LH_INVALID */
    3,
};
#define LH_OBSERVE_MS 1000
/* "enforce", "observe", "off"; "" for any other. */
LH_API const char *lh_rollout_word(int rollout);

typedef struct lh_store_options {
    size_t size;
    const char *
        uri; /* a MongoDB connection string. leasehold-connection(7) says what becomes of each of its
                                options; lh_store_warning() says which of them have no effect */
    const char *db;         /* 1–63 bytes. NULL: the URI's, else "leasehold" */
    const char *collection; /* 1–120 bytes. NULL: "workspace_locks" */
    /* owner of leases whose acquire names none: 1–256 bytes. NULL: user@host */
    const char *owner;
    /* as the server's log and currentOp show it: up to 128 bytes. NULL: "leasehold" */
    const char *app_name;
    /* how long one call may take when the server does not answer: 100 … 600,000; default 10,000 */
    int64_t timeout_ms;
    int64_t
        clock_skew_ms; /* grace: nobody is taken over before its end + this; 0 … 60,000; default 500. One value per
                                deployment. Exclusion by expiry holds while the clocks of any two members that were
                                primary during the lease differ by no more (invariant 1) */
    uint32_t max_waiters; /* queue bound per key: 1 … 10,000; default 1,000 */
    uint32_t max_shared;  /* shared holders per key: 1 … 1,000; default 128 */
    /* connections at most, besides the keeper's and the watcher's: 1 … 1,000; default 16 */
    uint32_t pool_size;
    int at_open;                              /* one of LH_AT_OPEN_…; default LH_AT_OPEN_VERIFY */
    const struct lh_migrate_options *migrate; /* for LH_AT_OPEN_MIGRATE; NULL: its defaults */
    /* Called once for each lease that the store acquired and that ended otherwise than by its
     * holder (not renewed in time, broken, its document gone), at the latest at its local deadline,
     * even while no server answers. From a thread of the library, or from the one whose
     * lh_lease_renew() is told so: it must not block, nor close the store; the strings live for the
     * call. NULL: see lh_lease_lost_fd(). */
    void (*on_lost)(void *arg, const char *key, const char *lease_id);
    void *on_lost_arg;
    bool
        allow_insecure_tls; /* false (default): a URI that switches off a check of TLS (tlsInsecure,
                                tlsAllowInvalidCertificates, tlsAllowInvalidHostnames, tlsDisableOCSPEndpointCheck,
                                tlsDisableCertificateRevocationCheck) is refused: whoever sits between could pose as the
                                server, and be told the password. true: what the URI says is done, for tests */
    /* true: what this store acquires outlives this process (a proxy; a command that prints the
     * lease id and ends), so no process is recorded with it, and lh_reap() lets it be. Default
     * false. */
    bool for_others;
    int rollout; /* LH_ENFORCE (default), LH_OBSERVE, LH_OFF or LH_BY_ENVIRONMENT */
    /* Keep a trail (lh_audit()) in this collection; "": "<collection>_audit"; NULL (default): none.
     * An acquire then takes one more read and one more write, in turn, before it is answered. */
    const char *audit;
} lh_store_options;

#define LH_STORE_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(lh_store_options), NULL, NULL, NULL, NULL, NULL, 10000, 500, 1000, 128, 16, 1,      \
            NULL, NULL, NULL, false, false, LH_ENFORCE, NULL                                       \
    }
LH_API void lh_store_options_init(lh_store_options *options, size_t size);

/* Opens a store. With LH_AT_OPEN_NOTHING no server is contacted; otherwise the deployment must
 * answer in `timeout_ms`.
 *
 * LH_OK: *ret_store is the store, to be closed with lh_store_close(). LH_INVALID (an option),
 * LH_CONFIG (the URI does not parse, or asks for what cannot be; weak write concern; TLS that
 * checks less; a certificate that is not accepted; a replicaSet that is another one; a mongos; a
 * shard or config server; a server below 6.0; no unique index; an index by which the server deletes
 * leases that are held), LH_UNREACHABLE, LH_DENIED, LH_MEMORY, or what lh_migrate() returns. */
LH_API int lh_store_open(const lh_store_options *options, lh_store **ret_store, lh_error *error);

/* Closes the store: ends all waiting (LH_CLOSED), joins the store's threads, and releases, within
 * about `timeout_ms` in all (two to three times that where a server hangs), what it holds (leases
 * whose handle was neither released nor freed) and what it may hold (acquires that ended
 * LH_UNKNOWN). Handles stay allocated and must still be freed; any other call on them returns
 * LH_INVALID. No other thread may be inside a call on the store, but for those that wait in
 * lh_acquire(), lh_acquire_many() or lh_waiting_finish(). Not from a callback of the store. */
LH_API void lh_store_close(lh_store *store);

/* What is odd about the connection string and was not refused: options that are unknown (misspelt
 * ones too), given twice, or not understood, and have no effect; those about security are refused
 * (LH_CONFIG). leasehold-connection(7) says of every option what becomes of it. The i-th sentence,
 * NULL past the last; it never quotes a value, and belongs to the store. The driver's log has them
 * too (lh_driver_log()), and lh_doctor() reports them. */
LH_API const char *lh_store_warning(const lh_store *store, size_t i);

/* What a store that does not enforce let pass since it was opened. All 0 in a store that
 * enforces. */
typedef struct lh_observed {
    size_t size;
    int rollout;        /* LH_ENFORCE, LH_OBSERVE or LH_OFF */
    uint64_t granted;   /* acquires (keys) that would have been granted, and were recorded */
    uint64_t contended; /* … that would have been told busy, or would have waited */
    /* calls that would have failed otherwise: unreachable, denied, no index, … */
    uint64_t failed;
    /* Leases that ended before they were released, or that were not there when they were to be
     * renewed. */
    uint64_t lost;
    uint64_t skipped; /* LH_OFF: acquires (keys) for which nothing was asked */
} lh_observed;

#define LH_OBSERVED_INIT                                                                           \
    {                                                                                              \
        sizeof(lh_observed), 0, 0, 0, 0, 0, 0                                                      \
    }
LH_API void lh_observed_init(lh_observed *observed, size_t size);

/* LH_OK: *ret_observed is filled. LH_INVALID, LH_FORKED. No command is sent. */
LH_API int lh_store_observed(lh_store *store, lh_observed *ret_observed, lh_error *error);

/* What the MongoDB driver has to say (it logs to stderr by default): `fn` gets each line instead,
 * from any thread; NULL drops them. Lines that would quote a connection string are replaced;
 * without this call the driver prints them. Process-wide, so for programs, not for libraries; call
 * it before the first store is opened. */
LH_API void lh_driver_log(void (*fn)(void *arg, int level, const char *line), void *arg);

/* ---- Keys -------------------------------------------------------------------------------------
 *
 * A key is 1 to 1,024 bytes of UTF-8 without control characters (U+0000–U+001F, U+007F–U+009F). */

/* LH_OK, or LH_INVALID with what is wrong and at which byte. `key` need not be NUL-terminated. */
LH_API int lh_key_check(const char *key, size_t key_len, lh_error *error);

/* What programs agree on: a key names the thing that is worked on, not who works on it nor how.
 *
 *   project:{id}              a project with all that is in it: lh_key_join("project", id)
 *   root:{provider}:{root}    a place outside, as its provider names it: lh_key_join("root", "github", "org/repo")
 *   {entity}:{id}             whatever else has an id: document:7, job:nightly
 *
 * Things that are related: where one contains the other, path keys (the option `path` of
 * lh_acquire()): a lease on org shuts out org/project, and the other way round. Where they are side
 * by side, lh_acquire_many(): all or nothing, in any order. What is always worked on together needs
 * one key. A key is stored, and shown to operators: no secrets in it. */

/* Joins `n` parts to a key: "project", "42" gives project:42. A ':' or '%' inside a part is written
 * %3A or %25, so that different parts never give the same key. LH_OK: *ret_key is to be freed with
 * lh_string_free(). LH_INVALID: no part, an empty part, or the result is no key. */
LH_API int lh_key_join(const char *const *parts, size_t n, char **ret_key, lh_error *error);
LH_API void lh_string_free(char *string);

/* ---- Names ------------------------------------------------------------------------------------
 *
 * A name with a line feed or a blank at its end is another name that looks the same: two programs,
 * two databases, two holders of one key. So every name that a program gives (db, collection, audit,
 * archive, owner, app_name, and what the connection string names) is refused with white space or
 * control characters in it or around it: LH_INVALID, in a connection string LH_CONFIG. It is never
 * changed, as a program may use it for commands of its own. Only an owner may have blanks (U+0020)
 * between words: "Ann Lee". The command line trims what its options and variables say; a program
 * that reads a name from a file or a variable does it with this. */

/* The text without the white space around it: Unicode's, and the invisible U+180E, U+200B, U+2060
 * and U+FEFF. Returns where it begins, in `text`; *ret_len is its length in bytes, 0 where nothing
 * is left. */
LH_API const char *lh_trim(const char *text, size_t *ret_len);

/* ---- What is known of a key -------------------------------------------------------------------*/
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
    LH_WHY_PATH = 7,       /* a path above or below it is held: the record's key says which */
};
/* "held", "queue", "malformed", "full", "race", "full_queue", "path". */
LH_API const char *lh_why_word(int why);

typedef struct lh_holder {
    /* "" where the document names none (`user_id` is shown where there is no `owner`) */
    const char *owner;
    const char *host;       /* "" where unknown */
    const char *purpose;    /* "" where none was given */
    int64_t pid;            /* 0 where unknown */
    int mode;               /* LH_EXCLUSIVE or LH_SHARED */
    int64_t token;          /* 0 for a lock of older code */
    int64_t acquired_at_ms; /* 0 where unknown */
    int64_t expires_at_ms;  /* LH_NEVER: no end, or one that cannot be read */
    /* by the server's clock when it answered; 0 or less: past its end. LH_NEVER likewise */
    int64_t remaining_ms;
} lh_holder;

typedef struct lh_waiter {
    const char *owner, *purpose;
    int mode;
    int64_t since_ms; /* when it queued */
} lh_waiter;

typedef struct lh_record {
    /* for a document whose workspace_id is no string: its value as extended JSON */
    const char *key;
    int state;           /* LH_FREE, LH_HELD or LH_MALFORMED (counts as held) */
    const char *problem; /* LH_MALFORMED: what cannot be read, in words; else "" */
    int64_t token;       /* the highest ever granted on the key; 0 if none was */
    /* its holder is past its end and nobody took over yet: LH_FREE, and released_how is "expire" */
    bool expired;
    /* how many the deployment counted; lh_record_holder() may give fewer (see there) */
    size_t holders, waiters;
    int64_t now_ms; /* the server's clock when it answered */
    /* How the previous holder ended; released_how is "" where that is unknown. */
    const char *released_how; /* "release", "expire", "transfer" or "break" */
    const char *released_owner, *released_by, *released_reason;
    int64_t released_at_ms;
    /* Only from an acquire that was told busy: */
    int why;                /* LH_WHY_… */
    int64_t retry_after_ms; /* when asking again is worth it: a hint */
    /* What the holder before left for whoever holds next (lh_lease_release_with()); "" and 0 where
     * there is nothing. */
    const char *note;
    int64_t note_token; /* of the lease under which it was written */
    int64_t note_at_ms;
    /* The document's _id where that is a string other than the key, perhaps the name of another
     * key; else "". */
    const char *document_id;
    /* Only from lh_status(): the key of the document that has this key for its _id (as in `key`),
     * where that is another's; else "". */
    const char *id_taken_by;
    /* From lh_status() and lh_list(), where the key does not name the document (it cannot be read,
     * or no lease can have its key): its _id as extended JSON, for lh_status_by_id() and the
     * options named `id`; else "". */
    const char *id_json;
} lh_record;

/* The i-th holder and waiter, NULL past the last. A record from lh_acquire() carries one holder (of
 * several readers, the newest, with the last of their ends) and no waiter; one from lh_status() and
 * lh_list() carries all. Borrowed from the record. */
LH_API const lh_holder *lh_record_holder(const lh_record *record, size_t i);
LH_API const lh_waiter *lh_record_waiter(const lh_record *record, size_t i);
LH_API void lh_record_free(lh_record *record);

/* ---- Leases -----------------------------------------------------------------------------------*/
typedef struct lh_acquire_options {
    size_t size;
    int64_t ttl_ms; /* 1,000 … 604,800,000 (7 days); default 30,000 */
    int mode;       /* LH_EXCLUSIVE (default) or LH_SHARED */
    /* 1–256 bytes: who, for people; never a proof of anything. NULL: the store's */
    const char *owner;
    const char *purpose; /* up to 1,024 bytes: why, for people. NULL: none */
    /* LH_LEASE_ID_LEN hexadecimal digits, from a good random source, never used before: for a
     * caller that records the id before it asks, and goes on with it after a crash: then no sooner
     * than `timeout_ms` later, when nothing of the crashed process is on its way any more, a
     * release in the background for one. NULL: the library draws one. */
    const char *lease_id;
    int64_t timeout_ms; /* for one command, with its repetitions; 0 (default): the store's */
    int64_t wait_ms;    /* how long to wait in the queue: 0 (default) asks once; LH_FOREVER */
    /* How long a waiter may be silent until it is skipped, and a grant unclaimed until it ends:
     * 1,000 … 60,000, cut to the ttl; default 5,000. A waiter shows three times in it that it is
     * alive. */
    int64_t claim_ms;
    /* true: the caller renews the lease; false (default): the store's keeper does, at a third of
     * the ttl, until it is released, its handle is freed, or the store is closed. */
    bool by_hand;
    /* the key is a path (org/project/file), and shuts out those above and below it: see
     * lh_acquire() */
    bool path;
    bool resume; /* what the same owner holds already is taken over: see lh_acquire() */
    /* ends the wait from another thread; NULL: nothing does. It must outlive the call */
    struct lh_cancel *cancel;
    /* Who holds it, how long still (record), and how many wait in front (place): once when the wait
     * begins, and whenever the library hears more. Called from the thread that waits in
     * lh_acquire() or lh_waiting_finish(); the record is borrowed. */
    void (*feedback)(void *arg, const lh_record *record, uint32_t place);
    void *feedback_arg;
} lh_acquire_options;

#define LH_ACQUIRE_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(lh_acquire_options), LH_TTL_DEFAULT_MS, LH_EXCLUSIVE, NULL, NULL, NULL, 0, 0, 5000, \
            false, false, false, NULL, NULL, NULL                                                  \
    }
LH_API void lh_acquire_options_init(lh_acquire_options *options, size_t size);

/* Asks for the lease on `key`: one command, decided by the server with the server's clock. (The
 * first acquire of a store that was opened with LH_AT_OPEN_NOTHING looks at the index before.) With
 * wait_ms it stays in the key's queue, first come, first served, until it is granted, until that
 * time is over, or until it is cancelled; whoever leaves the queue leaves no trace in it.
 *
 * LH_OK: granted, acknowledged by a majority; *ret_lease is to be freed with lh_lease_free(). After
 * a wait its first
 *   lh_lease_remaining_ms() may be no more than claim_ms; the keeper extends it to the full ttl
 *   within a tenth of a second.
 * LH_BUSY: somebody else holds it, or the wait is over. *ret_busy (if not NULL) says who, to be
 * freed with lh_record_free(). LH_CANCELLED, LH_CLOSED: the wait was ended; nothing is held.
 * LH_UNKNOWN: the server may have granted it and the answer was lost; asked again with the same
 * lease id until the timeout,
 *   in vain. error->lease_id names it. Believe nothing: the store's keeper releases it in the
 *   background as soon as a server answers, and what it did not come to, closing the store does;
 *   else it ends with its ttl. Its id is spent.
 * LH_LOST: the grant's answer came after the lease's end, or repeatedly too late to be believed.
 * LH_INVALID, LH_UNREACHABLE (surely not granted), LH_DENIED, LH_CONFIG (no unique index …),
 * LH_SERVER, LH_FORKED, LH_MEMORY. LH_DATA: the connection broke, and the key's document has a
 * field twice, which some servers die of: it was not asked for again.
 *
 * `path`: the key is parts with a '/' between them, none empty; else LH_INVALID. A lease on `org`
 * then shuts out all below it (org/project, org/project/file), and the other way round; two shared
 * ones do not shut each other out. Two round trips: the key itself is acquired, then the ones above
 * and below it are looked at; if any is held, the key is let go of, and LH_BUSY names the one that
 * was in the way (its key is the record's, its reason LH_WHY_PATH). Of two that ask for org and
 * org/project at the same moment, without waiting, both may be told busy; never are both granted.
 *   - All who use a tree must use `path`: an ordinary lease on org shuts out paths below it, but
 *     nobody who acquires org/project without `path` looks at org.
 *   - Waiting: in the queue of the key itself first come, first served. From then on who is above
 *     goes before who is below: it keeps its key, so that nothing new is granted below, until what
 *     is held below has ended; who is below lets go, and comes back (into the queue's end) when
 *     what is above is free. That is polled, at delays that grow to 250 ms: a path that is always
 *     held above is not granted below.
 *   - What is below costs: the look reads the documents of all keys below this one, free ones too
 *     until they are cleaned up.
 *   - Not with lh_acquire_start() (LH_INVALID), nor, while it waits, with a `lease_id`.
 *
 * `resume`: a backend that was restarted goes on with what it held: where the key is held
 * exclusively by exactly this owner, it is granted to it again, past the queue: one command, a new
 * lease id, a higher token. The lease before ends with it, as if transferred: its holder is told
 * LH_LOST at its next renewal. That waives invariant 1 between the two: the one before, if it still
 * runs, may believe until its deadline (fencing tokens hold). An owner is a name and no proof: use
 * it only where the name belongs to one instance alone (host, service and number), and `owner` must
 * be given in these options. Whoever else holds the key is busy, as ever; a document that cannot be
 * read too. Exclusive leases only (LH_INVALID). */
LH_API int lh_acquire(lh_store *store, const char *key, const lh_acquire_options *options,
                      lh_lease **ret_lease, lh_record **ret_busy, lh_error *error);

#define LH_MANY_MAX 1000 /* keys in one lh_acquire_many() */

/* Asks for the leases on `n` keys, 1 … LH_MANY_MAX, all or nothing, in any order: callers with
 * overlapping keys never wait for each other in a circle, because the library takes them in one
 * order, and what is not granted lets go of all. The options count for each key; `lease_id` must be
 * NULL, no key may be there twice. A hundred keys cost two round trips where they are free, and one
 * to three more for each key that others wait for or share.
 *
 * With wait_ms, which counts for all together, it stays in the queue of the first key that is not
 * free, holds the ones before it in that order, and renews them (also with `by_hand`: until it
 * returns); on_lost may then name one of them. `path` only without waiting: two that hold a part
 * each would wait for each other.
 *
 * LH_OK: ret_leases[i] is the lease on keys[i], each to be freed with lh_lease_free(), renewed and
 * released on its own. On any other outcome nothing is held, and ret_leases is untouched: LH_BUSY:
 * *ret_busy (if not NULL) says who holds the first key that was not
 *   granted: its `key` is that one. LH_LOST: one ended while the others were asked for. LH_UNKNOWN:
 *   the server may have granted some and did not answer: believe nothing; they are released when
 *   the store is closed, else they end with their ttl. LH_INVALID: the sentence says which key. The
 *   others as lh_acquire(). It may take twice `timeout_ms`, for the release of what it got. */
LH_API int lh_acquire_many(lh_store *store, const char *const *keys, size_t n,
                           const lh_acquire_options *options, lh_lease **ret_leases,
                           lh_record **ret_busy, lh_error *error);

/* A way to end waits from another thread: lh_cancel_now() ends those that have it among their
 * options, now and from now on. LH_OK: *ret_cancel, to be freed when no call uses it any more.
 * LH_MEMORY: no memory or no descriptor is left. */
typedef struct lh_cancel lh_cancel;
LH_API int lh_cancel_new(lh_cancel **ret_cancel, lh_error *error);
LH_API void lh_cancel_now(lh_cancel *cancel);
LH_API void lh_cancel_free(lh_cancel *cancel);

/* The same without a thread that waits: sends the first command, as lh_acquire() does, and returns;
 * from then on a waiter is an entry in the store's table, whatever their number. `wait_ms` counts
 * from here; `cancel` and `feedback` are used in lh_waiting_finish().
 *
 * LH_OK: *ret_waiting, to be ended by exactly one of finish and cancel, also after the store was
 * closed. It may be settled already. LH_INVALID, LH_FORKED, LH_CLOSED, LH_MEMORY: nothing was sent.
 * What the server said is told by lh_waiting_finish(). */
typedef struct lh_waiting lh_waiting;
LH_API int lh_acquire_start(lh_store *store, const char *key, const lh_acquire_options *options,
                            lh_waiting **ret_waiting, lh_error *error);

/* A descriptor that is readable when the wait is settled: for poll(); not to be read or closed. It
 * lives as long as the waiting. -1: the system has no descriptor left (lh_waiting_finish() works
 * without). */
LH_API int lh_waiting_fd(lh_waiting *waiting);

/* What came of it, as from lh_acquire(); waits for it if it is not settled yet. Frees `waiting`, on
 * every outcome. */
LH_API int lh_waiting_finish(lh_waiting *waiting, lh_lease **ret_lease, lh_record **ret_busy,
                             lh_error *error);

/* Leaves the queue, or releases what was granted meanwhile: one command. Frees `waiting`, on every
 * outcome. NULL: nothing is done. LH_OK: nothing is held. LH_UNKNOWN, LH_UNREACHABLE, LH_SERVER: it
 * is sent again in the background; its place ends after claim_ms at the latest, and a grant that it
 * gets unclaimed too. What else the wait had ended with, as from lh_waiting_finish(). */
LH_API int lh_waiting_cancel(lh_waiting *waiting, lh_error *error);

/* Acquires (and waits, if the options say so), calls `fn`, and releases. `fn` returns LH_OK or an
 * outcome of its own, and should look at lh_lease_valid() between its steps. LH_OK: `fn` returned
 * it, and the lease was valid until then. LH_LOST: `fn` returned LH_OK, but the lease had ended
 * before. Else what lh_acquire() or `fn` returned. What became of the release is not told: the
 * lease ends with its ttl at the latest. */
LH_API int lh_with_lease(lh_store *store, const char *key, const lh_acquire_options *options,
                         int (*fn)(void *arg, lh_lease *lease), void *arg, lh_error *error);

/* A handle on a lease that somebody else acquired: another process goes on with it. No command is
 * sent and nothing is believed (lh_lease_valid() is false) until the first lh_lease_renew()
 * succeeded. The keeper leaves it alone, until it is given it (lh_lease_keep()). Freeing the handle
 * does not release. LH_OK: *ret_lease. LH_INVALID, LH_MEMORY. */
LH_API int lh_lease_attach(lh_store *store, const char *key, const char *lease_id,
                           lh_lease **ret_lease, lh_error *error);

/* Gives the lease to the store's keeper: from here on it is as one that this store acquired without
 * `by_hand`: renewed at a third of its ttl, its loss told to `on_lost`, released by
 * lh_store_close(). For one that was attached to, and renewed once; or that was acquired `by_hand`.
 * No command is sent. A later lh_lease_renew() leaves it with the keeper. LH_OK, also where the
 * keeper has it already. LH_LOST: it has ended. LH_INVALID: attached, and not yet renewed.
 * LH_CLOSED, LH_FORKED, LH_MEMORY: the system has no thread or file descriptor left. */
LH_API int lh_lease_keep(lh_lease *lease, lh_error *error);

/* Extends the lease to the later of its present end and now + ttl_ms (0: the ttl that it was
 * acquired or last renewed with). One command. Never shortens, never revives a lease that has
 * ended, never changes the token (invariant 4).
 *
 * LH_OK: lh_lease_remaining_ms() and lh_lease_expires_at_ms() say the end that is stored now.
 * LH_LOST: the lease has ended, for good; stop the work; *ret_record (if not NULL) says who holds
 * the key now, or is NULL where the server could not be asked. LH_UNREACHABLE: not known to be
 * extended: the lease is still valid until lh_lease_remaining_ms() is 0; try again. LH_INVALID,
 * LH_DATA, LH_DENIED, LH_SERVER, LH_FORKED. */
LH_API int lh_lease_renew(lh_lease *lease, int64_t ttl_ms, lh_record **ret_record, lh_error *error);

/* Gives the lease back; from the call on lh_lease_valid() is false. One command, which grants the
 * head of the queue if there is one. Releasing again what was released is LH_OK, and so is a lease
 * that ended and that nobody took.
 *
 * LH_LOST: the key is somebody else's by now; nothing was changed. LH_UNKNOWN: sent, the answer was
 * lost; it is sent again in the background, and the lease ends with its ttl at the latest.
 * LH_UNREACHABLE (surely not released), LH_DATA, LH_DENIED, LH_SERVER, LH_FORKED. */
LH_API int lh_lease_release(lh_lease *lease, lh_error *error);

typedef struct lh_release_options {
    size_t size;
    /* For whoever holds the key next: a version, an etag, what was changed. Up to LH_TEXT_MAX bytes
     * of UTF-8 without control characters; NULL or "": none. */
    const char *note;
} lh_release_options;

#define LH_RELEASE_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(lh_release_options), NULL                                                           \
    }
LH_API void lh_release_options_init(lh_release_options *options, size_t size);

/* As lh_lease_release(), in one command too, and leaves a note. Who is granted the key next, from
 * the queue or later, finds it with lh_lease_note(), and lh_watch() tells it.
 *
 * A note is there only where nobody has held the key alone since it was left: a holder that leaves
 * none, dies, is broken, or hands the lease on takes it away. So whoever knows the state that it
 * names need not look further, and where there is none, everything may be different. Readers
 * (LH_SHARED) change nothing: the note stays while they come and go, unless one leaves another; but
 * when the last of them is not released it goes. Programs without Leasehold that write the document
 * in place, without its `released`, leave it as it is until their lock's end.
 *
 * LH_INVALID: the note is too long or no such text; nothing was sent, and the lease is held as
 * before. Releasing again what was released leaves no other note. LH_UNKNOWN: the note may be
 * missing, also where the lease is released in the background. */
LH_API int lh_lease_release_with(lh_lease *lease, const lh_release_options *options,
                                 lh_error *error);

typedef struct lh_note {
    const char *text;
    /* of the lease under which it was written: of the last that was released with a note */
    int64_t token;
    int64_t at_ms; /* when that was */
} lh_note;

/* The note that the holder before left. It came with the grant, and no command is sent, where this
 * process' own acquire was granted at once; after a wait, of many keys, and of an attached lease
 * (once renewed) the first call reads it, in one round trip.
 *
 * LH_OK: *ret_note is the note, which lives as long as the handle; NULL: none was left. LH_LOST:
 * the key's document does not show the lease (any more); the lease itself is left as it is.
 * LH_INVALID, LH_UNREACHABLE, LH_DENIED, LH_SERVER, LH_FORKED, LH_MEMORY. */
LH_API int lh_lease_note(lh_lease *lease, const lh_note **ret_note, lh_error *error);

/* Hands the lease on to `to_owner`, past the queue: one command that ends it and grants the key
 * under a new lease id, with the lease's full ttl and a higher token. Whoever is given the id holds
 * it after lh_lease_attach() and its first lh_lease_renew(), and nobody does before. From the call
 * on lh_lease_valid() is false.
 *
 * No note is left: who is told the id can be told the rest too.
 *
 * LH_OK: ret_lease_id is the new id. LH_LOST: it had ended; nothing was changed. LH_UNKNOWN: sent,
 * the answer was lost: error->lease_id names the new lease, which ends with its ttl if nobody
 * renews it. LH_UNREACHABLE: surely not handed on; release the lease, or let it end. LH_INVALID
 * (to_owner: 1–256 bytes), LH_DATA, LH_DENIED, LH_SERVER, LH_FORKED. */
LH_API int lh_lease_transfer(lh_lease *lease, const char *to_owner,
                             char ret_lease_id[LH_LEASE_ID_LEN + 1], lh_error *error);

/* A descriptor that becomes readable when the lease is lost: at once when that is heard of, and by
 * itself at the local deadline, even while the process's other threads hang. For poll(), not to be
 * read or closed; it lives as long as the handle. It never becomes readable after a release. -1:
 * the system has none left. */
LH_API int lh_lease_lost_fd(lh_lease *lease);

/* May the holder still work? True until the local deadline: the time at which the command that
 * granted or last renewed the lease was sent, plus the ttl (or what its answer shows to be left,
 * where an earlier command gave more), less a drift allowance of a thousandth of that and 2 ms, on
 * CLOCK_BOOTTIME, which goes on while the machine sleeps. No command is sent; a passed deadline is
 * final. */
LH_API bool lh_lease_valid(const lh_lease *lease);
/* Milliseconds until that deadline, 0 when it has passed. */
LH_API int64_t lh_lease_remaining_ms(const lh_lease *lease);

/* The fencing token: strictly increasing per key, over release, break, expiry, cleanup, failover
 * (invariant 2). 0 on an attached lease that was not renewed yet. Send it along with what is
 * written under the lease, and refuse a smaller one; for what is in MongoDB leasehold/mongo.h does
 * that. */
LH_API int64_t lh_lease_token(const lh_lease *lease);
LH_API const char *lh_lease_key(const lh_lease *lease);
/* a capability: whoever knows it may renew and release */
LH_API const char *lh_lease_id(const lh_lease *lease);
LH_API const char *lh_lease_owner(const lh_lease *lease);
LH_API int lh_lease_mode(const lh_lease *lease);
LH_API int64_t lh_lease_ttl_ms(const lh_lease *lease);
LH_API int64_t lh_lease_expires_at_ms(
    /* by the server's clock, as last heard, or reckoned from that; 0: not heard yet */
    const lh_lease *lease);

/* Does it bind? False in a store that observes or is off: then others may be at the same work, and
 * the calls above never say that it ended. */
LH_API bool lh_lease_enforced(const lh_lease *lease);
/* Why it would not have been granted, as lh_acquire() would have said (who holds it, what failed):
 * borrowed from the lease. NULL: it was granted, or nothing was asked (LH_OFF). Such a lease is not
 * stored: renewing, releasing and handing it on do nothing, and are LH_OK. */
LH_API const lh_error *lh_lease_refusal(const lh_lease *lease);

/* Frees the handle and forgets the lease, which is not released: it ends with its ttl, unless
 * somebody attaches to it by its id. A handle may be freed before or after its store is closed. */
LH_API void lh_lease_free(lh_lease *lease);

/* ---- Seeing and acting: for operators ---------------------------------------------------------*/

/* What is stored for `key`, read from the primary with majority read concern. LH_OK: *ret_record,
 * also where there is no document (free, token 0). A document that cannot be read is LH_OK with
 * state LH_MALFORMED. LH_INVALID (the key), … */
LH_API int lh_status(lh_store *store, const char *key, lh_record **ret_record, lh_error *error);

/* The same of the document with this _id, extended JSON: {"$oid": "65f0…"}, 7, "text". It finds
 * what has no key, or none that a lease could have. LH_LOST: there is none. */
LH_API int lh_status_by_id(lh_store *store, const char *id, lh_record **ret_record,
                           lh_error *error);

typedef struct lh_list_options {
    size_t size;
    const char *prefix; /* only keys that begin with this; NULL: all */
    const char *owner;  /* only keys that this owner holds (or waits for); NULL: all */
    bool expired;       /* only holders past their end that nobody took over */
    bool malformed;     /* only documents that cannot be read */
    /* also keys that are free; without it only held and malformed ones are given */
    bool free_too;
    uint64_t limit; /* 0: all */
} lh_list_options;

#define LH_LIST_OPTIONS_INIT                                                                       \
    {                                                                                              \
        sizeof(lh_list_options), NULL, NULL, false, false, false, 0                                \
    }
LH_API void lh_list_options_init(lh_list_options *options, size_t size);

/* Streams the records in key order, in constant memory. `each` borrows the record for the call and
 * returns 0 to go on; anything else ends the list with LH_STOPPED. It is called in this thread.
 * What changes meanwhile may be missed, or be seen. LH_OK: all were told. LH_STOPPED, LH_INVALID
 * (the prefix is no part of a key), … (some may have been told before) */
LH_API int lh_list(lh_store *store, const lh_list_options *options,
                   int (*each)(void *arg, const lh_record *record), void *arg, lh_error *error);

/* Somebody who holds, or waits, for the longest time. */
typedef struct lh_since {
    const char *key;   /* NULL: nobody does */
    const char *owner; /* "" where the document names none */
    int64_t at_ms;     /* since when */
} lh_since;

/* What all documents say together. Each key is exactly one of: exclusive, shared, malformed, free,
 * expired. */
typedef struct lh_stats_report {
    uint64_t documents;
    uint64_t exclusive, shared; /* keys with a holder that is not past its end + grace */
    uint64_t malformed;         /* cannot be read: held, until an operator breaks it */
    uint64_t free;              /* released, its document is kept for the token */
    /* past its end + grace, and nobody took over yet: whoever asks gets it */
    uint64_t expired;
    uint64_t shared_holders; /* leases on the shared keys */
    /* keys that somebody waits for; who waits, without those that stopped beating */
    uint64_t queues, waiters;
    /* the lease that has been held for the longest time without a break */
    lh_since oldest;
    lh_since longest_wait;
    int64_t now_ms; /* the server's clock when it answered; 0: there is no document */
} lh_stats_report;

typedef struct lh_stats_options {
    size_t size;
    /* for the server's pass over the collection: 100 … 3,600,000; default 60,000 */
    int64_t timeout_ms;
} lh_stats_options;

#define LH_STATS_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(lh_stats_options), 60000                                                            \
    }
LH_API void lh_stats_options_init(lh_stats_options *options, size_t size);

/* Counts: one command, in which the server reads every document once (majority, on the primary) and
 * answers a few numbers. It takes some seconds for a million documents, and is not a snapshot: what
 * changes meanwhile is counted before or after. After `timeout_ms` the server gives up too. LH_OK:
 * *ret_report, to be freed with lh_stats_free(). LH_INVALID, LH_UNREACHABLE (also: out of time),
 * LH_DENIED, LH_SERVER, … */
LH_API int lh_stats(lh_store *store, const lh_stats_options *options, lh_stats_report **ret_report,
                    lh_error *error);
LH_API void lh_stats_free(lh_stats_report *report);

/* ---- Watching ---------------------------------------------------------------------------------*/

/* What happens to keys. An end by time is no event: nothing is written then. It is told
 * (LH_EVENT_EXPIRED) when somebody takes the key over, or when lh_cleanup() marks it. The words are
 * what the command line prints as "event" in JSON. */
#define LH_EVENTS(X)                                                                               \
    X(LH_EVENT_OPENED, 0, "opened")           /* watching has begun: events follow from here on */ \
    X(LH_EVENT_GAP, 1, "gap")                 /* events before this one may have been missed */    \
    X(LH_EVENT_GRANTED, 2, "granted")         /* `how` says by what command */                     \
    X(LH_EVENT_RENEWED, 3, "renewed")         /* also a direct grant that its receiver claims */   \
    X(LH_EVENT_RELEASED, 4, "released")       /* `how` "other": by a program that does not say */  \
    X(LH_EVENT_TRANSFERRED, 5, "transferred") /* handed on; a grant by transfer follows */         \
    X(LH_EVENT_BROKEN, 6, "broken")           /* by an operator: `by`, `reason` */                 \
    X(LH_EVENT_EXPIRED, 7, "expired")         /* ended before, and noticed now */                  \
    X(LH_EVENT_QUEUED, 8, "queued")           /* a waiter joined the queue */                      \
    X(LH_EVENT_LEFT, 9, "left")               /* a waiter gave up, or was dropped as dead */       \
    X(LH_EVENT_REMOVED, 10, "removed")        /* the document was deleted, with any holder */      \
    X(LH_EVENT_SPOILT, 11, "spoilt")          /* unreadable now: `reason`; it counts as held */

enum {
#define X(name, number, word) name = number,
    LH_EVENTS(X)
#undef X
};

/* "granted", …; "" for a number that is none. */
LH_API const char *lh_event_word(int event);

/* Strings are "" and numbers 0 where there is nothing to say. A lease id is never in it. */
typedef struct lh_event {
    int kind; /* LH_EVENT_… */
    /* for `after`, opaque, without blanks; "" where one cannot resume (on a standalone) */
    const char *id;
    const char *key;     /* "" for LH_EVENT_OPENED and LH_EVENT_GAP */
    int64_t at_ms;       /* when, by the server's clock; on a standalone when it was noticed */
    const char *how;     /* granted: "acquire", "queue", "transfer"; released: "release", "other" */
    const char *owner;   /* of whom it is told: who holds, waits, held */
    const char *host;    /* … */
    const char *purpose; /* … */
    int64_t pid;
    int mode; /* LH_EXCLUSIVE or LH_SHARED */
    int64_t token;
    int64_t expires_at_ms; /* LH_NEVER: no end */
    const char *by;        /* broken: who did */
    const char *reason;    /* broken: why; spoilt: what cannot be read */
    const char *note;      /* released: what was left for whoever holds next */
} lh_event;

typedef struct lh_watch_options {
    size_t size;
    const char *const *keys; /* these keys, and */
    size_t n_keys;           /* … at most 1,000 */
    const char *prefix;      /* all that begin with this; without either: all */
    /* an event's id: go on behind it; with the same keys and prefix. NULL: from now on */
    const char *after;
    /* ends it from another thread; NULL: nothing does. It must outlive the call */
    struct lh_cancel *cancel;
} lh_watch_options;

#define LH_WATCH_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(lh_watch_options), NULL, 0, NULL, NULL, NULL                                        \
    }
LH_API void lh_watch_options_init(lh_watch_options *options, size_t size);

/* Gives each event to `each`, in this thread, as it happens, until `each` returns other than 0
 * (LH_STOPPED) or `cancel` is told (LH_CANCELLED, within half a second; up to `timeout_ms` while a
 * server hangs). `each` borrows the event for the call, and must not watch too long: meanwhile
 * nobody reads. What programs without Leasehold do to the documents is told too, as well as it can
 * be.
 *
 * On a replica set the change stream tells everything, in order, once it is safe (majority). It
 * goes on by itself over elections and lost connections, and tells each event once. Where that
 * cannot be (the oplog has rolled over; the collection was dropped; `after` is older than what the
 * server remembers of the past, by default five minutes), LH_EVENT_GAP is told, and then, where
 * known, what is different now. On a standalone there is no change stream: all watched documents
 * are read five times a second (more seldom where that takes long: it is a fifth of the time at
 * most), and the differences are told: a lease that came and went in between is missed.
 *
 * It takes one of the store's connections for as long, and in memory about as much as the watched
 * documents: name keys, or a prefix, where the collection is large. The store is not to be closed
 * meanwhile.
 *
 * LH_STOPPED, LH_CANCELLED. LH_INVALID (an option). LH_UNREACHABLE: no server answered before it
 * was opened; from then on it tries for ever. LH_DENIED (needs find and changeStream on the
 * collection), LH_CONFIG, LH_SERVER, LH_FORKED, LH_MEMORY. */
LH_API int lh_watch(lh_store *store, const lh_watch_options *options,
                    int (*each)(void *arg, const lh_event *event), void *arg, lh_error *error);

typedef struct lh_break_options {
    size_t size;
    const char *reason; /* why: required, 1–1,024 bytes; stored with the key */
    const char *by;     /* who: 1–256 bytes; NULL: the store's owner */
    /* break only if this is still the grant's token; -1: whatever is held now */
    int64_t token;
    const char *id; /* the document with this _id (extended JSON), where `key` is NULL */
} lh_break_options;

#define LH_BREAK_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(lh_break_options), NULL, NULL, -1, NULL                                             \
    }
LH_API void lh_break_options_init(lh_break_options *options, size_t size);

/* Takes the key (or, by its _id, a document whose key no lease could have) from whoever holds it,
 * also where the document cannot be read; the head of the queue gets it. The one operation that
 * waives invariant 1: the broken holder may believe until its deadline; fencing tokens still hold.
 * Two round trips: what is there, and the write, which matches exactly that.
 *
 * LH_OK: *ret_record is what was broken. LH_LOST: nobody holds it (any more), or another token than
 * asked for; *ret_record is untouched. LH_DATA: a field is stored twice, which some servers die of:
 * the message says what helps. LH_INVALID, LH_UNKNOWN, LH_UNREACHABLE, … */
LH_API int lh_break(lh_store *store, const char *key, const lh_break_options *options,
                    lh_record **ret_record, lh_error *error);

typedef struct lh_cleanup_options {
    size_t size;
    /* how long free, or past its end: 1,000 … a hundred years; default 86,400,000 (24 h) */
    int64_t older_than_ms;
    bool dry_run; /* count, change nothing */
    /* after each batch; not 0 ends with LH_STOPPED */
    int (*progress)(void *arg, uint64_t looked_at, uint64_t removed);
    void *progress_arg;
} lh_cleanup_options;

#define LH_CLEANUP_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(lh_cleanup_options), INT64_C(86400000), false, NULL, NULL                           \
    }
LH_API void lh_cleanup_options_init(lh_cleanup_options *options, size_t size);

typedef struct lh_cleanup_report {
    size_t size;
    uint64_t removed; /* documents deleted: free, or past their end, for that long */
    /* Holders past their end + grace, not yet that long: marked as ended, the queue's head
     * granted. */
    uint64_t holders_dropped;
    uint64_t waiters_dropped; /* waiters that stopped beating */
} lh_cleanup_report;

#define LH_CLEANUP_REPORT_INIT                                                                     \
    {                                                                                              \
        sizeof(lh_cleanup_report), 0, 0, 0                                                         \
    }
LH_API void lh_cleanup_report_init(lh_cleanup_report *report, size_t size);

/* Removes what is dead, in bounded batches; each document is judged again by the server in the
 * write that changes it. Documents that cannot be read are never touched. The report is filled on
 * every outcome with what was done. LH_OK, LH_STOPPED (by `progress`), LH_INVALID, LH_DENIED (needs
 * find, update and remove), … */
LH_API int lh_cleanup(lh_store *store, const lh_cleanup_options *options, lh_cleanup_report *report,
                      lh_error *error);

/* What a process that has died held, or waited for. Borrowed for the call; strings are "" where
 * there is nothing to say. */
typedef struct lh_reaped {
    const char *key, *owner, *purpose;
    int64_t pid, token; /* token 0: it waited */
    int mode;           /* LH_EXCLUSIVE or LH_SHARED */
    bool waited;        /* it stood in the queue; else it held the key */
    int64_t since_ms;   /* when it was granted, or queued; 0: unknown */
} lh_reaped;

typedef struct lh_reap_options {
    size_t size;
    bool dry_run;   /* look, change nothing */
    const char *by; /* who does it, for `released`; NULL: the store's owner */
    /* Told of each, after it was let go of (dry run: of each that would be); returns 0 to go on,
     * and anything else to end with LH_STOPPED. */
    int (*each)(void *arg, const lh_reaped *reaped);
    void *each_arg;
} lh_reap_options;

#define LH_REAP_OPTIONS_INIT                                                                       \
    {                                                                                              \
        sizeof(lh_reap_options), false, NULL, NULL, NULL                                           \
    }
LH_API void lh_reap_options_init(lh_reap_options *options, size_t size);

typedef struct lh_reap_report {
    size_t size;
    uint64_t holders; /* leases that were ended, or (dry run) would have been */
    uint64_t waiters; /* who was taken out of queues */
    /* leases and waiters of processes of this host that are not known to be dead */
    uint64_t alive;
} lh_reap_report;

#define LH_REAP_REPORT_INIT                                                                        \
    {                                                                                              \
        sizeof(lh_reap_report), 0, 0, 0                                                            \
    }
LH_API void lh_reap_report_init(lh_reap_report *report, size_t size);

/* Lets go of what processes on this host held, or waited for, that have died: for the start of a
 * service that was killed, so that nobody waits for the ends of its leases. The heads of the queues
 * get the keys. Safe at any time: it is done only where boot, host name, pid namespace, pid and
 * start time all are recorded with the lease, and that process is surely gone; one that is stopped,
 * that hides, that has a successor with its pid, that lives in another container or before a reboot
 * is not touched, nor what older programs acquired. A lease whose id another process renews
 * (lh_lease_attach()) or was handed (lh_lease_transfer()) is not either, nor one that was acquired
 * under an id of the caller's (`lease_id`): who recorded that may go on with it. Each write is
 * decided by the server, on the lease and the process that were read; `released` says "break", and
 * that the process has died.
 *   - What a process that has died started may go on. It worked without a renewal then, and fencing
 *     tokens hold.
 *   - Copies of a running machine (a snapshot that is resumed twice) have one boot id, and a
 *     process that was restored from a checkpoint (CRIU) has another start time, so that it seems
 *     to be dead: not there.
 *
 * The report is filled on every outcome with what was done. LH_OK. LH_CONFIG: this system does not
 * tell what is needed (/proc). LH_STOPPED, LH_INVALID, LH_UNREACHABLE, LH_DENIED (needs find and
 * update), … */
LH_API int lh_reap(lh_store *store, const lh_reap_options *options, lh_reap_report *report,
                   lh_error *error);

/* ---- The trail --------------------------------------------------------------------------------
 *
 * A store that was opened with `audit` writes a line for each lease that it grants or ends, into a
 * collection of its own:
 *   - "granted", and "taken_over" where the one before had not been released when it ended. Before
 *     the caller is told: no lease is acknowledged without its line. Where that cannot be written
 *     in time (at most five seconds), the lease is given back, and the call ends with what the line
 *     failed with: LH_UNREACHABLE, LH_DENIED, LH_CONFIG, LH_SERVER; or LH_UNKNOWN, where giving it
 *     back was not answered either. So a line may tell of a grant that nobody was told of.
 *   - "released", "transferred" (`to`: whom it was handed to, `to_token`), "broken", "reaped"
 *     (lh_reap()), after it was done, which stands whatever becomes of the line: the call returns
 *     LH_OK, and error->message is "" or says that the line is missing. (A grant's line says how
 *     the one before ended, so this is known all the same, once there is a next.) An end by time is
 *     no event: the next grant's line tells it. What was granted and never handed out (a wait that
 *     was cancelled, or its store closed) has no lines.
 *   - Not renewals. Not what stores without `audit` do: open all with it.
 * Lines are inserted and never changed: a backend needs the right to insert there, and no other.
 * lh_migrate() makes the indexes, of which one removes what is old; without them the trail grows.
 * Lease ids are not in it. */
typedef struct lh_audit_entry {
    int64_t at_ms;     /* when, by the server's clock */
    const char *event; /* see above */
    /* whose lease it was; strings are "" where there is nothing to say */
    const char *key, *owner;
    const char *host;           /* where, and by which process, it was done */
    int64_t pid;                /* … */
    const char *purpose;        /* of a grant */
    const char *by, *reason;    /* of an end: who did it, and why */
    const char *to;             /* of a transfer */
    const char *previous_owner; /* of an exclusive grant: who held it before, and how that ended: */
    const char *previous_how;   /* "release", "expire", "transfer", "break" */
    int64_t token, to_token;    /* 0: not known */
    int mode;                   /* of a grant */
} lh_audit_entry;

typedef struct lh_audit_options {
    size_t size;
    const char *key;  /* of this key alone; NULL: all */
    int64_t since_ms; /* so long ago, and later; LH_FOREVER (default): all there is */
    bool follow;      /* then go on, with what comes */
    /* ends that from another thread; NULL: nothing does. It must outlive the call */
    struct lh_cancel *cancel;
} lh_audit_options;

#define LH_AUDIT_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(lh_audit_options), NULL, LH_FOREVER, false, NULL                                    \
    }
LH_API void lh_audit_options_init(lh_audit_options *options, size_t size);

/* Gives each line to `each`, which borrows it for the call, and returns 0 to go on, anything else
 * to end with LH_STOPPED. In the order of time, in constant memory; with `follow` what comes is
 * given within a second of its being written, once, also over elections and lost connections, from
 * which it recovers by itself. But not the line of an end that was written more than ten seconds
 * after it, because a server hung: read again to see that.
 *
 * LH_OK (not with `follow`), LH_STOPPED, LH_CANCELLED. LH_INVALID (an option; a store without
 * `audit`), LH_UNREACHABLE, LH_DENIED (needs find on the trail), LH_SERVER, LH_FORKED,
 * LH_MEMORY. */
LH_API int lh_audit(lh_store *store, const lh_audit_options *options,
                    int (*each)(void *arg, const lh_audit_entry *entry), void *arg,
                    lh_error *error);

/* ---- Migration --------------------------------------------------------------------------------
 *
 * Puts the unique index `workspace_id_unique` on the collection, and removes what stands in its
 * way: of the documents of one key the one with the newest `expires_at` stays (dates, ISO-8601
 * strings and numbers compared as instants; null, missing and unreadable are oldest; the highest
 * _id wins a tie), the others are moved to the archive. Safe to call at every boot, by any number
 * of processes at once, beside live writers; resumes after a crash at any point. */
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
    /* may move duplicates to the archive. false: duplicates are LH_CONFIG, and reported. Default
     * true */
    bool remove;
    bool no_archive;     /* delete the losers without keeping a copy */
    const char *archive; /* NULL: "<collection>_archive" */
    /* Move documents that cannot be read to the archive too, such as those whose workspace_id is no
     * string. */
    bool quarantine;
    /* A collection none of whose documents has a string workspace_id is taken for another
     * program's, and refused; this says that it is one of leases. */
    bool adopt;
    /* Leave documents whose workspace_id is no string, also live ones; else those are LH_CONFIG. */
    bool accept_foreign_keys;
    /* with quarantine: also documents that are live: their end is to come, or is not known */
    bool even_live;
    bool even_most; /* with quarantine: also more than half of all documents */
    /* Where the index is there already: look for such documents too. A second round trip, which
     * reads few keys of the index; without it, quarantine and dry_run a call that finds the index
     * is one. The command line sets it. */
    bool check_keys;
    /* false (default): a migration that made the index tries leases as doctor's trial does: it
     * fails where they do not work, and the index stays. A user who may not acquire leases is not
     * refused: the report says that nothing was tried. A call that finds the index tries nothing,
     * and stays one round trip. true: nothing is tried. */
    bool no_trial;
    /* For the whole migration, waiting for other migrators included: up to 7 days; 0: the store's;
     * default 600,000. */
    int64_t timeout_ms;
    /* total 0: unknown; not 0 stops */
    int (*progress)(void *arg, const char *step, uint64_t done, uint64_t total);
    void (*verdict)(void *arg, const lh_verdict *verdict);
    void *arg; /* of both */
    /* A store with `audit`: its indexes are made too, and the server removes lines that are older:
     * 1,000 … ten years; default 30 days. */
    int64_t audit_keep_ms;
    /* With quarantine: only the document with this _id (extended JSON) is moved, and the index is
     * left alone. */
    const char *id;
} lh_migrate_options;

#define LH_MIGRATE_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(lh_migrate_options), false, true, false, NULL, false, false, false, false, false,   \
            false, false, 600000, NULL, NULL, NULL, INT64_C(2592000000), NULL                      \
    }
LH_API void lh_migrate_options_init(lh_migrate_options *options, size_t size);

/* Of what type a workspace_id is that is no string. */
enum {
    LH_KEY_MISSING = 0,
    LH_KEY_NULL = 1,
    LH_KEY_OBJECT_ID = 2,
    LH_KEY_INT = 3,
    LH_KEY_LONG = 4,
    LH_KEY_DOUBLE = 5,
    LH_KEY_DECIMAL = 6,
    LH_KEY_BINARY = 7, /* UUIDs too */
    LH_KEY_ARRAY = 8,
    LH_KEY_OBJECT = 9,
    LH_KEY_BOOL = 10,
    LH_KEY_DATE = 11,
    LH_KEY_REGEX = 12,
    LH_KEY_OTHER = 13, /* symbols, code, timestamps, the smallest and the largest key */
    LH_KEY_TYPES = 14,
};
/* "missing", "null", "objectId", "int", "long", "double", "decimal", "binData", "array", "object",
 * "bool", "date", "regex", "other". */
LH_API const char *lh_key_type_word(int type);

typedef struct lh_migrate_report {
    size_t size;
    int index; /* LH_INDEX_… at the end */
    /* A dry run found what a migration that was killed left of the index: the next run goes on, or
     * puts it back. */
    bool interrupted;
    bool tried;              /* leases were tried, and work */
    uint64_t scanned;        /* documents looked at (0 when the index was there) */
    uint64_t duplicate_keys; /* keys with more than one document */
    uint64_t removed;        /* losers deleted (dry run: that would be) */
    uint64_t archived;       /* copies written to the archive */
    /* documents that cannot be read moved to the archive (dry run: that would be) */
    uint64_t quarantined;
    /* documents that cannot be read: without a string workspace_id, or other fields cannot be */
    uint64_t malformed;
    uint64_t waited_ms; /* how long another migrator was waited for */
    uint64_t elapsed_ms;
    /* Documents without a string workspace_id, by LH_KEY_…; they are counted among the
     * malformed. */
    uint64_t foreign[LH_KEY_TYPES];
    /* those of them that are live: their end is to come, is missing, or cannot be read */
    uint64_t foreign_live;
    /* What is odd in the documents that were looked at, by field and type, with how many have it:
     * what cannot be read, and what stands in fields of our names and would be overwritten by a
     * grant. "" where nothing is. */
    char problems[512];
} lh_migrate_report;

#define LH_MIGRATE_REPORT_INIT                                                                     \
    {                                                                                              \
        sizeof(lh_migrate_report), LH_INDEX_MISSING, false, false, 0, 0, 0, 0, 0, 0, 0, 0, {0}, 0, \
            ""                                                                                     \
    }
LH_API void lh_migrate_report_init(lh_migrate_report *report, size_t size);

/* "present", "created", "converted", "missing". */
LH_API const char *lh_index_word(int index);

/* The report is filled on every outcome with what was done. LH_OK: the index is there (dry run: it
 * was only looked). LH_CONFIG: an index of that name with other options, one by which the server
 * deletes leases that are held (a TTL index on another field than expires_at, or one that does not
 * wait for the grace), a validator that refuses documents of leases, a feature compatibility
 * version below 6.0, a collation, a view, a capped or time-series collection; duplicates without
 * `remove`; documents without a string workspace_id that are live (without `accept_foreign_keys`),
 * or stand in the way of the index (without `quarantine`), or are all that there is (without
 * `adopt`); what `even_live` and `even_most` are for. The message says which. All this is looked at
 * before anything is changed. What comes up later puts the index back as it was, and so does the
 * next run after one that was killed; a dry run has the same outcome (without `remove`, duplicates
 * alone are LH_OK), and changes nothing. LH_UNREACHABLE: out of time; call again, it resumes.
 * LH_DENIED: which privilege is missing. LH_STOPPED: `progress` asked to. */
LH_API int lh_migrate(lh_store *store, const lh_migrate_options *options, lh_migrate_report *report,
                      lh_error *error);

/* ---- Is all well? -----------------------------------------------------------------------------
 *
 * Three kinds of users, each with the fewest actions that do: a backend that holds leases; whatever
 * runs the migration; and operators, who list, break and clean up. */
enum { LH_ROLE_RUNTIME = 0, LH_ROLE_SETUP = 1, LH_ROLE_OPS = 2 };

/* The roles for the collection that the options name, as {"roles": [{"createRole":
 * "leaseholdRuntime", …}, …Setup, …Ops]}: commands to be run on the leases' database. No server is
 * contacted; without a `uri` the names are the defaults. LH_OK: *ret_json is to be freed with
 * lh_string_free(). LH_INVALID, LH_CONFIG: as lh_store_open(). LH_MEMORY. */
LH_API int lh_roles(const lh_store_options *options, char **ret_json, lh_error *error);

enum {
    LH_SEVERITY_NOTE = 0,    /* good to know */
    LH_SEVERITY_WARNING = 1, /* leases work, at a risk that is named */
    LH_SEVERITY_ERROR = 2,   /* leases do not work, or a guarantee does not hold */
};
/* "note", "warning", "error". */
LH_API const char *lh_severity_word(int severity);

/* One thing that was found; borrowed for the call. Sentences are for people and may change; ids
 * stay:
 *   deployment                  a mongos, a shard or config server that is reached directly, a server older than 6.0, a certificate
 *                               that is not accepted: nothing else was looked at
 *   compatibility               the feature compatibility version is below 6.0 (needs getParameter, else it is not seen)
 *   validator                   the collection's validator refuses documents of leases (needs listCollections)
 *   privilege                   the user lacks an action of its role
 *   no_access_control, no_tls   whoever reaches the server, or listens on the way, may do anything
 *   standalone, few_members, arbiter, member_down    how little may fail until there is no majority for a grant
 *   clock_offset                two members' clocks differ by more than the grace (a warning: by more than half of it)
 *   server_defect, driver_defect    a known defect of the version in use
 *   collection, index, duplicates   what is in the way of grants
 *   other_index, ttl_index      another unique index, which keeps leases out; one by which the server deletes documents:
 *                               an error where that meets leases that are held, or whose grace is not over; else a note
 *   not_enforced                the store observes, or is off
 *   trial, trial_left, not_tried    leases were tried, and something failed; the trial's document could not be removed; they were not
 *                               tried (a note, and why)
 *   malformed, no_end, too_long, leaked, no_token    documents: unreadable; without an end; with one further away than
 *                               LH_TTL_MAX_MS; past it for a day without anybody's taking over; written by older code
 *   odd_key                     documents whose workspace_id is a string, but none that may be a key
 *   other_id                    documents whose _id is a string other than their key: no harm, but
 * surprising */
typedef struct lh_finding {
    const char *id;
    int severity; /* LH_SEVERITY_… */
    /* of an error: what calls return because of it (LH_CONFIG, LH_DENIED, LH_DATA); else LH_OK */
    int outcome;
    uint64_t count;         /* of what: documents, keys, members; at least 1 */
    const char *what;       /* what is so, and where */
    const char *what_to_do; /* about it */
} lh_finding;

typedef struct lh_doctor_options {
    size_t size;
    int role; /* LH_ROLE_…: what the URI's user is to be able to do; default LH_ROLE_RUNTIME */
    /* 1: where no error was found, try leases on a key of its own; see lh_doctor(). 0 (default):
     * change nothing */
    int trial;
} lh_doctor_options;

#define LH_DOCTOR_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(lh_doctor_options), LH_ROLE_RUNTIME, 0                                              \
    }
LH_API void lh_doctor_options_init(lh_doctor_options *options, size_t size);

/* Looks whether all is as leases need it, and changes nothing: the user's privileges, the topology,
 * each member's clock and version, the collection and its index, every document (one pass, in
 * constant memory). What a check needs and the user lacks is itself a finding. Clocks are compared
 * by each member's own answer to `hello`, taken in the middle of the shortest of five round trips;
 * hidden members are not seen. Call it on a store that was opened with LH_AT_OPEN_NOTHING.
 *
 * With `trial` it then acquires, is refused, renews, waits, is granted by a release, and releases,
 * on a key that nobody can guess ("leasehold:trial:" and 128 random bits), and removes that
 * document; one that a killed trial left ends by itself, and the next one removes it. Who may not
 * remove documents leaves it, free. Needs the runtime's role. A store with `audit` has the trial in
 * its trail.
 *
 * `each` is told what is found, returns 0 to go on, and anything else to end with LH_STOPPED.
 * LH_OK: all was looked at, whatever was found. LH_UNREACHABLE, LH_DENIED (user or password are
 * wrong), LH_INVALID, LH_SERVER, LH_FORKED, … */
LH_API int lh_doctor(lh_store *store, const lh_doctor_options *options,
                     int (*each)(void *arg, const lh_finding *finding), void *arg, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A store: one collection of leases on one deployment, and the connections to it. */
#ifndef LEASEHOLD_STORE_H
#define LEASEHOLD_STORE_H

#include <leasehold/error.h>
#include <leasehold/log.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What lh_store_open() does about the unique index. */
enum {
    LH_AT_OPEN_NOTHING = 0, /* contact no server; the first acquire checks the index */
    LH_AT_OPEN_VERIFY = 1,  /* the index must exist; needs only `find` on the collection */
    LH_AT_OPEN_MIGRATE = 2, /* call lh_migrate(); one round trip if there is nothing to do */
};

struct lh_migrate_options; /* migrate.h */

typedef struct lh_store_options {
    size_t size;
    /* A MongoDB connection string. leasehold-connection(7) describes the effect of each of its
     * options; lh_store_warning() lists those without effect. */
    const char *uri;
    const char *db;         /* 1–63 bytes; NULL: the URI's, or else "leasehold" */
    const char *collection; /* 1–120 bytes; NULL: "workspace_locks" */
    /* The owner of leases whose acquire does not set one: 1–256 bytes; NULL: user@host */
    const char *owner;
    /* The name in the server's log and in currentOp: up to 128 bytes; NULL: "leasehold" */
    const char *app_name;
    /* The longest time for a call when the server does not respond: 100 … 600,000; default
     * 10,000 */
    int64_t timeout_ms;
    /* The grace: a lease is taken over no earlier than its end plus this. 0 … 60,000; default 500.
     * Use one value for the whole deployment. Exclusion after an expiry is guaranteed while the
     * clocks of any two members that were primary during the lease differ by at most this
     * (invariant 1). */
    int64_t clock_skew_ms;
    uint32_t max_waiters; /* waiters per key: 1 … 10,000; default 1,000 */
    uint32_t max_shared;  /* shared holders per key: 1 … 1,000; default 128 */
    /* The most connections, apart from the keeper's and the watcher's: 1 … 1,000; default 16 */
    uint32_t pool_size;
    int at_open; /* LH_AT_OPEN_…; default LH_AT_OPEN_VERIFY */
    /* For LH_AT_OPEN_MIGRATE; NULL: the defaults of lh_migrate() */
    const struct lh_migrate_options *migrate;
    /* Called once for each lease of the store that ended against its holder's will: not renewed in
     * time, broken, or its document removed. The call comes no later than the local deadline, even
     * if no server responds. It comes from a thread of the library, or from the thread whose
     * lh_lease_renew() found the loss. It must not block, and must not close the store. The strings
     * are valid during the call. NULL: no call; see lh_lease_lost_fd(). */
    void (*on_lost)(void *arg, const char *key, const char *lease_id);
    void *on_lost_arg;
    void (*on_lost_free)(void *arg); /* frees on_lost_arg: see leasehold.h; NULL: nothing to free */
    /* false (default): a URI that disables a check of TLS (tlsInsecure,
     * tlsAllowInvalidCertificates, tlsAllowInvalidHostnames, tlsDisableOCSPEndpointCheck,
     * tlsDisableCertificateRevocationCheck) is refused, because an attacker on the network path
     * could impersonate the server and read the password. true: the URI is obeyed; for tests. */
    bool allow_insecure_tls;
    /* true: the leases of this store outlive this process (a proxy; a command that prints the lease
     * id and exits). No process is recorded with them, and lh_reap() leaves them alone. Default
     * false. */
    bool for_others;
    int rollout; /* LH_ENFORCE (default), LH_OBSERVE, LH_OFF or LH_BY_ENVIRONMENT: rollout.h */
    /* Keep an audit trail (audit.h) in this collection; "": "<collection>_audit"; NULL (default):
     * no trail. With a trail, an acquire needs one more read and one more write. */
    const char *audit;
    /* Events above this level are not given to `log`: 0 … LH_LEVEL_DEBUG; 0 (default):
     * LH_LEVEL_INFO */
    int log_level;
    /* Called for each event of the store, from any thread: log.h has the events, and what the
     * callback may do. NULL: no call. */
    void (*log)(void *arg, const lh_log_event *event);
    void *log_arg;
    void (*log_free)(void *arg); /* frees log_arg: see leasehold.h; NULL: nothing to free */
} lh_store_options;

#define LH_STORE_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(lh_store_options), NULL, NULL, NULL, NULL, NULL, 10000, 500, 1000, 128, 16, 1,      \
            NULL, NULL, NULL, NULL, false, false, 0, NULL, 0, NULL, NULL, NULL                     \
    }
LH_API void lh_store_options_init(lh_store_options *options, size_t size);

/* Opens a store. With LH_AT_OPEN_NOTHING no server is contacted. Otherwise the deployment must
 * respond within `timeout_ms`.
 *
 * LH_OK: close *ret_store with lh_store_close(). LH_INVALID: an option is wrong. LH_CONFIG: the URI
 * cannot be parsed or asks for something impossible; its write concern is too weak; it weakens TLS;
 * a certificate is not accepted; the set has another name than replicaSet; the server is a mongos,
 * a shard, a config server, or older than 6.0; the unique index is missing; or an index makes the
 * server delete leases that are held. LH_UNREACHABLE, LH_DENIED, LH_MEMORY, or an outcome of
 * lh_migrate(). */
LH_API int lh_store_open(const lh_store_options *options, lh_store **ret_store, lh_error *error);

/* Closes the store. It ends all waits (LH_CLOSED), joins the store's threads, and releases the
 * leases that are held (their handles were neither released nor freed) or may be held (the acquire
 * ended with LH_UNKNOWN). That takes about `timeout_ms` in all, or two to three times as long if a
 * server hangs. Lease handles stay allocated and must still be freed; other calls on them return
 * LH_INVALID. No other thread may be in a call on the store, except for threads that wait in
 * lh_acquire(), lh_acquire_many() or lh_waiting_finish(). Do not call it from a callback of the
 * store. NULL is allowed. */
LH_API void lh_store_close(lh_store *store);

/* Warnings about the connection string: options that have no effect because they are unknown,
 * misspelt, given twice, or not understood. (Such options that concern security are refused:
 * LH_CONFIG.) Returns the i-th sentence, which belongs to the store and never quotes a value, or
 * NULL past the last. The driver's log has them too (lh_driver_log()), and lh_doctor() reports
 * them. */
LH_API const char *lh_store_warning(const lh_store *store, size_t i);

/* Redirects the log of the MongoDB driver, which goes to stderr by default: `fn` gets each line,
 * from any thread; NULL drops them. `level` is that of the driver's mongoc_log_level_t: 0 error, 1
 * critical, 2 warning, 3 message, 4 info, 5 debug, 6 trace. Lines that would quote a connection
 * string are replaced; without this call the driver prints such lines too. The setting is
 * process-wide: a program should make it, a library should not. Call it before the first store is
 * opened. The next call frees `arg` with `arg_free` (NULL: nothing to free). */
LH_API void lh_driver_log(void (*fn)(void *arg, int level, const char *line), void *arg,
                          void (*arg_free)(void *arg));

#ifdef __cplusplus
}
#endif

#endif

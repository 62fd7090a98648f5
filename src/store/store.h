/* SPDX-License-Identifier: Apache-2.0
 * The store: a pool of connections of its own, and how one command is run on it. Everything that
 * reaches the server does so through lh_store_run() and lh_store_each(). */
#ifndef LH_STORE_H
#define LH_STORE_H

#include <bson/bson.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/proc.h"
#include "store/log.h"
#include "store/metrics.h"
#include "store/store_uri_options.h"

#define LH_LEASE_ID_ROOM (LH_LEASE_ID_LEN + 1)

enum { LH_TOPOLOGY_UNKNOWN = 0, LH_TOPOLOGY_STANDALONE = 1, LH_TOPOLOGY_SET = 2 };

struct _mongoc_client_pool_t;
struct _mongoc_client_t;
struct _mongoc_client_session_t;
struct lh_grant;

/* What a trial did. */
typedef struct lh_tried {
    bool tried;   /* all of it */
    bool left;    /* its document is still there, free: the user may not remove it */
    char key[64]; /* on which; "": on none */
} lh_tried;

/* What one room has to do when another, which is below it and may not call it, comes to a point.
 * There is one table, in open.c. */
typedef struct lh_hooks {
    /* lease → acquire: a command of this store granted the key to others */
    void (*granted)(lh_store *store, const struct lh_grant *grant);
    /* lease → acquire: there is a doubt to settle */
    void (*doubted)(lh_store *store);
    /* lease → the entry: a lease that is not enforced was lost */
    void (*missed)(lh_store *store);
    /* migrate, operate → the entry: trial.h */
    int (*trial)(lh_store *store, lh_tried *ret_tried, lh_error *error);
    /* the last reference goes: frees the parts of the rooms above */
    void (*last)(lh_store *store);
} lh_hooks;

struct lh_store {
    /* What it was opened with: constant. */
    char *db, *collection, *owner, *host;
    char *audit;             /* the trail's collection; NULL: there is none */
    char proc[LH_PROC_ROOM]; /* lh_proc_self() */
    bool for_others;         /* … which is not recorded with leases */
    int64_t timeout_ms, clock_skew_ms;
    int64_t socket_timeout_ms; /* of one attempt; a command's maxTimeMS is below it */
    uint32_t max_waiters, max_shared;
    int rollout;        /* LH_ENFORCE, LH_OBSERVE or LH_OFF; home of what that means: rollout.c */
    lh_remarks remarks; /* what of the connection string has no effect */

    /* Its life. */
    pid_t pid;       /* of the process that opened it */
    atomic_int refs; /* the opener's and one per lease handle */
    atomic_bool closed;
    /* it is being closed: the library's own threads stop what they are doing */
    atomic_bool stopping;

    /* Its connections: store_run.c. */
    struct _mongoc_client_pool_t *pool;
    atomic_int topology;  /* LH_TOPOLOGY_…, known after the first contact */
    atomic_bool answered; /* the last command was: there is a primary, most likely */
    /* Until then (lh_clock_ms()) a write reads its documents first: perhaps the server died of
     * one. */
    _Atomic int64_t wary_until;

    lh_log_to log;    /* log.c */
    lh_meters meters; /* metrics.c */

    /* Parts that have a struct of their own, each made, known and freed by the file of its name.
     * Those of the rooms above are NULL in a store that was not opened (lh_roles()'s). */
    struct lh_other_set *other_set; /* store_set.c; NULL: the connection string names no set */
    _Atomic int64_t index_seen;     /* index.c: when (lh_clock_ms()) it was last seen; 0: never */
    const lh_hooks *hooks;          /* open.c */
    struct lh_pipelines *pipelines; /* protocol/pipeline.c */
    struct lh_held *held;           /* lease/lease_held.c */
    struct lh_keeper *keeper;       /* acquire/keeper.c */
    struct lh_waits *waits;         /* acquire/wait_close.c */
    struct lh_watch *watch;         /* acquire/watch.c */
    struct lh_counts *counts;       /* rollout.c */
};

/* How a command travels: until when, and by whose connection. */
typedef struct lh_context {
    int64_t deadline;                /* on lh_clock_ms() */
    struct _mongoc_client_t *client; /* a reserved one; NULL: one of the pool's */
} lh_context;

/* Makes a store from complete options (lh_store_options_take()); contacts nobody. */
int lh_store_new(const lh_store_options *options, lh_store **ret_store, lh_error *error);
lh_store *lh_store_ref(lh_store *store);

/* From here on lh_store_check() fails, and the connections are gone; the memory stays until the
 * last reference. */
void lh_store_shut(lh_store *store);
void lh_store_unref(lh_store *store);

/* Refuses a store that is closed or was inherited over fork(). */
int lh_store_check(const lh_store *store, lh_error *error);

/* When a call that starts now must be over: lh_clock_ms() + timeout_ms, 0 meaning the store's;
 * however great. */
int64_t lh_store_deadline(const lh_store *store, int64_t timeout_ms);

typedef enum {
    LH_CALL_WRITE, /* acknowledged by a majority, journalled */
    LH_CALL_READ,  /* with majority read concern, from the primary */
    /* Linearizable where there is a set: it sees all that was acknowledged before it was sent. */
    LH_CALL_READ_SURELY,
    /* Neither read nor write concern is sent: for commands that take none (listIndexes, …). */
    LH_CALL_BARE
} lh_call_kind;

typedef struct lh_call {
    lh_call_kind kind;
    const char *what;                /* "acquire the lease": for the error's sentence */
    int operation;                   /* LH_OPERATION_…; 0: by `kind` */
    const char *key;                 /* for the log; NULL: it is about several, or none */
    const bson_t *command;           /* without writeConcern, readConcern and maxTimeMS */
    const char *db;                  /* NULL: the store's */
    int64_t deadline;                /* on lh_clock_ms() */
    struct _mongoc_client_t *client; /* a reserved one; NULL: one of the pool's */
    /* of a cursor, which needs always the same (and no maxTimeMS of ours); NULL: any */
    struct _mongoc_client_session_t *session;
    /* not to be repeated when the answer was lost: for commands that are not idempotent */
    bool once;
    bool several; /* statements: an error may come after some of them were done */
    /* may take until `deadline` on the server (an index build), not just the socket timeout */
    bool slow;
    /* in and out: an earlier attempt may have been applied, and its answer was lost */
    bool maybe;
} lh_call;

#endif

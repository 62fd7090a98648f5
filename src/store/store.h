/* SPDX-License-Identifier: Apache-2.0
 * The store: a pool of connections of its own, and how one command is run on it. Everything that
 * reaches the server does so through lh_store_run() and lh_store_each(). */
#ifndef LH_STORE_H
#define LH_STORE_H

#include <bson/bson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/due.h"
#include "base/error.h"
#include "base/proc.h"
#include "store/store_uri_options.h"

#define LH_LEASE_ID_ROOM (LH_LEASE_ID_LEN + 1)

enum { LH_TOPOLOGY_UNKNOWN = 0, LH_TOPOLOGY_STANDALONE = 1, LH_TOPOLOGY_SET = 2 };

struct _mongoc_client_pool_t;
struct _mongoc_client_t;
struct _mongoc_client_session_t;
struct lh_pipelines;
struct lh_known;
struct lh_grant;
struct lh_keeper;
struct lh_waits;
struct lh_watch;

/* What a trial did. */
typedef struct lh_tried {
    bool tried;   /* all of it */
    bool left;    /* its document is still there, free: the user may not remove it */
    char key[64]; /* on which; "": on none */
} lh_tried;

struct lh_store {
    struct _mongoc_client_pool_t *pool;
    pid_t pid;       /* of the process that opened it */
    atomic_int refs; /* the opener's and one per lease handle */
    atomic_bool closed;
    atomic_int topology;         /* LH_TOPOLOGY_…, known after the first contact */
    _Atomic int64_t index_seen;  /* lh_clock_ms() when the unique index was last seen; 0: never */
    _Atomic int64_t clock_ahead; /* of the server, as last heard: lh_clock_ahead() */
    char *db, *collection, *owner, *host;
    char proc[LH_PROC_ROOM]; /* lh_proc_self() */
    bool for_others;         /* … which is not recorded with leases */
    char *audit;             /* the trail's collection; NULL: there is none */
    lh_remarks remarks;      /* what of the connection string has no effect */
    int64_t timeout_ms, clock_skew_ms;
    int64_t socket_timeout_ms; /* of one attempt; a command's maxTimeMS is below it */
    uint32_t max_waiters, max_shared;
    atomic_bool answered; /* the last command was: there is a primary, most likely */
    /* Until then (lh_clock_ms()) a write reads its documents first: perhaps the server died of
     * one. */
    _Atomic int64_t wary_until;
    int rollout; /* LH_ENFORCE, LH_OBSERVE or LH_OFF; home of what that means: rollout.c */
    struct {
        _Atomic uint64_t granted, contended, failed, lost, skipped;
    } observed;
    struct lh_pipelines *pipelines;
    struct lh_known *known; /* keys whose document's _id is the key */
    pthread_mutex_t lock;   /* of what follows, to the blank line */
    struct {
        char wanted[129]; /* the set that the URI names; "": none. Constant */
        char host[280], name[129];
        bool is_mongos;
        size_t seen, seeds; /* such servers; hosts of the URI */
    } other_set;            /* a server that is in another one; store_set.c */
    struct lh_lease *held;  /* leases with a handle that this store acquired */
    /* of those, the ones that the keeper renews: with long ttls, with short ones */
    lh_due *renewals[2];
    /* … and their local deadlines, or sooner; only where there is an on_lost */
    lh_due *ends;
    struct lh_doubt *doubts; /* lease ids that may hold, and that nobody may believe in */
    size_t n_doubts;

    /* it is being closed: the library's own threads give up what they are at */
    atomic_bool stopping;
    struct lh_keeper *keeper;
    struct lh_waits *waits;
    struct lh_watch *watch;
    void (*on_granted)(struct lh_store *store,
                       /* told what a command of ours granted others */
                       const struct lh_grant *grant);
    void (*on_doubt)(struct lh_store *store); /* told that there is one */
    int (*trial)(struct lh_store *store, lh_tried *ret_tried,
                 lh_error *error); /* trial.h; NULL: the store was not opened */
    /* the last reference goes: frees what modules above keep in it */
    void (*on_last)(struct lh_store *store);
    void (*on_lost)(void *arg, const char *key, const char *lease_id);
    void *on_lost_arg;
};

/* How a command travels: until when, and by whose connection. */
typedef struct lh_way {
    int64_t deadline;                /* on lh_clock_ms() */
    struct _mongoc_client_t *client; /* a reserved one; NULL: one of the pool's */
} lh_way;

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

typedef struct lh_call {
    const char *what;                /* "acquire the lease": for the error's sentence */
    const bson_t *command;           /* without writeConcern, readConcern and maxTimeMS */
    const char *db;                  /* NULL: the store's */
    int64_t deadline;                /* on lh_clock_ms() */
    struct _mongoc_client_t *client; /* a reserved one; NULL: one of the pool's */
    struct _mongoc_client_session_t
        /* of a cursor, which needs always the same (and no maxTimeMS of ours); NULL: any */
        *session;
    /* majority read concern, from the primary; else a write, acknowledged by a majority,
     * journalled */
    bool read;
    /* Of a read: linearizable where there is a set: it sees all that was acknowledged before it was
     * sent. */
    bool surely;
    /* neither read nor write concern is sent: for commands that take none (listIndexes, …) */
    bool bare;
    /* not to be repeated when the answer was lost: for commands that are not idempotent */
    bool once;
    /* in and out: an earlier attempt may have been applied, and its answer was lost */
    bool maybe;
    bool several; /* statements: an error may come after some of them were done */
    /* may take until `deadline` on the server (an index build), not just the socket timeout */
    bool slow;
} lh_call;

#endif

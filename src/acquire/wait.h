/* SPDX-License-Identifier: Apache-2.0
 * The waiters of a store: a table of entries, never a thread each. Internal to wait*.c, but for the
 * functions at the end.
 *
 * Threads: `lock` guards the table and every waiter in it; nothing is sent while it is held. It may
 * be held while that of `held` or a lease's is taken, never the other way round. A waiter for which
 * a command is under way is not freed, left, or asked for by another thread meanwhile; but it may
 * be settled: a grant is believed when it is heard of. wait_step.h has the states. */
#ifndef LH_WAIT_H
#define LH_WAIT_H

#include "acquire/wait_belief.h"
#include "acquire/wait_step.h"
#include "lease/lease_acquire.h"
#include "lease/lease_held.h"
#include "protocol/doc.h"

typedef struct lh_spot lh_spot;

struct lh_waiting {
    lh_store *store;
    lh_spot *spot;
    struct lh_waiting *next_of_id;      /* in the table, by id */
    struct lh_waiting *next, *previous; /* in its spot, in the order of arrival */
    int refs;
    lh_acquire_options o; /* owner and purpose point to what is ours */
    char *key, *owner, *purpose;
    lh_wait_core core;
    char id[LH_LEASE_ID_ROOM];
    int64_t claim_ms;
    lh_beats beats;
    int64_t began_us, until; /* the call, and the end of its wait */
    /* turn: to be asked for, or for its wait to end; while it is in the table */
    lh_due beat, turn;
    int64_t waiting;   /* as last heard */
    bool attended;     /* a thread waits in finish */
    bool seen;         /* as the batch of beats under way found out */
    bool news;         /* for the feedback */
    int fd;            /* -1: nobody asked for one */
    lh_lease *lease;   /* LH_OK */
    lh_record *record; /* the last that was heard of the holder */
    lh_error error;
};

/* A key on which somebody of this store waits. */
struct lh_spot {
    lh_spot *next_of_key;
    lh_spot *next, *previous; /* all of them */
    lh_waiting *first, *last;
    lh_due end;  /* the holder is then past its end: the first of us asks */
    lh_due poll; /* seldom where the change stream tells */
    int64_t poll_ms;
    bool again; /* one more poll, after the stream was opened */
    char key[];
};

#define LH_WAIT_BUCKETS 4096
#define LH_SLOW_POLL_MS 2000 /* where the change stream tells */

struct lh_waits {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* somebody is settled, or its command has ended */
    bool closed;
    size_t n, leaving; /* leaving: waiters that a closing waits for */
    uint64_t dice;
    lh_spot *spots;
    lh_due *beats, *turns; /* of the waiters */
    lh_due *ends, *polls;  /* of the spots */
    bool live;             /* the stream told when it was last looked at */
    lh_waiting *ids[LH_WAIT_BUCKETS];
    lh_spot *keys[LH_WAIT_BUCKETS];
};

/* For a request that is checked, and not asked yet: a waiter that is in no table. NULL: no
 * memory. */
lh_waiting *lh_wait_new(const lh_request *r);
void lh_wait_discard(lh_waiting *w);

/* It was asked for once, and needs no wait: takes over what came of it. */
void lh_wait_replied(lh_waiting *w, lh_request *r, int outcome, const lh_error *why);

/* Into the table, and asked for. Between lh_held_enter() and lh_held_exit(). LH_OK: settled, or
 * waiting; else neither. */
int lh_wait_queue_up(lh_waiting *w, lh_error *error);

/* Does somebody else of this store wait for the key? */
bool lh_wait_is_crowded(lh_store *store, const char *key);

/* Queues up, and waits until r->until. */
int lh_wait_acquire(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy);

/* lh_waiting_finish() without the trail, and lh_waiting_cancel(), whatever the store's mode: of
 * this process, not NULL. Both free it. */
int lh_wait_finish(lh_waiting *w, lh_lease **ret_lease, lh_record **ret_busy, lh_error *error);
int lh_wait_cancel(lh_waiting *w, lh_error *error);

/* Sleeps for `ms`, or until cancelled. LH_OK, LH_CANCELLED, LH_CLOSED (told when the sleep is
 * over). */
int lh_wait_pause(lh_store *store, const struct lh_cancel *cancel, int64_t ms, lh_error *error);

#endif

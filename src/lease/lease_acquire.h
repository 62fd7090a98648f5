/* SPDX-License-Identifier: Apache-2.0
 * A request for a lease: asked once, or put into the queue. */
#ifndef LH_LEASE_ACQUIRE_H
#define LH_LEASE_ACQUIRE_H

#include "lease/lease.h"

/* How old the last look at the index may be when an acquire inserted. (Two inserts of the key as
 * _id collide without it, too; where the document has another _id nothing else keeps a second one
 * away, so the index is looked at after the insert.) */
#define LH_INDEX_AGE_MS 60000

/* A first grant (an insert) takes its token from the cluster time at which the command started. If
 * the command was then blocked while the document was deleted, that is older than tokens of the
 * deleted document may be. Cleanup deletes what was free for at least a second, so an insert
 * answered within a second cannot have seen that: later ones are not believed. Where the insert's
 * own answer was lost, its acquired_at stands for its start, less what two primaries' clocks may
 * differ by (tests/model: "the servers' clocks taken as they are" is a counterexample). */
#define LH_INSERT_BELIEVED_MS 1000

typedef struct lh_request {
    /* what is wanted */
    lh_store *store;
    const char *key;
    lh_acquire_options o; /* complete: lh_request_check() */
    bool checked;         /* … which it went through: at the public call, and nowhere else */
    int64_t until;        /* the end of its wait */
    int64_t began_us;     /* its call */
    char id[LH_LEASE_ID_ROOM];
    lh_context context;
    bool queue;   /* stay in the queue when it is not granted */
    bool asked;   /* an ask with this id may have been applied before */
    int64_t beat; /* … with this beat, if it is not in it yet */
    lh_error *error;
    /* what came of it */
    lh_lease *lease;        /* LH_OK: a handle, in the list of what the store holds */
    lh_record *busy;        /* LH_BUSY: who holds it; the caller's to free on any outcome */
    int64_t place, waiting; /* place -1: not in the queue */
    bool maybe;             /* an attempt that was not answered may be applied still */
} lh_request;

/* What an answer leads to: it is settled; others won the race for a fresh key, ask again; this id
 * is used up, ask with another. */
typedef enum { LH_NEXT_DONE, LH_NEXT_RACE, LH_NEXT_NEW_ID } lh_next;

/* Fills r->o from `options` (NULL: the defaults), and checks it with the store and the key. For
 * the public calls: below them requests are checked. */
int lh_request_check(lh_request *r, const lh_acquire_options *options);

/* The id that the options name, else a new one. */
int lh_request_draw_id(lh_request *r);

/* The name of the (first) holder, for sentences. */
const char *lh_request_holder_name(const lh_record *record);

/* How long a grant by somebody else lasts until it is claimed. */
int64_t lh_request_claim_ms(const lh_acquire_options *o);

/* One command. LH_NEXT_DONE: *ret_outcome says LH_OK, LH_BUSY (queued when r->queue and r->place is
 * not -1), or what failed. */
lh_next lh_request_ask(lh_request *r, int *ret_outcome);

/* Asks until it is settled; the index was looked at. */
int lh_request_run(lh_request *r);

/* LH_BUSY with its sentence, and `record` as who it is. Takes the record; NULL: LH_MEMORY. */
int lh_request_busy(lh_request *r, lh_record *record, int why);

#endif

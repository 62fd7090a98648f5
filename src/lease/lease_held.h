/* SPDX-License-Identifier: Apache-2.0
 * What a store holds, and what it may hold: leases with a handle, and acquires whose outcome stayed
 * unknown. */
#ifndef LH_LEASE_HELD_H
#define LH_LEASE_HELD_H

#include <pthread.h>

#include "base/due.h"
#include "base/known.h"
#include "store/store.h"

/* What a local deadline is short of the ttl: for clocks that run at different rates (1 in 1,000),
 * and rounding. */
#define LH_DRIFT_MS(ttl_ms) ((ttl_ms) / 1000 + 2)

struct lh_mine;
struct lh_doubt;

struct lh_lease {
    lh_store *store;
    char *key, *owner;
    char id[LH_LEASE_ID_ROOM];
    int mode;
    bool attached;   /* another process acquired it, or this one without this handle */
    atomic_int refs; /* the caller's, and the library's threads' while they work on it */
    /* its grant's line was written, here or by another, or there is no trail: else its end has
     * none */
    bool in_trail;
    bool enforced;        /* it binds; else the store observes, or is off */
    bool absent;          /* … and nothing of it is stored */
    lh_error *refusal;    /* … because of this; NULL: it is off */
    atomic_bool crowded;  /* others waited when it was last heard of: leave by the whole form */
    pthread_mutex_t lock; /* of what follows */
    bool over;            /* released, or lost */
    bool given_up;        /* … by its holder's will: its release is sent by whoever said so */
    int lost_fd;          /* a timer on the deadline; -1: nobody asked for it */
    /* deadline on lh_clock_ms(); token 0: attached, not yet renewed */
    int64_t deadline, token, ttl_ms, expires_at_ms;
    bool note_heard;
    lh_note *note; /* NULL: none, or not heard of yet */
    /* in the list of `held`, under its lock, as all below */
    struct lh_lease *next, *previous;
    bool held;           /* it is in that list */
    atomic_bool by_hand; /* the caller renews it; else the keeper */
    /* granted by another's command: the keeper's first renewal is to come, also by_hand */
    atomic_bool unclaimed;
    bool hurried;        /* which of the store's renewals: the short ttls are 1 */
    lh_due renewal, end; /* in those of `held`, only while it is in it */
};

/* A store's part of this room. */
struct lh_held {
    /* Whom a loss is told; NULL: nobody. Constant, as `enforced`: do this store's leases bind? */
    void (*on_lost)(void *arg, const char *key, const char *lease_id);
    void *on_lost_arg;
    void (*on_lost_free)(void *arg);
    bool enforced;
    struct lh_known *known;      /* keys whose document's _id is the key; has a lock of its own */
    _Atomic int64_t clock_ahead; /* of the server, as last heard: lh_clock_ahead() */
    pthread_mutex_t lock;        /* of what follows; nothing is sent while it is held */
    struct lh_lease *leases;     /* with a handle, that this store acquired */
    lh_due *renewals[2];         /* of those, the ones that the keeper renews: by lease->hurried */
    lh_due *ends;            /* … and their local deadlines, or sooner; only with an on_lost */
    struct lh_doubt *doubts; /* lease ids that may hold, and that nobody may believe in */
    size_t n_doubts;
    bool closing;           /* no call may enter any more */
    bool released;          /* closing has released all leases that it could */
    size_t inside;          /* calls that entered, and did not exit yet */
    pthread_cond_t changed; /* `inside` is 0, or `released` is true */
};

/* Made with the store, before anybody else has it; freed with its last reference. LH_OK,
 * LH_MEMORY. */
int lh_held_new(lh_store *store, const lh_store_options *options, lh_error *error);
void lh_held_free(lh_store *store);

/* For calls that take several steps, in which they hold what their caller does not have yet:
 * between enter and exit a closing of the store waits for them. LH_OK, LH_CLOSED. */
int lh_held_enter(lh_store *store, lh_error *error);
void lh_held_exit(lh_store *store);

/* For closing the store: from here on no call enters; and waits until the last one has left. */
void lh_held_shut(lh_store *store);
void lh_held_await_empty(lh_store *store);

/* Closing has released all leases that it could; and, for a call that could not enter, waits for
 * that: what it frees before would not be released. */
void lh_held_set_released(lh_store *store);
void lh_held_await_released(lh_store *store);

/* A renewal that was answered. */
typedef struct lh_renewed {
    int64_t sent, lasts_ms; /* at least: until sent + lasts_ms - drift it may be believed */
    int64_t token, ttl_ms, expires_at_ms;
} lh_renewed;

/* False, and nothing, where it is there. */
bool lh_held_add(lh_lease *lease);

/* From here on the caller renews it; what the keeper owes it already (claiming a grant) it still
 * does, when that is due. */
void lh_held_by_hand(lh_lease *lease);
bool lh_held_remove(lh_lease *lease); /* was it in it? */

/* Remembers for `ttl_ms` (longer it cannot live) that `lease_id` may hold `key`: the keeper
 * releases it in the background, and what it did not come to, closing the store does. `sent`: a
 * release or cancel of it was sent already, and may be applied whenever it arrives: from here on
 * nobody believes in that id. */
void lh_held_doubt(lh_store *store, const char *key, const char *lease_id, int64_t ttl_ms,
                   bool sent);

/* The same for a release that was sent and must not be sent again: nothing is sent any more, here
 * and when the store is closed. */
void lh_held_bar(lh_store *store, const char *key, const char *lease_id, int64_t ttl_ms);

/* It is to be believed after all. False: its release is on its way, or was; never believe it. */
bool lh_held_forget_doubt(lh_store *store, const char *lease_id);

/* For the keeper: a doubt to be settled, as a copy. */
typedef struct lh_doubtful {
    char id[LH_LEASE_ID_ROOM];
    char key[LH_KEY_MAX + 1];
} lh_doubtful;

/* One that is due at `now`: from here on its release counts as sent. False: none; *ret_next: when
 * the next one is. */
bool lh_held_next_doubt(lh_store *store, int64_t now, lh_doubtful *ret_doubt, int64_t *ret_next);

/* Its release was sent at `sent`, and answered, or not. */
void lh_held_doubt_answered(lh_store *store, const char *lease_id, int64_t sent);
void lh_held_doubt_unanswered(lh_store *store, const char *lease_id);

/* For closing the store, when no other thread uses it: one that may hold still, whenever it is due;
 * the others are forgotten. False: there is none left. */
bool lh_held_take_doubt(lh_store *store, lh_doubtful *ret_doubt);

#endif

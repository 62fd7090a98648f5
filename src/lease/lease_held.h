/* SPDX-License-Identifier: Apache-2.0
 * What a store holds, and what it may hold: leases with a handle, and acquires whose outcome stayed unknown. */
#ifndef LH_LEASE_HELD_H
#define LH_LEASE_HELD_H

#include "store/store.h"

/* What a local deadline is short of the ttl: for clocks that run at different rates (1 in 1,000), and rounding. */
#define LH_DRIFT_MS(ttl_ms) ((ttl_ms) / 1000 + 2)

struct lh_mine;

struct lh_lease {
    lh_store *store;
    char *key, *owner;
    char id[LH_LEASE_ID_ROOM];
    int mode;
    bool attached;   /* another process acquired it, or this one without this handle */
    atomic_int refs; /* the caller's, and the library's threads' while they work on it */
    bool in_trail;   /* its grant's line was written, here or by another, or there is no trail: else its end has none */
    bool enforced;   /* it binds; else the store observes, or is off */
    bool absent;     /* … and nothing of it is stored */
    lh_error *refusal;    /* … because of this; NULL: it is off */
    atomic_bool crowded;  /* others waited when it was last heard of: leave by the whole form */
    pthread_mutex_t lock; /* of what follows */
    bool over;            /* released, or lost */
    bool given_up;        /* … by its holder's will: its release is sent by whoever said so */
    int lost_fd;          /* a timer on the deadline; -1: nobody asked for it */
    int64_t deadline, token, ttl_ms, expires_at_ms; /* deadline on lh_clock_ms(); token 0: attached, not yet renewed */
    bool note_heard;
    lh_note *note;                    /* NULL: none, or not heard of yet */
    struct lh_lease *next, *previous; /* in the store's list, under the store's lock, as all below */
    bool held;                        /* it is in that list */
    atomic_bool by_hand;              /* the caller renews it; else the keeper */
    atomic_bool unclaimed; /* granted by another's command: the keeper's first renewal is to come, also by_hand */
    bool hurried;          /* which of the store's renewals: the short ttls are 1 */
    lh_due renewal, end;   /* in the store's renewals and ends, only while it is held */
};

/* A handle; the caller fills what an answer said. NULL: out of memory. */
lh_lease *lh_lease_new(lh_store *store, const char *key, const char *lease_id, const char *owner);

lh_lease *lh_lease_ref(lh_lease *lease);
void lh_lease_unref(lh_lease *lease);

/* lease_note.c: the document that granted it says what the holder before left. Without memory it is asked for later. */
void lh_lease_hear_note(lh_lease *lease, const bson_t *document);

/* How long what was granted or renewed by this command lasts, from the server's time in its answer: the ttl, or longer where an earlier
 * one had given it more. */
int64_t lh_lease_lasts(const struct lh_mine *mine, int64_t ttl_ms);

/* Until when that may be believed: it was sent at `sent`. */
int64_t lh_lease_deadline(int64_t sent, int64_t lasts_ms);

/* A renewal that was answered. */
typedef struct lh_renewed {
    int64_t sent, lasts_ms; /* at least: until sent + lasts_ms - drift it may be believed */
    int64_t token, ttl_ms, expires_at_ms;
} lh_renewed;

/* The lease goes on. False: it was over by then. */
bool lh_lease_extend(lh_lease *lease, const lh_renewed *renewed);

/* The server's end of a renewal that was sent at `sent` and whose answer does not tell it, by the server's clock as last heard. It is
 * for people. */
int64_t lh_lease_expires_after(const lh_store *store, int64_t ttl_ms, int64_t sent);

/* The lease's lock, for what a forked child may call too: there it may be held for ever, by a thread that only the parent has, so nothing
 * is locked. False: that is so. */
bool lh_lease_lock(const lh_lease *lease);
void lh_lease_unlock(const lh_lease *lease, bool locked);

/* By what the server granted, whether it is enforced or not: how long it may be believed still. */
int64_t lh_lease_left_ms(const lh_lease *lease);
bool lh_lease_believed(const lh_lease *lease);

/* The operations themselves, whatever the store's mode: rollout.c puts that in front of them. As the public ones. */
int lh_real_renew(lh_lease *lease, int64_t ttl_ms, lh_record **ret_record, lh_error *error);
int lh_real_release(lh_lease *lease, const lh_release_options *options, lh_error *error);
int lh_release_check(const lh_lease *lease, const lh_release_options *options, lh_release_options *ret_all,
                     lh_error *error); /* what is wrong with the arguments */
int lh_real_transfer(lh_lease *lease, const char *to_owner, char ret_lease_id[LH_LEASE_ID_ROOM], lh_error *error);
int lh_real_note(lh_lease *lease, const lh_note **ret_note, lh_error *error);
int lh_real_keep(lh_lease *lease, lh_error *error);

/* It is over, by its holder's will: the store need not release it. Was it valid until now? */
bool lh_lease_end(lh_lease *lease);

/* It ended, and not by its holder's will: told once, by descriptor and callback. Nothing when it was over before. Not with
 * the store's lock held. */
void lh_lease_lose(lh_lease *lease);

/* Sends the release of a lease id that nobody believes in; if that cannot be done now, it becomes a doubt for `ttl_ms`. True: it was
 * answered, and released. */
bool lh_lease_leave(lh_store *store, const char *key, const char *lease_id, int64_t ttl_ms, lh_way way);

/* Out of the queue; or released, if it was granted meanwhile. LH_OK also when it was neither. *ret_record (if not NULL): what
 * was seen; NULL: out of memory. */
int lh_lease_leave_queue(lh_store *store, const char *key, const char *lease_id, lh_way way, lh_record **ret_record,
                         lh_error *error);

/* Ends a lease that was not handed out, and takes back what is stored of it. LH_OK: nothing is; else it is a doubt that the keeper
 * settles. */
int lh_lease_give_back(lh_lease *lease, int64_t timeout_ms);

/* For whoever hands it out: LH_OK, it has its line in the trail, or needs none. Else it was given back, and freed. */
int lh_lease_acknowledge(lh_lease *lease, const char *purpose, lh_error *error);

/* A fresh handle is the lease that was granted by what `o` asked for: believed until `deadline`, and held. */
void lh_held_grant(lh_lease *lease, const lh_acquire_options *o, int64_t deadline, int64_t token,
                   int64_t expires_at_ms);

/* False, and nothing, where it is there. */
bool lh_held_add(lh_lease *lease);

/* From here on the caller renews it; what the keeper owes it already (claiming a grant) it still does, when that is due. */
void lh_held_by_hand(lh_lease *lease);
bool lh_held_remove(lh_lease *lease); /* was it in it? */

/* Remembers for `ttl_ms` (longer it cannot live) that `lease_id` may hold `key`: the keeper releases it in the background, and
 * what it did not come to, closing the store does. `sent`: a release or cancel of it was sent already, and may be applied whenever it
 * arrives: from here on nobody believes in that id. */
void lh_held_doubt(lh_store *store, const char *key, const char *lease_id, int64_t ttl_ms, bool sent);

/* It is to be believed after all. False: its release is on its way, or was; never believe it. */
bool lh_held_forget_doubt(lh_store *store, const char *lease_id);

/* For the keeper: a doubt to be settled, as a copy. */
typedef struct lh_doubtful {
    char id[LH_LEASE_ID_ROOM];
    char key[LH_KEY_MAX + 1];
} lh_doubtful;

/* One that is due at `now`: from here on its release counts as sent. False: none; *ret_next: when the next one is. */
bool lh_held_next_doubt(lh_store *store, int64_t now, lh_doubtful *ret_doubt, int64_t *ret_next);

/* Its release was sent at `sent`, and answered, or not. */
void lh_held_doubt_answered(lh_store *store, const char *lease_id, int64_t sent);
void lh_held_doubt_unanswered(lh_store *store, const char *lease_id);

/* For closing the store, when no other thread uses it: one that may hold still, whenever it is due; the others are forgotten. False:
 * there is none left. */
bool lh_held_take_doubt(lh_store *store, lh_doubtful *ret_doubt);

/* lease_close.c: releases all, as long as the deadline allows, and forgets it. */
void lh_held_release_all(lh_store *store, int64_t deadline);

#endif

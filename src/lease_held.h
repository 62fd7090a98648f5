/* SPDX-License-Identifier: Apache-2.0
 * What a store holds, and what it may hold: leases with a handle, and acquires whose outcome stayed unknown. */
#ifndef LH_LEASE_HELD_H
#define LH_LEASE_HELD_H

#include "lease.h"

/* What a local deadline is short of the ttl: for clocks that run at different rates (1 in 1,000), and rounding. */
#define LH_DRIFT_MS(ttl_ms) ((ttl_ms) / 1000 + 2)

struct lh_lease {
    lh_store *store;
    char *key, *owner;
    char id[LH_LEASE_ID_ROOM];
    int mode;
    pthread_mutex_t lock;                           /* of what follows */
    bool over;                                      /* released, or lost */
    int64_t deadline, token, ttl_ms, expires_at_ms; /* deadline on lh_clock_ms(); token 0: attached, not yet renewed */
    struct lh_lease *next, *previous;               /* in the store's list, under the store's lock */
    bool held;                                      /* it is in that list */
};

/* A handle; the caller fills what an answer said. NULL: out of memory. */
lh_lease *lh_lease_new(lh_store *store, const char *key, const char *lease_id);

/* Sends the release of a lease id that nobody believes in; if that cannot be done now, it becomes a doubt. */
void lh_lease_leave(lh_store *store, const char *key, const char *lease_id, int64_t deadline);

void lh_held_add(lh_lease *lease);
void lh_held_remove(lh_lease *lease);

/* Remembers for `ttl_ms` (longer it cannot live) that `lease_id` may hold `key`, to release it when the store is closed; or
 * that it need not be. */
void lh_held_doubt(lh_store *store, const char *key, const char *lease_id, int64_t ttl_ms);
void lh_held_forget_doubt(lh_store *store, const char *lease_id);

/* Releases all, as long as the deadline allows, and forgets it. */
void lh_held_release_all(lh_store *store, int64_t deadline);

#endif

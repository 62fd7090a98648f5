/* SPDX-License-Identifier: Apache-2.0
 * The keeper: one thread of a store. It renews the store's leases, and performs the duty that it
 * was given. It starts when it is first needed. */
#ifndef LH_KEEPER_H
#define LH_KEEPER_H

#include "lease/lease_held.h"

/* Does everything due at `now` (lh_clock_ms()), through `client`. Returns when it is due again;
 * INT64_MAX: never. */
typedef int64_t (*lh_duty)(lh_store *store, struct _mongoc_client_t *client, int64_t now);

/* Made with the store, before other threads know the store. It performs `duty` beside the
 * renewals. LH_OK, LH_MEMORY. */
int lh_keeper_new(lh_store *store, lh_duty duty, lh_error *error);
void lh_keeper_free(lh_store *store);

/* Starts the thread if it does not run. LH_OK, LH_CLOSED; LH_MEMORY: the system has no thread
 * left. */
int lh_keeper_start(lh_store *store, lh_error *error);

/* Makes the keeper wake up at `at` or sooner. */
void lh_keeper_poke(lh_store *store, int64_t at);

/* Makes the keeper settle a doubt (lease_held.h) in the background. */
void lh_keeper_settle_doubts(lh_store *store);

/* Hands an acquired lease to the keeper: it renews the lease unless by_hand, and reports its
 * loss. */
int lh_keeper_take(lh_lease *lease, int64_t first_renewal_at, lh_error *error);

/* Ends the threads. store->stopping is set; their current commands end within the socket
 * timeout. */
void lh_keeper_stop(lh_store *store);

/* lh_lease_keep() in any rollout mode, without the checks of calls.c. */
int lh_core_keep(lh_lease *lease, lh_error *error);

#endif

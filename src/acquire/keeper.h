/* SPDX-License-Identifier: Apache-2.0
 * The keeper: one thread of a store that does what is due: renews what the store holds, and
 * whatever other modules gave it as a duty. It is started when it is first needed. */
#ifndef LH_KEEPER_H
#define LH_KEEPER_H

#include "lease/lease_held.h"

/* Does what is due at `now` (lh_clock_ms()), through `client`, and says when something is due
 * again; INT64_MAX: never. */
typedef int64_t (*lh_duty)(lh_store *store, struct _mongoc_client_t *client, int64_t now);

/* Made with the store, before anybody else has it. `duty`: done besides the renewals. LH_OK,
 * LH_MEMORY. */
int lh_keeper_new(lh_store *store, lh_duty duty, lh_error *error);
void lh_keeper_free(lh_store *store);

/* Starts the thread if it does not run. LH_OK, LH_CLOSED, LH_MEMORY: the system has no thread
 * left. */
int lh_keeper_start(lh_store *store, lh_error *error);

/* Something is due at `at`: it wakes up then, or sooner. */
void lh_keeper_poke(lh_store *store, int64_t at);

/* There is a doubt (lease_held.h): it is settled in the background. */
void lh_keeper_settle_doubts(lh_store *store);

/* The lease was acquired: from here on it is renewed unless by_hand, and its loss is told. */
int lh_keeper_take(lh_lease *lease, int64_t first_renewal_at, lh_error *error);

/* Ends the threads: store->stopping is set, and what they are at is over within the socket
 * timeouts. */
void lh_keeper_stop(lh_store *store);

/* lh_lease_keep(), whatever the store's mode, without what calls.c checks before it. */
int lh_core_keep(lh_lease *lease, lh_error *error);

#endif

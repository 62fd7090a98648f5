/* SPDX-License-Identifier: Apache-2.0
 * The keeper: one thread of a store that does what is due: renews what the store holds, and whatever other modules gave it as
 * a duty. It is started when it is first needed. */
#ifndef LH_KEEPER_H
#define LH_KEEPER_H

#include "lease/lease_held.h"

/* Does what is due at `now` (lh_clock_ms()), through `client`, and says when something is due again; INT64_MAX: never. */
typedef int64_t (*lh_duty)(lh_store *store, struct _mongoc_client_t *client, int64_t now);

/* Made with the store, before anybody else has it. `duty`: done besides the renewals. LH_OK, LH_MEMORY. */
int lh_keeper_new(lh_store *store, lh_duty duty, lh_error *error);
void lh_keeper_free(lh_store *store);

/* Starts the thread if it does not run. LH_OK, LH_CLOSED, LH_MEMORY: the system has no thread left. */
int lh_keeper_start(lh_store *store, lh_error *error);

/* Something is due at `at`: it wakes up then, or sooner. */
void lh_keeper_poke(lh_store *store, int64_t at);

/* The lease was acquired: from here on it is renewed unless by_hand, and its loss is told. */
int lh_keeper_take(lh_lease *lease, int64_t first_renewal_at, lh_error *error);

/* Ends the threads: store->stopping is set, and what they are at is over within the socket timeouts. */
void lh_keeper_stop(lh_store *store);

/* keeper_renew.c: the duty that renews; and when a lease is due for it, if the store still holds it. */
int64_t lh_keeper_renew(lh_store *store, struct _mongoc_client_t *client, int64_t now);
void lh_keeper_plan(lh_lease *lease, int64_t at);

/* … when a lease that was renewed, or granted, by a command sent at `sent` is to be renewed: at a third of the ttl, spread. */
int64_t lh_keeper_renewal(int64_t sent, int64_t ttl_ms, const void *salt);

/* keeper_settle.c: the duty that releases what is in doubt. */
int64_t lh_keeper_settle(lh_store *store, struct _mongoc_client_t *client, int64_t now);

#endif

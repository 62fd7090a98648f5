/* SPDX-License-Identifier: Apache-2.0
 * Renews the store's leases: up to 1,000 in a command, at a third of the ttl. */
#ifndef LH_KEEPER_RENEW_H
#define LH_KEEPER_RENEW_H

#include "acquire/keeper.h"

/* The duty that renews; and when a lease is due for it, if the store still holds it. */
int64_t lh_keeper_renew(lh_store *store, struct _mongoc_client_t *client, int64_t now);
void lh_keeper_plan(lh_lease *lease, int64_t at);

/* … when a lease that was renewed, or granted, by a command sent at `sent` is to be renewed: at a
 * third of the ttl, spread. */
int64_t lh_keeper_renewal(int64_t sent, int64_t ttl_ms, const void *salt);

#endif

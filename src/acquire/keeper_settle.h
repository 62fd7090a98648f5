/* SPDX-License-Identifier: Apache-2.0
 * Settles doubts. A doubt is a lease id that the server may have granted, or not released, although
 * no caller has the lease. It is released in the background, so that its key is not blocked for a
 * whole ttl. */
#ifndef LH_KEEPER_SETTLE_H
#define LH_KEEPER_SETTLE_H

#include "acquire/keeper.h"

/* The duty that settles doubts. */
int64_t lh_keeper_settle(lh_store *store, struct _mongoc_client_t *client, int64_t now);

#endif

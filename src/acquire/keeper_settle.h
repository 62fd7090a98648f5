/* SPDX-License-Identifier: Apache-2.0
 * Settling doubts: lease ids that the server may have granted, or not released, while nobody may
 * believe in them, are released in the background, so that their keys are not held for a whole ttl
 * by nobody. */
#ifndef LH_KEEPER_SETTLE_H
#define LH_KEEPER_SETTLE_H

#include "acquire/keeper.h"

/* The duty that releases what is in doubt. */
int64_t lh_keeper_settle(lh_store *store, struct _mongoc_client_t *client, int64_t now);

#endif

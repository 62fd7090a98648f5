/* SPDX-License-Identifier: Apache-2.0
 * The modes of a roll-out. */
#ifndef LH_ROLLOUT_H
#define LH_ROLLOUT_H

#include "store/store.h"

/* The store's counts of what was not enforced. LH_OK, LH_MEMORY. */
int lh_rollout_new(lh_store *store, lh_error *error);
void lh_rollout_free(lh_store *store);

/* A lease that is not enforced was lost. */
void lh_rollout_missed(lh_store *store);

/* In a store that observes, what would have refused or failed is counted, and becomes LH_OK; else
 * it is left as it is. What the caller did wrong, or wanted, stays. */
int lh_rollout_judge(lh_store *store, int outcome);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The modes of a roll-out: what the public calls (calls.c) do for a store that observes, or is
 * off. */
#ifndef LH_ROLLOUT_H
#define LH_ROLLOUT_H

#include "acquire/many.h"
#include "acquire/wait.h"
#include "lease/lease_acquire.h"
#include "lease/lease_held.h"
#include "store/store.h"

/* The store's counts of what was not enforced. LH_OK, LH_MEMORY. */
int lh_rollout_new(lh_store *store, lh_error *error);
void lh_rollout_free(lh_store *store);

/* A lease that is not enforced was lost. */
void lh_rollout_missed(lh_store *store);

/* In a store that observes, what would have refused or failed is counted, and becomes LH_OK; else
 * it is left as it is. What the caller did wrong, or wanted, stays. */
int lh_rollout_judge(lh_store *store, int outcome);

/* As the public calls of these names, when their arguments are checked, and the store does not
 * enforce. What is refused while observing, or is not asked at all, gives a stand-in: a handle of
 * which nothing is stored (`absent`). */
int lh_rollout_acquire(lh_request *r, lh_lease **ret_lease);
int lh_rollout_begin(lh_request *r, lh_waiting **ret_waiting);
int lh_rollout_cancel(lh_waiting *w, lh_error *error);
int lh_rollout_acquire_many(lh_many *many, lh_lease **ret_leases);
int64_t lh_rollout_remaining_ms(const lh_lease *lease);
int lh_rollout_renew(lh_lease *lease, int64_t ttl_ms, lh_error *error);
int lh_rollout_release(lh_lease *lease, const lh_release_options *o, lh_error *error);
int lh_rollout_transfer(lh_lease *lease, const char *to_owner, char ret_lease_id[LH_LEASE_ID_ROOM],
                        lh_error *error);
int lh_rollout_keep(lh_lease *lease, lh_error *error);
int lh_rollout_note(lh_lease *lease, const lh_note **ret_note, lh_error *error);

#endif

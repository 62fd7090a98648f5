/* SPDX-License-Identifier: Apache-2.0
 * Acquiring one lease: as a path, or as a key by itself; with its line in the trail, where there is
 * one. */
#include "acquire/acquire.h"

#include <stdlib.h>

#include "acquire/acquire_key.h"
#include "acquire/path.h"
#include "base/assert.h"
#include "base/error.h"
#include "lease/lease_acquire.h"
#include "lease/lease_audit.h"
#include "lease/lease_held.h"

static int acquire(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy)
{
    return r->o.path ? lh_path_acquire(r, ret_lease, ret_busy)
                     : lh_acquire_key(r, ret_lease, ret_busy);
}

/* The last step of a call that entered: what was granted is handed out when it has its line. */
static int hand_out(int outcome, lh_lease *lease, const char *purpose, lh_lease **ret_lease,
                    lh_error *error)
{
    lh_assert((outcome == LH_OK) == (lease != NULL));
    if (outcome == LH_OK)
        outcome = lh_lease_acknowledge(lease, purpose, error);
    if (outcome == LH_OK)
        *ret_lease = lease;
    return outcome;
}

int lh_core_acquire(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy)
{
    lh_assert(r->checked && r->until > 0);
    if (!r->store->audit)
        return acquire(r, ret_lease, ret_busy);
    lh_lease *lease = NULL;
    int outcome = lh_held_enter(r->store, r->error); /* a closing of the store waits for the line */
    if (outcome != LH_OK)
        return outcome;
    outcome = acquire(r, &lease, ret_busy);
    outcome = hand_out(outcome, lease, r->o.purpose, ret_lease, r->error);
    lh_held_exit(r->store);
    return outcome;
}

int lh_core_finish(lh_waiting *w, lh_lease **ret_lease, lh_record **ret_busy, lh_error *error)
{
    if (!w->store->audit)
        return lh_wait_finish(w, ret_lease, ret_busy, error);
    lh_store *store = lh_store_ref(w->store);
    char *purpose = w->purpose;
    w->purpose = NULL; /* else it goes with the waiting */
    bool open = lh_held_enter(store, NULL) == LH_OK;
    lh_lease *lease = NULL;
    int outcome = lh_wait_finish(w, &lease, ret_busy, error);
    if (outcome == LH_OK && !open) { /* closing releases what was granted */
        lh_lease_free(lease);
        outcome = lh_fail(error, LH_CLOSED, "the store is closed");
    } else {
        outcome = hand_out(outcome, lease, purpose, ret_lease, error);
    }
    if (open)
        lh_held_exit(store);
    free(purpose);
    lh_store_unref(store);
    return outcome;
}

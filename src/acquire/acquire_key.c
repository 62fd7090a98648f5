/* SPDX-License-Identifier: Apache-2.0
 * Acquires one key. The caller's own thread asks once. Only if the key is held, and the caller
 * waits, does it enter wait.c. */
#include "acquire/acquire_key.h"

#include <string.h>

#include "acquire/keeper.h"
#include "acquire/keeper_renew.h"
#include "acquire/wait.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/error.h"
#include "lease/lease.h"
#include "lease/lease_acquire.h"
#include "lease/lease_held.h"
#include "store/store.h"

/* Hands the lease to the keeper, which renews it. Releases it if the thread cannot be started,
 * or if the store was closed meanwhile. */
static int keep(lh_request *r)
{
    int64_t first =
        r->o.by_hand ? INT64_MAX : lh_keeper_renewal(lh_clock_ms(), r->o.ttl_ms, r->lease);
    int outcome = lh_keeper_take(r->lease, first, r->error);
    if (outcome == LH_OK)
        return LH_OK;
    (void)lh_core_release(r->lease, NULL, NULL);
    lh_lease_free(r->lease);
    r->lease = NULL;
    return outcome;
}

/* The error goes to `why`, since a caller that waits goes on and does not report it. */
static int ask_once(lh_request *r, lh_error *why)
{
    lh_error *error = r->error;
    r->error = why;
    r->context.deadline = lh_store_deadline(r->store, r->o.timeout_ms);
    int outcome = lh_request_run(r);
    if (outcome == LH_OK)
        outcome = keep(r);
    r->error = error;
    if (outcome != LH_OK)
        lh_error_recode(why, outcome);
    if (outcome == LH_UNKNOWN)
        memcpy(why->lease_id, r->id, LH_LEASE_ID_ROOM);
    return outcome;
}

/* If other callers of this store wait for the key, it is not free. */
static bool is_worth_asking(const lh_request *r)
{
    return r->o.wait_ms == 0 || r->o.resume || !lh_wait_is_crowded(r->store, r->key);
}

/* True if the caller now waits. An unreadable document has no queue. */
static bool is_to_wait(lh_request *r, int outcome)
{
    if (outcome != LH_BUSY || r->o.wait_ms == 0 || r->busy->why == LH_WHY_MALFORMED)
        return false;
    lh_record_free(r->busy);
    r->busy = NULL;
    return true;
}

static int hand_out(lh_request *r, int outcome, const lh_error *why, lh_lease **ret_lease,
                    lh_record **ret_busy)
{
    lh_assert((outcome == LH_OK) == (r->lease != NULL));
    if (outcome == LH_OK)
        *ret_lease = r->lease;
    else
        lh_error_give(r->error, why);
    if (outcome == LH_BUSY && ret_busy)
        *ret_busy = r->busy;
    else
        lh_record_free(r->busy);
    r->lease = NULL;
    r->busy = NULL;
    return outcome;
}

int lh_acquire_key(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy)
{
    lh_error why = LH_ERROR_INIT;
    lh_assert(r->checked && !r->lease && !r->busy);
    if (is_worth_asking(r)) {
        int outcome = lh_held_enter(r->store, &why);
        if (outcome == LH_OK) {
            outcome = ask_once(r, &why);
            lh_held_exit(r->store);
        }
        if (!is_to_wait(r, outcome))
            return hand_out(r, outcome, &why, ret_lease, ret_busy);
    }
    return lh_wait_acquire(r, ret_lease, ret_busy);
}

/* Between enter and exit. LH_OK: `w` is settled, or in the table. */
static int begin(lh_request *r, lh_waiting *w)
{
    lh_error why = LH_ERROR_INIT;
    if (is_worth_asking(r)) {
        int outcome = ask_once(r, &why);
        if (!is_to_wait(r, outcome)) {
            lh_wait_replied(w, r, outcome, &why);
            return LH_OK;
        }
    }
    return lh_wait_queue_up(w, r->error);
}

int lh_acquire_begin(lh_request *r, lh_waiting **ret_waiting)
{
    lh_assert(r->checked && !r->o.path && !r->lease && !r->busy);
    lh_waiting *w = lh_wait_new(r);
    if (!w)
        return lh_fail_memory(r->error);
    int outcome = lh_held_enter(r->store, r->error);
    if (outcome == LH_OK) {
        outcome = begin(r, w);
        lh_held_exit(r->store);
    }
    if (outcome == LH_OK)
        *ret_waiting = w;
    else
        lh_wait_discard(w);
    return outcome;
}

/* SPDX-License-Identifier: Apache-2.0
 * Acquires one lease, of a path or of a single key, and writes its entry to the audit trail. */
#include "acquire/acquire.h"

#include <stdlib.h>
#include <string.h>

#include "acquire/acquire_key.h"
#include "acquire/path.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/error.h"
#include "lease/lease.h"
#include "lease/lease_acquire.h"
#include "lease/lease_audit.h"
#include "lease/lease_held.h"

static int acquire(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy)
{
    return r->o.path ? lh_path_acquire(r, ret_lease, ret_busy)
                     : lh_acquire_key(r, ret_lease, ret_busy);
}

/* The last step of an acquire: the lease is returned after its entry is in the trail. */
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

int lh_acquire_log(lh_store *store, const char *key, lh_lease *lease, int64_t began_us, int outcome,
                   const lh_error *error)
{
    lh_assert((outcome == LH_OK) == (lease != NULL));
    if (lease)
        return lh_lease_log(lease, LH_LOG_ACQUIRE, began_us, outcome, error);
    lh_log(store,
           &(lh_log_event){.event = LH_LOG_ACQUIRE,
                           .outcome = outcome,
                           .duration_us = lh_clock_us() - began_us,
                           .count = 1,
                           .key = key},
           error);
    return outcome;
}

static int acquire_for_trail(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy)
{
    if (!r->store->audit)
        return acquire(r, ret_lease, ret_busy);
    lh_lease *lease = NULL;
    int outcome = lh_held_enter(r->store, r->error); /* closing the store waits for the entry */
    if (outcome != LH_OK)
        return outcome;
    outcome = acquire(r, &lease, ret_busy);
    outcome = hand_out(outcome, lease, r->o.purpose, ret_lease, r->error);
    lh_held_exit(r->store);
    return outcome;
}

int lh_core_acquire(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy)
{
    lh_assert(r->checked && r->until > 0 && r->began_us > 0);
    lh_store *store =
        lh_store_ref(r->store); /* closing the store ends the wait, and may finish first */
    lh_lease *lease = NULL;
    lh_error mine = LH_ERROR_INIT, *error = r->error;
    r->error = error ? error : &mine;
    int outcome = acquire_for_trail(r, &lease, ret_busy);
    if (outcome == LH_OK)
        *ret_lease = lease;
    (void)lh_acquire_log(store, r->key, lease, r->began_us, outcome, r->error);
    lh_store_unref(store);
    r->error = error;
    return outcome;
}

static int finish_for_trail(lh_waiting *w, lh_lease **ret_lease, lh_record **ret_busy,
                            lh_error *error)
{
    if (!w->store->audit)
        return lh_wait_finish(w, ret_lease, ret_busy, error);
    lh_store *store = lh_store_ref(w->store);
    char *purpose = w->purpose;
    w->purpose = NULL; /* else lh_wait_finish() frees it */
    bool open = lh_held_enter(store, NULL) == LH_OK;
    lh_lease *lease = NULL;
    int outcome = lh_wait_finish(w, &lease, ret_busy, error);
    if (outcome == LH_OK && !open) { /* closing the store releases the lease */
        lh_held_await_released(store);
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

int lh_core_finish(lh_waiting *w, lh_lease **ret_lease, lh_record **ret_busy, lh_error *error)
{
    lh_store *store = lh_store_ref(w->store);
    lh_lease *lease = NULL;
    lh_error mine = LH_ERROR_INIT;
    int64_t began_us = w->began_us;
    char key[LH_KEY_MAX + 1]; /* `w` is freed */
    memcpy(key, w->key, strlen(w->key) + 1);
    error = error ? error : &mine;
    int outcome = finish_for_trail(w, &lease, ret_busy, error);
    if (outcome == LH_OK)
        *ret_lease = lease;
    if (store->rollout == LH_ENFORCE) /* else the acquire was settled when it began */
        (void)lh_acquire_log(store, key, lease, began_us, outcome, error);
    lh_store_unref(store);
    return outcome;
}

/* SPDX-License-Identifier: Apache-2.0
 * What the public calls about leases (calls.c) do for a store that does not enforce: observe (done,
 * and never refused), off (not done).
 *
 * What an acquire is refused while observing, or is not asked at all, gives a stand-in: a handle of
 * which nothing is stored (`absent`). */
#include "rollout.h"

#include <stdlib.h>
#include <string.h>

#include "acquire/acquire.h"
#include "acquire/keeper.h"
#include "acquire/many.h"
#include "acquire/wait.h"
#include "base/assert.h"
#include "base/error.h"
#include "base/options.h"
#include "lease/lease.h"
#include "lease/lease_acquire.h"
#include "lease/lease_handle.h"
#include "lease/lease_note.h"
#include "lease/lease_transfer.h"
#include "store/store.h"

/* What a store that does not enforce has counted: lh_store_observed(). */
struct lh_counts {
    _Atomic uint64_t granted, contended, failed, lost, skipped;
};

int lh_rollout_new(lh_store *store, lh_error *error)
{
    store->counts = calloc(1, sizeof *store->counts);
    return store->counts ? LH_OK : lh_fail_memory(error);
}

void lh_rollout_free(lh_store *store)
{
    free(store->counts);
    store->counts = NULL;
}

void lh_rollout_missed(lh_store *store)
{
    atomic_fetch_add(&store->counts->lost, 1);
}

/* Is it about the lease or the deployment, and not about the caller? */
static bool is_refusal(int outcome)
{
    switch (outcome) {
    case LH_BUSY:
    case LH_LOST:
    case LH_UNKNOWN:
    case LH_UNREACHABLE:
    case LH_DENIED:
    case LH_CONFIG:
    case LH_DATA:
    case LH_SERVER:
        return true;
    default:
        return false;
    }
}

int lh_rollout_judge(lh_store *store, int outcome)
{
    if (store->rollout != LH_OBSERVE || !is_refusal(outcome))
        return outcome;
    if (outcome == LH_BUSY)
        atomic_fetch_add(&store->counts->contended, 1);
    else if (outcome != LH_LOST) /* counted where it was lost */
        atomic_fetch_add(&store->counts->failed, 1);
    return LH_OK;
}

int lh_store_observed(lh_store *store, lh_observed *ret_observed, lh_error *error)
{
    int outcome = lh_store_check(store, error);
    if (outcome == LH_OK && !ret_observed)
        outcome = lh_fail(
            error, LH_INVALID,
            "ret_observed is NULL: pass a struct that is initialised with LH_OBSERVED_INIT");
    if (outcome == LH_OK)
        outcome = lh_observed_check(ret_observed, error);
    if (outcome != LH_OK)
        return outcome;
    lh_observed all = {.size = sizeof all,
                       .rollout = store->rollout,
                       .granted = atomic_load(&store->counts->granted),
                       .contended = atomic_load(&store->counts->contended),
                       .failed = atomic_load(&store->counts->failed),
                       .lost = atomic_load(&store->counts->lost),
                       .skipped = atomic_load(&store->counts->skipped)};
    lh_observed_give(ret_observed, &all);
    return LH_OK;
}

/* ---- Acquiring --------------------------------------------------------------------------------*/

/* `why` NULL: nothing was asked. */
static int stand_in(lh_request *r, const lh_error *why, lh_lease **ret_lease)
{
    int outcome = lh_request_draw_id(r);
    if (outcome != LH_OK)
        return outcome;
    lh_lease *lease = lh_lease_new(r->store, r->key, r->id, r->o.owner);
    if (lease && why)
        lease->refusal = malloc(sizeof *lease->refusal);
    if (!lease || (why && !lease->refusal)) {
        lh_lease_free(lease);
        return lh_fail_memory(r->error);
    }
    if (why)
        *lease->refusal = *why;
    lease->absent = true;
    lease->mode = r->o.mode;
    lease->ttl_ms = r->o.ttl_ms;
    *ret_lease = lease;
    return LH_OK;
}

/* What a store that observes asks with: once, and no longer than it waits by itself, as nobody is
 * refused for it. */
static void leave_out_wait(const lh_store *store, lh_acquire_options *o)
{
    o->wait_ms = 0;
    if (o->timeout_ms > store->timeout_ms)
        o->timeout_ms = store->timeout_ms;
}

int lh_rollout_acquire(lh_request *r, lh_lease **ret_lease)
{
    lh_assert(r->checked && r->store->rollout != LH_ENFORCE);
    lh_error why = LH_ERROR_INIT, *error = r->error;
    if (r->store->rollout == LH_OFF) {
        atomic_fetch_add(&r->store->counts->skipped, 1);
        return stand_in(r, NULL, ret_lease);
    }
    leave_out_wait(r->store, &r->o);
    r->error = &why;
    int outcome = lh_core_acquire(r, ret_lease, NULL);
    r->error = error;
    if (outcome == LH_OK)
        atomic_fetch_add(&r->store->counts->granted, 1);
    else if (lh_rollout_judge(r->store, outcome) == LH_OK)
        return stand_in(r, &why, ret_lease);
    else
        lh_error_give(error, &why);
    return outcome;
}

int lh_rollout_begin(lh_request *r, lh_waiting **ret_waiting)
{
    lh_error why = LH_ERROR_INIT;
    int outcome = lh_rollout_acquire(r, &r->lease);
    if (outcome != LH_OK)
        return outcome;
    lh_waiting *waiting = lh_wait_new(r);
    if (!waiting) {
        (void)lh_rollout_release(r->lease, NULL, NULL);
        lh_lease_free(r->lease);
        return lh_fail_memory(r->error);
    }
    lh_wait_replied(waiting, r, LH_OK, &why);
    *ret_waiting = waiting;
    return LH_OK;
}

int lh_rollout_cancel(lh_waiting *w, lh_error *error)
{
    lh_store *store = lh_store_ref(w->store);
    int outcome = lh_rollout_judge(store, lh_wait_cancel(w, error));
    lh_store_unref(store);
    return outcome;
}

/* All of them, or none is left. */
static int stand_in_many(const lh_many *many, const lh_error *why, lh_lease **ret_leases)
{
    lh_lease *leases[LH_MANY_MAX];
    int outcome = LH_OK;
    size_t i = 0;
    for (; i < many->n; i++) {
        const lh_many_entry *entry = &many->entries[i];
        lh_request r = {
            .store = many->store, .key = entry->key, .o = many->o, .error = many->error};
        outcome = stand_in(&r, why, &leases[entry->at]);
        if (outcome != LH_OK)
            break;
    }
    while (outcome != LH_OK && i-- > 0)
        lh_lease_free(leases[many->entries[i].at]);
    for (i = 0; outcome == LH_OK && i < many->n; i++)
        ret_leases[i] = leases[i];
    return outcome;
}

int lh_rollout_acquire_many(lh_many *many, lh_lease **ret_leases)
{
    lh_store *store = many->store;
    lh_error why = LH_ERROR_INIT, *error = many->error;
    if (store->rollout == LH_OFF) {
        atomic_fetch_add(&store->counts->skipped, many->n);
        return stand_in_many(many, NULL, ret_leases);
    }
    leave_out_wait(store, &many->o);
    many->error = &why;
    int outcome = lh_core_acquire_many(many, ret_leases, NULL);
    many->error = error;
    if (outcome == LH_OK)
        atomic_fetch_add(&store->counts->granted, many->n);
    else if (lh_rollout_judge(store, outcome) == LH_OK)
        return stand_in_many(many, &why, ret_leases);
    else
        lh_error_give(error, &why);
    return outcome;
}

/* ---- Having one -------------------------------------------------------------------------------*/

/* With its lock. */
static int64_t ttl_of(const lh_lease *lease)
{
    return lease->ttl_ms > 0 ? lease->ttl_ms : LH_TTL_DEFAULT_MS;
}

/* As if it was renewed just now, until its holder ends it. */
int64_t lh_rollout_remaining_ms(const lh_lease *lease)
{
    bool locked = lh_lease_lock(lease);
    bool ended = lease->given_up;
    int64_t ttl_ms = ttl_of(lease);
    lh_lease_unlock(lease, locked);
    return ended || lh_store_check(lease->store, NULL) == LH_FORKED ? 0 : ttl_ms;
}

/* Is there anything to be done with it? Of one that is absent, or of a store that is off, nothing
 * is stored. */
static bool is_stored(const lh_lease *lease)
{
    lh_assert(!lease->enforced);
    return lease->store->rollout != LH_OFF && !lease->absent;
}

int lh_rollout_renew(lh_lease *lease, int64_t ttl_ms, lh_error *error)
{
    int outcome = LH_OK;
    if (is_stored(lease))
        outcome = lh_rollout_judge(lease->store, lh_core_renew(lease, ttl_ms, NULL, error));
    pthread_mutex_lock(&lease->lock);
    /* a lease that no server renewed has no ttl but this: a caller that renews by it needs one */
    if (outcome == LH_OK && (!is_stored(lease) || lease->token == 0))
        lease->ttl_ms = ttl_ms != 0 ? ttl_ms : ttl_of(lease);
    pthread_mutex_unlock(&lease->lock);
    return outcome;
}

int lh_rollout_release(lh_lease *lease, const lh_release_options *o, lh_error *error)
{
    if (is_stored(lease))
        return lh_rollout_judge(lease->store, lh_core_release(lease, o, error));
    if (error)
        error->message[0] = '\0'; /* on LH_OK it is the trail's */
    (void)lh_lease_end(lease);
    return LH_OK;
}

int lh_rollout_transfer(lh_lease *lease, const char *to_owner, char ret_lease_id[LH_LEASE_ID_ROOM],
                        lh_error *error)
{
    char fresh[LH_LEASE_ID_ROOM];
    if (error)
        error->message[0] = '\0'; /* on LH_OK it is the trail's */
    int outcome = lh_lease_id_new(fresh, error);
    if (outcome != LH_OK)
        return outcome;
    if (is_stored(lease))
        outcome = lh_core_transfer(lease, to_owner, fresh, error);
    (void)lh_lease_end(lease);
    outcome = lh_rollout_judge(lease->store, outcome);
    if (outcome == LH_OK)
        memcpy(ret_lease_id, fresh, sizeof fresh);
    return outcome;
}

int lh_rollout_keep(lh_lease *lease, lh_error *error)
{
    /* else its renewal was let pass, and there is nothing to keep */
    return is_stored(lease) && lh_lease_token(lease) > 0
               ? lh_rollout_judge(lease->store, lh_core_keep(lease, error))
               : LH_OK;
}

int lh_rollout_note(lh_lease *lease, const lh_note **ret_note, lh_error *error)
{
    const lh_note *note = NULL;
    int outcome = is_stored(lease)
                      ? lh_rollout_judge(lease->store, lh_core_note(lease, &note, error))
                      : LH_OK;
    if (outcome == LH_OK)
        *ret_note = note;
    return outcome;
}

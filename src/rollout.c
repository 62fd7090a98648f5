/* SPDX-License-Identifier: Apache-2.0
 * The modes of a roll-out, in front of each operation on a lease: enforce (straight on), observe
 * (done, and never refused), off (not done). Nothing below knows of them, but that a lease which is
 * not enforced is never told as lost (lease.c), and passes guard and fence.
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
#include "base/error.h"
#include "base/name.h"
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
        outcome = lh_fail(error, LH_INVALID,
                          "no place for the counts was given: initialise it with LH_OBSERVED_INIT");
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
static lh_acquire_options without_wait(const lh_request *r)
{
    lh_acquire_options o = r->o;
    o.wait_ms = 0;
    if (o.timeout_ms > r->store->timeout_ms)
        o.timeout_ms = r->store->timeout_ms;
    return o;
}

/* The store observes, or is off: checks what is asked, and does it without waiting. */
static int acquire_openly(lh_request *r, const lh_acquire_options *options, lh_lease **ret_lease)
{
    lh_error why = LH_ERROR_INIT;
    int outcome = lh_request_check(r, options);
    if (outcome != LH_OK)
        return outcome;
    if (r->store->rollout == LH_OFF) {
        atomic_fetch_add(&r->store->counts->skipped, 1);
        return stand_in(r, NULL, ret_lease);
    }
    lh_acquire_options o = without_wait(r);
    outcome = lh_real_acquire(r->store, r->key, &o, ret_lease, NULL, &why);
    if (outcome == LH_OK)
        atomic_fetch_add(&r->store->counts->granted, 1);
    else if (lh_rollout_judge(r->store, outcome) == LH_OK)
        return stand_in(r, &why, ret_lease);
    else
        lh_error_give(r->error, &why);
    return outcome;
}

static bool is_enforcing(const lh_store *store)
{
    return !store || store->rollout == LH_ENFORCE;
}

int lh_acquire(lh_store *store, const char *key, const lh_acquire_options *options,
               lh_lease **ret_lease, lh_record **ret_busy, lh_error *error)
{
    lh_request r = {.store = store, .key = key, .error = error};
    if (is_enforcing(store))
        return lh_real_acquire(store, key, options, ret_lease, ret_busy, error);
    return acquire_openly(&r, options, ret_lease);
}

int lh_acquire_start(lh_store *store, const char *key, const lh_acquire_options *options,
                     lh_waiting **ret_waiting, lh_error *error)
{
    lh_request r = {.store = store, .key = key, .error = error};
    lh_lease *lease = NULL;
    if (is_enforcing(store))
        return lh_real_acquire_start(store, key, options, ret_waiting, error);
    int outcome = lh_wait_check(&r, options);
    if (outcome == LH_OK)
        outcome = acquire_openly(&r, options, &lease);
    if (outcome != LH_OK)
        return outcome;
    lh_waiting *waiting = lh_wait_settled(&r, lease);
    if (!waiting) {
        (void)lh_lease_release(lease, NULL);
        lh_lease_free(lease);
        return lh_fail_memory(error);
    }
    *ret_waiting = waiting;
    return LH_OK;
}

int lh_waiting_cancel(lh_waiting *w, lh_error *error)
{
    if (lh_error_check(error) != LH_OK)
        return LH_INVALID;
    if (!w || w->store->rollout == LH_ENFORCE)
        return lh_real_waiting_cancel(w, error);
    lh_store *store = lh_store_ref(w->store);
    int outcome = lh_rollout_judge(store, lh_real_waiting_cancel(w, error));
    lh_store_unref(store);
    return outcome;
}

/* All of them, or none is left. */
static int stand_in_many(lh_request *r, const char *const *keys, size_t n, const lh_error *why,
                         lh_lease **ret_leases)
{
    lh_lease *leases[LH_MANY_MAX];
    int outcome = LH_OK;
    size_t i = 0;
    for (; i < n && outcome == LH_OK; i++) {
        r->key = keys[i];
        outcome = stand_in(r, why, &leases[i]);
    }
    while (outcome != LH_OK && --i > 0)
        lh_lease_free(leases[i - 1]);
    for (i = 0; outcome == LH_OK && i < n; i++)
        ret_leases[i] = leases[i];
    return outcome;
}

int lh_acquire_many(lh_store *store, const char *const *keys, size_t n,
                    const lh_acquire_options *options, lh_lease **ret_leases, lh_record **ret_busy,
                    lh_error *error)
{
    lh_request r = {.store = store, .error = error};
    lh_error why = LH_ERROR_INIT;
    if (is_enforcing(store))
        return lh_real_acquire_many(store, keys, n, options, ret_leases, ret_busy, error);
    int outcome = lh_many_check(&r, keys, n, options);
    if (outcome != LH_OK)
        return outcome;
    if (store->rollout == LH_OFF) {
        atomic_fetch_add(&store->counts->skipped, n);
        return stand_in_many(&r, keys, n, NULL, ret_leases);
    }
    lh_acquire_options o = without_wait(&r);
    outcome = lh_real_acquire_many(store, keys, n, &o, ret_leases, NULL, &why);
    if (outcome == LH_OK)
        atomic_fetch_add(&store->counts->granted, n);
    else if (lh_rollout_judge(store, outcome) == LH_OK)
        return stand_in_many(&r, keys, n, &why, ret_leases);
    else
        lh_error_give(error, &why);
    return outcome;
}

/* ---- Having one -------------------------------------------------------------------------------*/

bool lh_lease_enforced(const lh_lease *lease)
{
    return lease->enforced;
}

const lh_error *lh_lease_refusal(const lh_lease *lease)
{
    return lease->refusal;
}

/* One that is not enforced lasts, as if it was renewed just now, until its holder ends it. */
int64_t lh_lease_remaining_ms(const lh_lease *lease)
{
    if (lease->enforced)
        return lh_lease_left_ms(lease);
    bool locked = lh_lease_lock(lease);
    bool ended = lease->given_up;
    int64_t ttl_ms = lease->ttl_ms > 0 ? lease->ttl_ms : LH_TTL_DEFAULT_MS;
    lh_lease_unlock(lease, locked);
    return ended || lh_store_check(lease->store, NULL) == LH_FORKED ? 0 : ttl_ms;
}

bool lh_lease_valid(const lh_lease *lease)
{
    return lh_lease_remaining_ms(lease) > 0;
}

/* Is there anything to be done with it? Of one that is absent, or of a store that is off, nothing
 * is stored. */
static bool is_stored(const lh_lease *lease)
{
    return lease->store->rollout != LH_OFF && !lease->absent;
}

int lh_lease_renew(lh_lease *lease, int64_t ttl_ms, lh_record **ret_record, lh_error *error)
{
    if (!lease || lease->enforced)
        return lh_real_renew(lease, ttl_ms, ret_record, error);
    if (ret_record)
        *ret_record = NULL; /* nobody is refused: who holds it does not matter */
    if (ttl_ms != 0 && (ttl_ms < LH_TTL_MIN_MS || ttl_ms > LH_TTL_MAX_MS))
        return lh_real_renew(lease, ttl_ms, NULL, error); /* it says so */
    if (is_stored(lease))
        return lh_rollout_judge(lease->store, lh_real_renew(lease, ttl_ms, NULL, error));
    pthread_mutex_lock(&lease->lock);
    if (ttl_ms != 0)
        lease->ttl_ms = ttl_ms;
    pthread_mutex_unlock(&lease->lock);
    return lh_store_check(lease->store, error);
}

int lh_lease_release_with(lh_lease *lease, const lh_release_options *options, lh_error *error)
{
    if (!lease || lease->enforced)
        return lh_real_release(lease, options, error);
    if (is_stored(lease))
        return lh_rollout_judge(lease->store, lh_real_release(lease, options, error));
    lh_release_options o;
    int outcome = lh_release_check(lease, options, &o, error);
    if (outcome == LH_OK)
        (void)lh_lease_end(lease);
    return outcome;
}

int lh_lease_release(lh_lease *lease, lh_error *error)
{
    return lh_lease_release_with(lease, NULL, error);
}

int lh_lease_transfer(lh_lease *lease, const char *to_owner, char ret_lease_id[LH_LEASE_ID_ROOM],
                      lh_error *error)
{
    char fresh[LH_LEASE_ID_ROOM];
    if (!lease || lease->enforced)
        return lh_real_transfer(lease, to_owner, ret_lease_id, error);
    int outcome = lh_store_check(lease->store, error);
    if (outcome == LH_OK && error)
        error->message[0] = '\0'; /* on LH_OK it is the trail's */
    if (outcome == LH_OK)
        outcome = lh_owner_check("new owner", to_owner, error);
    if (outcome == LH_OK && !lh_lease_id_new(fresh))
        outcome = lh_fail(error, LH_BUG, "the system gives no random bytes");
    if (outcome != LH_OK)
        return outcome;
    outcome = is_stored(lease) ? lh_real_transfer(lease, to_owner, fresh, error) : LH_OK;
    (void)lh_lease_end(lease);
    outcome = lh_rollout_judge(lease->store, outcome);
    if (outcome == LH_OK)
        memcpy(ret_lease_id, fresh, sizeof fresh);
    return outcome;
}

int lh_lease_keep(lh_lease *lease, lh_error *error)
{
    if (!lease || lease->enforced)
        return lh_real_keep(lease, error);
    /* else its renewal was let pass, and there is nothing to keep */
    if (is_stored(lease) && lh_lease_token(lease) > 0)
        return lh_rollout_judge(lease->store, lh_real_keep(lease, error));
    return lh_store_check(lease->store, error);
}

int lh_lease_note(lh_lease *lease, const lh_note **ret_note, lh_error *error)
{
    if (!lease || lease->enforced)
        return lh_real_note(lease, ret_note, error);
    *ret_note = NULL;
    if (!is_stored(lease))
        return lh_store_check(lease->store, error);
    return lh_rollout_judge(lease->store, lh_real_note(lease, ret_note, error));
}

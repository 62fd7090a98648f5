/* SPDX-License-Identifier: Apache-2.0
 * The public calls about leases. What a caller passes is checked here, once; then a store that
 * enforces does it (lh_core_…), and rollout.c does for one that does not. Nothing below knows of
 * the modes, but that a lease which is not enforced is never reported as lost (lease.c), and passes
 * guard and fence. */
#include <string.h>
#include <unistd.h>

#include "acquire/acquire.h"
#include "acquire/acquire_key.h"
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
#include "rollout.h"
#include "store/store.h"

/* ---- Acquiring --------------------------------------------------------------------------------*/

int lh_acquire(lh_store *store, const char *key, const lh_acquire_options *options,
               lh_lease **ret_lease, lh_record **ret_busy, lh_error *error)
{
    lh_request r = {.store = store, .key = key, .error = error};
    int outcome = lh_request_check(&r, options);
    if (outcome != LH_OK)
        return outcome;
    return store->rollout == LH_ENFORCE ? lh_core_acquire(&r, ret_lease, ret_busy)
                                        : lh_rollout_acquire(&r, ret_lease);
}

int lh_acquire_start(lh_store *store, const char *key, const lh_acquire_options *options,
                     lh_waiting **ret_waiting, lh_error *error)
{
    lh_request r = {.store = store, .key = key, .error = error};
    int outcome = lh_request_check(&r, options);
    if (outcome == LH_OK && r.o.path)
        outcome =
            lh_fail(error, LH_INVALID,
                    "path needs a thread that reads the keys above and below: use lh_acquire()");
    if (outcome != LH_OK)
        return outcome;
    return store->rollout == LH_ENFORCE ? lh_acquire_begin(&r, ret_waiting)
                                        : lh_rollout_begin(&r, ret_waiting);
}

int lh_waiting_finish(lh_waiting *w, lh_lease **ret_lease, lh_record **ret_busy, lh_error *error)
{
    if (!w)
        return lh_fail(error, LH_INVALID, "no waiting was given");
    if (lh_error_check(error) != LH_OK)
        return LH_INVALID;
    if (w->store->pid != getpid())
        return lh_store_check(w->store, error);
    return lh_core_finish(w, ret_lease, ret_busy, error);
}

int lh_waiting_cancel(lh_waiting *w, lh_error *error)
{
    if (lh_error_check(error) != LH_OK)
        return LH_INVALID;
    if (!w)
        return LH_OK;
    if (w->store->pid != getpid())
        return lh_store_check(w->store, error);
    return w->store->rollout == LH_ENFORCE ? lh_wait_cancel(w, error) : lh_rollout_cancel(w, error);
}

int lh_acquire_many(lh_store *store, const char *const *keys, size_t n,
                    const lh_acquire_options *options, lh_lease **ret_leases, lh_record **ret_busy,
                    lh_error *error)
{
    lh_many many = {.store = store, .n = n, .error = error};
    int outcome = lh_many_prepare(&many, keys, options);
    if (outcome == LH_OK)
        outcome = store->rollout == LH_ENFORCE ? lh_core_acquire_many(&many, ret_leases, ret_busy)
                                               : lh_rollout_acquire_many(&many, ret_leases);
    lh_many_finish(&many);
    return outcome;
}

/* ---- Having one -------------------------------------------------------------------------------*/

static int check(const lh_lease *lease, lh_error *error)
{
    return lease ? lh_store_check(lease->store, error)
                 : lh_fail(error, LH_INVALID, "no lease was given");
}

bool lh_lease_enforced(const lh_lease *lease)
{
    return lease->enforced;
}

const lh_error *lh_lease_refusal(const lh_lease *lease)
{
    return lease->refusal;
}

int64_t lh_lease_remaining_ms(const lh_lease *lease)
{
    return lease->enforced ? lh_lease_left_ms(lease) : lh_rollout_remaining_ms(lease);
}

bool lh_lease_valid(const lh_lease *lease)
{
    return lh_lease_remaining_ms(lease) > 0;
}

int lh_lease_renew(lh_lease *lease, int64_t ttl_ms, lh_record **ret_record, lh_error *error)
{
    int outcome = check(lease, error);
    if (outcome == LH_OK && ttl_ms != 0)
        outcome = lh_lease_check_ttl(ttl_ms, error);
    if (outcome != LH_OK)
        return outcome;
    return lease->enforced ? lh_core_renew(lease, ttl_ms, ret_record, error)
                           : lh_rollout_renew(lease, ttl_ms, error);
}

int lh_lease_release_with(lh_lease *lease, const lh_release_options *options, lh_error *error)
{
    lh_release_options o;
    int outcome = check(lease, error);
    if (outcome == LH_OK)
        outcome = lh_release_options_take(&o, options, error);
    if (outcome == LH_OK && o.note)
        outcome = lh_text_check("note", o.note, strlen(o.note), 0, LH_TEXT_MAX, error);
    if (outcome == LH_OK && (o.keep_ms < 0 || o.keep_ms > LH_TTL_MAX_MS))
        outcome =
            lh_fail(error, LH_INVALID, "keep_ms is %lld: it must be 0 to 604,800,000 (7 days)",
                    (long long)o.keep_ms);
    if (outcome != LH_OK)
        return outcome;
    return lease->enforced ? lh_core_release(lease, &o, error)
                           : lh_rollout_release(lease, &o, error);
}

int lh_lease_release(lh_lease *lease, lh_error *error)
{
    return lh_lease_release_with(lease, NULL, error);
}

int lh_lease_transfer(lh_lease *lease, const char *to_owner, char ret_lease_id[LH_LEASE_ID_ROOM],
                      lh_error *error)
{
    int outcome = check(lease, error);
    if (outcome == LH_OK)
        outcome = lh_owner_check("new owner", to_owner, error);
    if (outcome != LH_OK)
        return outcome;
    return lease->enforced ? lh_core_transfer(lease, to_owner, ret_lease_id, error)
                           : lh_rollout_transfer(lease, to_owner, ret_lease_id, error);
}

int lh_lease_keep(lh_lease *lease, lh_error *error)
{
    int outcome = check(lease, error);
    if (outcome != LH_OK)
        return outcome;
    return lease->enforced ? lh_core_keep(lease, error) : lh_rollout_keep(lease, error);
}

int lh_lease_note(lh_lease *lease, const lh_note **ret_note, lh_error *error)
{
    int outcome = check(lease, error);
    if (outcome != LH_OK)
        return outcome;
    return lease->enforced ? lh_core_note(lease, ret_note, error)
                           : lh_rollout_note(lease, ret_note, error);
}

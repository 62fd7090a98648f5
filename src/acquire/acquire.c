/* SPDX-License-Identifier: Apache-2.0
 * Acquiring one lease: as a path, or as a key by itself; and telling the trail, where there is
 * one. */
#include "acquire/acquire.h"

#include "acquire/many.h"
#include "acquire/path.h"
#include "acquire/wait.h"
#include "lease/lease_acquire.h"
#include "lease/lease_audit.h"

static int acquire(lh_request *r, const lh_acquire_options *options, lh_lease **ret_lease,
                   lh_record **ret_busy)
{
    return r->o.path ? lh_path_acquire(r, ret_lease, ret_busy)
                     : lh_wait_acquire(r->store, r->key, options, ret_lease, ret_busy, r->error);
}

int lh_real_acquire(lh_store *store, const char *key, const lh_acquire_options *options,
                    lh_lease **ret_lease, lh_record **ret_busy, lh_error *error)
{
    lh_request r = {.store = store, .key = key, .error = error};
    int outcome = lh_request_check(&r, options);
    if (outcome != LH_OK || !store->audit)
        return outcome != LH_OK ? outcome : acquire(&r, options, ret_lease, ret_busy);
    lh_lease *lease = NULL;
    outcome = lh_wait_enter(store, error); /* a closing of the store waits for the line */
    if (outcome != LH_OK)
        return outcome;
    outcome = acquire(&r, options, &lease, ret_busy);
    if (outcome == LH_OK)
        outcome = lh_lease_acknowledge(lease, r.o.purpose, error);
    lh_wait_exit(store);
    if (outcome == LH_OK)
        *ret_lease = lease;
    return outcome;
}

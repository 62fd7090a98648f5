/* SPDX-License-Identifier: Apache-2.0
 * Work under a lease: acquire, work, release; made of public calls alone. */
#include "base/error.h"

int lh_with_lease(lh_store *store, const char *key, const lh_acquire_options *options,
                  int (*fn)(void *arg, lh_lease *lease), void *arg, lh_error *error)
{
    lh_lease *lease = NULL;
    int outcome = lh_acquire(store, key, options, &lease, NULL, error);
    if (outcome != LH_OK)
        return outcome;
    outcome = fn(arg, lease);
    if (!lh_lease_valid(lease) && outcome == LH_OK)
        outcome =
            lh_fail(error, LH_REASON_ENDED, "the lease on \"%s\" ended before the work did", key);
    else if (outcome != LH_OK)
        (void)lh_fail(error, outcome, "the work under the lease on \"%s\" ended with: %s", key,
                      lh_outcome_sentence(outcome));
    (void)lh_lease_release(lease, NULL);
    lh_lease_free(lease);
    return outcome;
}

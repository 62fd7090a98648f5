/* SPDX-License-Identifier: Apache-2.0
 * Acquiring one lease: as a path, or as a key by itself. */
#include "many.h"

int lh_real_acquire(lh_store *store, const char *key, const lh_acquire_options *options, lh_lease **ret_lease,
                    lh_record **ret_busy, lh_error *error)
{
    lh_request r = {.store = store, .key = key, .error = error};
    int outcome = lh_request_check(&r, options);
    if (outcome != LH_OK)
        return outcome;
    return r.o.path ? lh_path_acquire(&r, ret_lease, ret_busy)
                    : lh_wait_acquire(store, key, options, ret_lease, ret_busy, error);
}

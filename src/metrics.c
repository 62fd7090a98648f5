/* SPDX-License-Identifier: Apache-2.0
 * The metrics of a store, for whoever exports them. What counts them: store/metrics.c. */
#include "store/metrics.h"

#include "base/error.h"
#include "base/options.h"
#include "store/store.h"

int lh_store_metrics(lh_store *store, lh_metrics *ret_metrics, lh_error *error)
{
    int outcome = lh_store_check(store, error);
    if (outcome == LH_OK && !ret_metrics)
        outcome =
            lh_fail(error, LH_INVALID,
                    "ret_metrics is NULL: pass a struct that is initialised with LH_METRICS_INIT");
    if (outcome == LH_OK)
        outcome = lh_metrics_check(ret_metrics, error);
    if (outcome != LH_OK)
        return outcome;
    lh_metrics all = LH_METRICS_INIT;
    uint64_t *numbers = all.commands_ok;
    for (size_t i = 0; i < LH_METRICS_COUNT; i++)
        numbers[i] = atomic_load_explicit(&store->meters.counts[i], memory_order_relaxed);
    lh_metrics_give(ret_metrics, &all);
    return LH_OK;
}

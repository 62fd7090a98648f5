/* SPDX-License-Identifier: Apache-2.0
 * Counters are atomics. Keys and owners are no labels: their number has no bound. */
#include "serve/metrics.h"

#include <stdlib.h>

#include "common/out.h"

const int64_t metrics_bounds_ms[METRICS_BOUNDS] = {5,    10,   25,   50,    100,   250,   500,
                                                   1000, 2500, 5000, 10000, 30000, 60000, 300000};

int metrics_new(struct metrics **ret_metrics, lh_error *error)
{
    *ret_metrics = calloc(1, sizeof **ret_metrics);
    return *ret_metrics ? LH_OK : out_fail(error, LH_MEMORY, "out of memory");
}

void metrics_free(struct metrics *metrics)
{
    free(metrics);
}

void metrics_request(struct metrics *metrics, size_t route, unsigned status)
{
    unsigned class = status / 100;
    atomic_fetch_add(&metrics->requests[route][class < METRICS_CLASSES ? class : 0], 1);
}

void metrics_outcome(struct metrics *metrics, int call, int outcome)
{
    atomic_fetch_add(
        &metrics->calls[call][outcome >= 0 && outcome < METRICS_OUTCOMES ? outcome : LH_BUG], 1);
}

void metrics_acquired(struct metrics *metrics, int outcome, int64_t waited_ms)
{
    size_t bound = 0;
    metrics_outcome(metrics, METRICS_ACQUIRE, outcome);
    if (waited_ms < 0)
        return;
    while (bound < METRICS_BOUNDS && waited_ms > metrics_bounds_ms[bound])
        bound++;
    atomic_fetch_add(&metrics->waited[bound], 1);
    atomic_fetch_add(&metrics->waits_ms, (uint64_t)waited_ms);
}

void metrics_handoff(struct metrics *metrics)
{
    atomic_fetch_add(&metrics->handoffs, 1);
}

void metrics_event(struct metrics *metrics)
{
    atomic_fetch_add(&metrics->events, 1);
}

/* SPDX-License-Identifier: Apache-2.0
 * The counters behind lh_store_metrics(): one atomic for each number of lh_metrics, in its order.
 * Counting takes no lock. */
#ifndef LH_METRICS_H
#define LH_METRICS_H

#include <leasehold/leasehold.h>
#include <stdatomic.h>

#define LH_METRICS_FIRST offsetof(lh_metrics, commands_ok)
#define LH_METRICS_COUNT ((sizeof(lh_metrics) - LH_METRICS_FIRST) / sizeof(uint64_t))

typedef struct lh_meters {
    _Atomic uint64_t counts[LH_METRICS_COUNT];
} lh_meters;

/* The place of a field of lh_metrics. */
#define LH_METER(field) ((offsetof(lh_metrics, field) - LH_METRICS_FIRST) / sizeof(uint64_t))

static inline void lh_meter_add(lh_meters *meters, size_t meter, uint64_t n)
{
    atomic_fetch_add_explicit(&meters->counts[meter], n, memory_order_relaxed);
}

/* Of a gauge. */
static inline void lh_meter_drop(lh_meters *meters, size_t meter)
{
    atomic_fetch_sub_explicit(&meters->counts[meter], 1, memory_order_relaxed);
}

/* Counts a duration in a histogram, and in the sum behind it. */
void lh_meter_time(lh_meters *meters, size_t histogram, int64_t us);

/* A command ended. */
void lh_meter_command(lh_meters *meters, int operation, int outcome);

/* An event of the log, which is counted whether somebody reads the log or not. */
void lh_meter_event(lh_meters *meters, const lh_log_event *event);

#endif

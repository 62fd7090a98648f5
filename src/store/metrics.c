/* SPDX-License-Identifier: Apache-2.0
 * Counting what a store does. */
#include "store/metrics.h"

static const uint64_t bounds_us[LH_METRICS_BUCKETS] = {
    250,    500,    1000,   2500,    5000,    10000,    25000,    50000,
    100000, 250000, 500000, 1000000, 2500000, 10000000, 60000000, UINT64_MAX};

uint64_t lh_metrics_bound_us(size_t bucket)
{
    return bucket < LH_METRICS_BUCKETS ? bounds_us[bucket] : UINT64_MAX;
}

const char *lh_operation_word(int operation)
{
    static const char *const words[] = {
        [LH_OPERATION_OTHER] = "other",      [LH_OPERATION_READ] = "read",
        [LH_OPERATION_ACQUIRE] = "acquire",  [LH_OPERATION_WAIT] = "wait",
        [LH_OPERATION_RENEW] = "renew",      [LH_OPERATION_RELEASE] = "release",
        [LH_OPERATION_TRANSFER] = "transfer"};
    return operation >= 0 && operation <= LH_OPERATION_TRANSFER ? words[operation] : "";
}

void lh_meter_time(lh_meters *meters, size_t histogram, int64_t us)
{
    uint64_t spent_us = us > 0 ? (uint64_t)us : 0;
    size_t bucket = 0;
    while (spent_us > bounds_us[bucket])
        bucket++;
    lh_meter_add(meters, histogram + bucket, 1);
    lh_meter_add(meters, histogram + LH_METRICS_BUCKETS, spent_us);
}

void lh_meter_command(lh_meters *meters, int operation, int outcome)
{
    bool good = outcome == LH_OK || outcome == LH_STOPPED; /* by the reader of its documents */
    size_t of = good                        ? LH_METER(commands_ok)
                : outcome == LH_UNREACHABLE ? LH_METER(commands_unreachable)
                : outcome == LH_UNKNOWN     ? LH_METER(commands_unknown)
                                            : LH_METER(commands_refused);
    lh_meter_add(meters, of + (size_t)operation, 1);
}

static void count_acquire(lh_meters *meters, const lh_log_event *event)
{
    lh_meter_add(meters,
                 event->outcome == LH_OK     ? LH_METER(acquired)
                 : event->outcome == LH_BUSY ? LH_METER(busy)
                                             : LH_METER(acquires_failed),
                 event->count);
    if (event->outcome == LH_OK)
        lh_meter_time(meters, LH_METER(acquires), event->duration_us);
}

void lh_meter_event(lh_meters *meters, const lh_log_event *event)
{
    bool good = event->outcome == LH_OK;
    switch (event->event) {
    case LH_LOG_REPEAT:
        lh_meter_add(meters, LH_METER(repeats), 1);
        break;
    case LH_LOG_ACQUIRE:
        count_acquire(meters, event);
        break;
    case LH_LOG_QUEUED:
        lh_meter_add(meters, LH_METER(queued), 1);
        break;
    case LH_LOG_GRANTED:
        lh_meter_add(meters, LH_METER(granted), 1);
        break;
    case LH_LOG_RENEW:
        lh_meter_add(meters, good ? LH_METER(renewed) : LH_METER(renewals_failed), event->count);
        break;
    case LH_LOG_LOST:
        lh_meter_add(meters, LH_METER(lost), 1);
        break;
    case LH_LOG_RELEASE:
        lh_meter_add(meters, good ? LH_METER(released) : LH_METER(releases_failed), event->count);
        break;
    case LH_LOG_TRANSFER:
        lh_meter_add(meters, LH_METER(transferred), good);
        break;
    case LH_LOG_STREAM_CLOSED:
        lh_meter_add(meters, LH_METER(streams_closed), 1);
        break;
    default:
        break;
    }
}

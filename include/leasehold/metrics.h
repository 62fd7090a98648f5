/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics of a store: counters, gauges and histograms since it was opened. */
#ifndef LEASEHOLD_METRICS_H
#define LEASEHOLD_METRICS_H

#include <leasehold/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The operations by which commands are counted. LH_OPERATION_WAIT: asking for a key in its queue,
 * and keeping or leaving the place there. LH_OPERATION_READ: status, lists, polls, the index.
 * LH_OPERATION_OTHER: all other commands, such as those of migrations and the audit trail. */
enum {
    LH_OPERATION_OTHER = 0,
    LH_OPERATION_READ = 1,
    LH_OPERATION_ACQUIRE = 2,
    LH_OPERATION_WAIT = 3,
    LH_OPERATION_RENEW = 4,
    LH_OPERATION_RELEASE = 5,
    LH_OPERATION_TRANSFER = 6,
};
#define LH_METRICS_OPERATIONS 8  /* the room for later ones; without a word, an entry is unused */
#define LH_METRICS_BUCKETS    16 /* of a histogram */

/* The word of an operation, such as "acquire"; "" for any other number. */
LH_API const char *lh_operation_word(int operation);

/* The upper bound of a histogram's bucket, in microseconds: 250, 500, 1,000, 2,500, 5,000, 10,000,
 * 25,000, 50,000, 100,000, 250,000, 500,000, 1,000,000, 2,500,000, 10,000,000, 60,000,000. The last
 * bucket has none: UINT64_MAX. A duration is counted in the first bucket whose bound is not below
 * it, and in no other. */
LH_API uint64_t lh_metrics_bound_us(size_t bucket);

/* Counters only grow, except for `waiting` and `holding`, which are current numbers. They are read
 * one after the other: while the store is used, two of them may not match exactly. */
typedef struct lh_metrics {
    size_t size;
    /* Commands by operation and outcome; a command is counted once, however often it was sent. */
    uint64_t commands_ok[LH_METRICS_OPERATIONS];
    /* the server refused it: denied, config, data, server; also, if another client was faster to
     * create the key's document */
    uint64_t commands_refused[LH_METRICS_OPERATIONS];
    uint64_t commands_unreachable[LH_METRICS_OPERATIONS];
    uint64_t commands_unknown[LH_METRICS_OPERATIONS];
    uint64_t repeats; /* attempts after the first one */
    /* Acquires: leases that were acquired, calls that were busy (a wait that was over, too), and
     * calls that failed. */
    uint64_t acquired;
    uint64_t busy;
    uint64_t acquires_failed;
    uint64_t queued;  /* waiters that entered a queue */
    uint64_t granted; /* … and were granted the key by another client's command */
    uint64_t renewed; /* leases, each time that they were renewed */
    uint64_t renewals_failed;
    uint64_t lost;
    uint64_t released;
    uint64_t releases_failed;
    uint64_t transferred;
    uint64_t streams_closed; /* how often the change stream that wakes waiters ended */
    uint64_t waiting;        /* waiters in queues now */
    uint64_t holding;        /* leases held now by handles of this store */
    /* How long attempts took until the server replied: a histogram, and the sum. */
    uint64_t round_trips[LH_METRICS_BUCKETS];
    uint64_t round_trips_us;
    /* How long granted acquires took, with their waits. */
    uint64_t acquires[LH_METRICS_BUCKETS];
    uint64_t acquires_us;
} lh_metrics;

#define LH_METRICS_INIT                                                                            \
    {                                                                                              \
        sizeof(lh_metrics), {0}, {0}, {0}, {0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0},  \
            0, {0}, 0                                                                              \
    }
LH_API void lh_metrics_init(lh_metrics *metrics, size_t size);

/* LH_OK: *ret_metrics is filled. LH_INVALID, LH_FORKED. No command is sent, and no lock is taken.
 * A store that observes counts what it would do if it enforced; one that is off counts nothing. */
LH_API int lh_store_metrics(lh_store *store, lh_metrics *ret_metrics, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What is counted, for /metrics (scrape.c). */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H

#include <leasehold/leasehold.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    METRICS_ACQUIRE,
    METRICS_RENEW,
    METRICS_RELEASE,
    METRICS_TRANSFER,
    METRICS_BREAK,
    METRICS_LOOK,
    METRICS_CALLS
};

enum {
    METRICS_ROUTES = 32, /* at most; one more for those that found none */
    METRICS_CLASSES = 6, /* of statuses: none, 1xx … 5xx */
    METRICS_OUTCOMES = LH_ABSENT + 1,
    METRICS_BOUNDS = 14,
};

extern const int64_t metrics_bounds_ms[METRICS_BOUNDS];

struct metrics {
    atomic_uint_fast64_t requests[METRICS_ROUTES + 1][METRICS_CLASSES];
    atomic_uint_fast64_t calls[METRICS_CALLS][METRICS_OUTCOMES];
    atomic_uint_fast64_t waited[METRICS_BOUNDS + 1], waits_ms, events, handoffs;
};

int metrics_new(struct metrics **ret_metrics, lh_error *error);
void metrics_free(struct metrics *metrics);

/* A request has ended; `route`: as a number, METRICS_ROUTES for none. */
void metrics_request(struct metrics *metrics, size_t route, unsigned status);
/* What the library said to a call. */
void metrics_outcome(struct metrics *metrics, int call, int outcome);
/* … to an acquire, which waited so long; -1: it did not want to wait. */
void metrics_acquired(struct metrics *metrics, int outcome, int64_t waited_ms);
/* … and was granted to one that had queued. */
void metrics_handoff(struct metrics *metrics);
void metrics_event(struct metrics *metrics);

#endif

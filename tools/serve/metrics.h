/* SPDX-License-Identifier: Apache-2.0
 * What is counted, and told at /metrics in Prometheus' text format. */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H

#include "request.h"

struct metrics;

enum { METRICS_ACQUIRE, METRICS_RENEW, METRICS_RELEASE, METRICS_BREAK, METRICS_LOOK, METRICS_CALLS };

int metrics_new(struct metrics **ret_metrics, lh_error *error);
void metrics_free(struct metrics *metrics);

/* A request has ended. */
void metrics_request(struct metrics *metrics, const struct request *request);
/* What the library said to a call. */
void metrics_outcome(struct metrics *metrics, int call, int outcome);
/* … to an acquire, which waited so long; -1: it did not want to wait. */
void metrics_acquired(struct metrics *metrics, int outcome, int64_t waited_ms);
/* … and was granted to one that had queued. */
void metrics_handoff(struct metrics *metrics);
void metrics_event(struct metrics *metrics);

void metrics_get(struct request *request);

#endif

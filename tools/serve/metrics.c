/* SPDX-License-Identifier: Apache-2.0
 * Counters are atomics. Keys and owners are no labels: their number has no bound. */
#include "metrics.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleaning.h"
#include "connections.h"
#include "events.h"
#include "routes.h"
#include "sessions.h"
#include "waits.h"

enum { CLASSES = 6, OUTCOMES = LH_ABSENT + 1 }; /* of statuses: none, 1xx … 5xx */

static const int64_t bounds_ms[] = {5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000};
enum { BOUNDS = sizeof bounds_ms / sizeof bounds_ms[0] };

static const char *const call_words[METRICS_CALLS] = {"acquire", "renew", "release", "break", "look"};

struct metrics {
    atomic_uint_fast64_t requests[MOST_ROUTES + 1][CLASSES]; /* the last for those that found no route */
    atomic_uint_fast64_t calls[METRICS_CALLS][OUTCOMES];
    atomic_uint_fast64_t waited[BOUNDS + 1], waits_ms, events, handoffs;
};

int metrics_new(struct metrics **ret_metrics, lh_error *error)
{
    *ret_metrics = calloc(1, sizeof **ret_metrics);
    return *ret_metrics ? LH_OK : out_fail(error, LH_MEMORY, "out of memory");
}

void metrics_free(struct metrics *metrics)
{
    free(metrics);
}

void metrics_request(struct metrics *metrics, const struct request *request)
{
    ptrdiff_t route = request->route ? request->route - routes : MOST_ROUTES;
    unsigned class = request->status / 100;
    atomic_fetch_add(&metrics->requests[route][class < CLASSES ? class : 0], 1);
}

void metrics_outcome(struct metrics *metrics, int call, int outcome)
{
    atomic_fetch_add(&metrics->calls[call][outcome >= 0 && outcome < OUTCOMES ? outcome : LH_BUG], 1);
}

void metrics_acquired(struct metrics *metrics, int outcome, int64_t waited_ms)
{
    size_t bound = 0;
    metrics_outcome(metrics, METRICS_ACQUIRE, outcome);
    if (waited_ms < 0)
        return;
    while (bound < BOUNDS && waited_ms > bounds_ms[bound])
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

static void head(FILE *to, const char *name, const char *type, const char *help)
{
    fprintf(to, "# HELP leasehold_%s %s\n# TYPE leasehold_%s %s\n", name, help, name, type);
}

static void print_requests(FILE *to, struct metrics *metrics)
{
    head(to, "http_requests_total", "counter",
         "Requests that have ended, by route and class of status (0xx: not answered).");
    for (int i = 0; i <= MOST_ROUTES; i++) {
        if (i < MOST_ROUTES && !routes[i].method) {
            i = MOST_ROUTES - 1;
            continue;
        }
        bool none = i == MOST_ROUTES;
        for (int class = 0; class < CLASSES; class ++) {
            uint64_t n = atomic_load(&metrics->requests[i][class]);
            if (n > 0 || class == 2)
                fprintf(to, "leasehold_http_requests_total{method=\"%s\",route=\"%s\",status=\"%dxx\"} %" PRIu64 "\n",
                        none ? "" : routes[i].method, none ? "" : routes[i].path, class, n);
        }
    }
}

static void print_calls(FILE *to, struct metrics *metrics)
{
    head(to, "calls_total", "counter", "What the library said, by call and outcome.");
    for (int call = 0; call < METRICS_CALLS; call++) {
        for (int outcome = 0; outcome < OUTCOMES; outcome++) {
            uint64_t n = atomic_load(&metrics->calls[call][outcome]);
            if (n > 0 || outcome == LH_OK)
                fprintf(to, "leasehold_calls_total{call=\"%s\",outcome=\"%s\"} %" PRIu64 "\n", call_words[call],
                        lh_outcome_word(outcome), n);
        }
    }
}

static void print_waits(FILE *to, struct metrics *metrics)
{
    uint64_t sum = 0;
    head(to, "wait_seconds", "histogram", "How long requests with wait_ms waited, however it ended.");
    for (size_t i = 0; i < BOUNDS; i++) {
        sum += atomic_load(&metrics->waited[i]);
        fprintf(to, "leasehold_wait_seconds_bucket{le=\"%g\"} %" PRIu64 "\n", (double)bounds_ms[i] / 1000, sum);
    }
    sum += atomic_load(&metrics->waited[BOUNDS]);
    fprintf(to, "leasehold_wait_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\nleasehold_wait_seconds_sum %.3f\n", sum,
            (double)atomic_load(&metrics->waits_ms) / 1000);
    fprintf(to, "leasehold_wait_seconds_count %" PRIu64 "\n", sum);
}

static void print_gauge(FILE *to, const char *name, const char *help, uint64_t value)
{
    head(to, name, "gauge", help);
    fprintf(to, "leasehold_%s %" PRIu64 "\n", name, value);
}

static void print_counter(FILE *to, const char *name, const char *help, uint64_t value)
{
    head(to, name, "counter", help);
    fprintf(to, "leasehold_%s %" PRIu64 "\n", name, value);
}

static void print_cleanups(FILE *to, struct cleaning *cleaning)
{
    uint64_t done, failed, removed;
    cleaning_counts(cleaning, &done, &failed, &removed);
    head(to, "cleanups_total", "counter", "Cleanups (--cleanup-every) that have ended.");
    fprintf(to, "leasehold_cleanups_total{outcome=\"ok\"} %" PRIu64 "\n", done);
    fprintf(to, "leasehold_cleanups_total{outcome=\"failed\"} %" PRIu64 "\n", failed);
    print_counter(to, "cleanup_removed_keys_total", "Keys that they removed.", removed);
}

static void print_open(FILE *to, struct server *server)
{
    print_gauge(to, "waiting", "Requests that wait for a key.", waits_count(server->waits));
    print_gauge(to, "jobs_queued", "Requests that wait for a worker.", work_queued(server->work));
    print_gauge(to, "event_subscribers", "Open streams of events.", events_subscribers(server->events));
    print_gauge(to, "sessions", "Open sessions: leases that are renewed for their clients.",
                sessions_count(server->sessions));
    print_counter(to, "sessions_lost_total", "Sessions whose lease was lost while the client was there.",
                  sessions_lost(server->sessions));
    print_gauge(to, "http_connections", "Open connections.", connections_count(server->connections));
    print_counter(to, "http_timeouts_total",
                  "Connections that were shut because a request was not sent, or an answer not taken, in time.",
                  connections_ended(server->connections));
}

void metrics_get(struct request *request)
{
    struct server *server = request->server;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to) {
        answer_text(request, 503, NULL, NULL, 0);
        return;
    }
    head(to, "build_info", "gauge", "The version that runs.");
    fprintf(to, "leasehold_build_info{version=\"%s\"} 1\n", lh_version());
    print_gauge(to, "uptime_seconds", "Since the server began.", (uint64_t)(serve_now_ms() - server->began_ms) / 1000);
    print_requests(to, server->metrics);
    print_calls(to, server->metrics);
    print_waits(to, server->metrics);
    print_open(to, server);
    print_cleanups(to, server->cleaning);
    print_counter(to, "handoffs_total", "Grants to requests that had waited in the key's queue.",
                  atomic_load(&server->metrics->handoffs));
    print_counter(to, "events_total", "Events heard from the database.", atomic_load(&server->metrics->events));
    if (fclose(to) != 0) {
        free(text);
        text = NULL;
    }
    answer_text(request, 200, "text/plain; version=0.0.4; charset=utf-8", text, len);
}

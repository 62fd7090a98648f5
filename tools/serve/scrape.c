/* SPDX-License-Identifier: Apache-2.0
 * /metrics: counters and current numbers, in Prometheus' text format. Keys and owners are not
 * labels, because their number has no bound. */
#include "serve/scrape.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "serve/cleaning.h"
#include "serve/connections.h"
#include "serve/events.h"
#include "serve/log.h"
#include "serve/metrics.h"
#include "serve/routes.h"
#include "serve/sessions.h"
#include "serve/waits.h"

static const char *const call_words[METRICS_CALLS] = {"acquire",  "renew", "release",
                                                      "transfer", "break", "look"};

static void head(FILE *to, const char *name, const char *type, const char *help)
{
    fprintf(to, "# HELP leasehold_%s %s\n# TYPE leasehold_%s %s\n", name, help, name, type);
}

static void print_requests(FILE *to, struct metrics *metrics)
{
    head(to, "http_requests_total", "counter",
         "Requests that have ended, by route and class of status (0xx: not answered).");
    for (int i = 0; i <= METRICS_ROUTES; i++) {
        if (i < METRICS_ROUTES && !routes[i].method) {
            i = METRICS_ROUTES - 1;
            continue;
        }
        bool none = i == METRICS_ROUTES;
        for (int class = 0; class < METRICS_CLASSES; class ++) {
            uint64_t n = atomic_load(&metrics->requests[i][class]);
            if (n > 0 || class == 2)
                fprintf(to,
                        "leasehold_http_requests_total{method=\"%s\",route=\"%s\",status=\"%dxx\"} "
                        "%" PRIu64 "\n",
                        none ? "" : routes[i].method, none ? "" : routes[i].path, class, n);
        }
    }
}

static void print_calls(FILE *to, struct metrics *metrics)
{
    head(to, "calls_total", "counter", "Calls of the library, by call and outcome.");
    for (int call = 0; call < METRICS_CALLS; call++) {
        for (int outcome = 0; outcome < METRICS_OUTCOMES; outcome++) {
            uint64_t n = atomic_load(&metrics->calls[call][outcome]);
            if (n > 0 || outcome == LH_OK)
                fprintf(to, "leasehold_calls_total{call=\"%s\",outcome=\"%s\"} %" PRIu64 "\n",
                        call_words[call], lh_outcome_word(outcome), n);
        }
    }
}

/* `counts` of n buckets, each by itself; the last one has no bound. */
static void print_histogram(FILE *to, const char *name, const uint64_t *counts, size_t n,
                            double (*bound_s)(size_t bucket), double sum_s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        sum += counts[i];
        fprintf(to, "leasehold_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, bound_s(i), sum);
    }
    sum += counts[n - 1];
    fprintf(to, "leasehold_%s_bucket{le=\"+Inf\"} %" PRIu64 "\nleasehold_%s_sum %.3f\n", name, sum,
            name, sum_s);
    fprintf(to, "leasehold_%s_count %" PRIu64 "\n", name, sum);
}

static double wait_bound_s(size_t bucket)
{
    return (double)metrics_bounds_ms[bucket] / 1000;
}

static void print_waits(FILE *to, struct metrics *metrics)
{
    uint64_t counts[METRICS_BOUNDS + 1];
    for (size_t i = 0; i <= METRICS_BOUNDS; i++)
        counts[i] = atomic_load(&metrics->waited[i]);
    head(to, "wait_seconds", "histogram",
         "How long requests with wait_ms waited, whatever the outcome.");
    print_histogram(to, "wait_seconds", counts, METRICS_BOUNDS + 1, wait_bound_s,
                    (double)atomic_load(&metrics->waits_ms) / 1000);
}

static void print_gauge(FILE *to, const char *name, const char *help, uint64_t value)
{
    head(to, name, "gauge", help);
    fprintf(to, "leasehold_%s %" PRIu64 "\n", name, value);
}

/* What is let pass while the leases are not enforced: LEASEHOLD_MODE. */
static void print_rollout(FILE *to, lh_store *store)
{
    lh_observed observed = LH_OBSERVED_INIT;
    if (lh_store_observed(store, &observed, NULL) != LH_OK)
        return;
    print_gauge(to, "enforced", "1: leases are enforced. 0: LEASEHOLD_MODE is observe or off.",
                observed.rollout == LH_ENFORCE);
    const struct {
        const char *word;
        uint64_t n;
    } counts[] = {{"granted", observed.granted},
                  {"contended", observed.contended},
                  {"failed", observed.failed},
                  {"lost", observed.lost},
                  {"skipped", observed.skipped}};
    head(to, "observed_total", "counter",
         "Calls while leases are not enforced, by the outcome that they would have had.");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        fprintf(to, "leasehold_observed_total{what=\"%s\"} %" PRIu64 "\n", counts[i].word,
                counts[i].n);
}

static void print_counter(FILE *to, const char *name, const char *help, uint64_t value)
{
    head(to, name, "counter", help);
    fprintf(to, "leasehold_%s %" PRIu64 "\n", name, value);
}

static double round_trip_bound_s(size_t bucket)
{
    return (double)lh_metrics_bound_us(bucket) / 1e6;
}

static void print_commands(FILE *to, const char *outcome, const uint64_t *commands)
{
    for (int operation = 0; *lh_operation_word(operation); operation++)
        fprintf(to, "leasehold_store_commands_total{operation=\"%s\",outcome=\"%s\"} %" PRIu64 "\n",
                lh_operation_word(operation), outcome, commands[operation]);
}

/* The library's own counters, for the traffic between this program and the database. */
static void print_store(FILE *to, lh_store *store)
{
    lh_metrics m = LH_METRICS_INIT;
    if (lh_store_metrics(store, &m, NULL) != LH_OK)
        return;
    head(to, "store_commands_total", "counter",
         "Commands to the database, by operation and outcome.");
    print_commands(to, "ok", m.commands_ok);
    print_commands(to, "refused", m.commands_refused);
    print_commands(to, "unreachable", m.commands_unreachable);
    print_commands(to, "unknown", m.commands_unknown);
    print_counter(to, "store_repeats_total", "Commands that were sent again.", m.repeats);
    print_counter(to, "store_streams_closed_total",
                  "How often the change stream that wakes waiters ended.", m.streams_closed);
    head(to, "store_round_trip_seconds", "histogram",
         "How long the database took to reply to a command.");
    print_histogram(to, "store_round_trip_seconds", m.round_trips, LH_METRICS_BUCKETS,
                    round_trip_bound_s, (double)m.round_trips_us / 1e6);
}

static void print_cleanups(FILE *to, struct cleaning *cleaning)
{
    uint64_t done, failed, removed;
    cleaning_counts(cleaning, &done, &failed, &removed);
    head(to, "cleanups_total", "counter", "Cleanups (--cleanup-every) that have ended.");
    fprintf(to, "leasehold_cleanups_total{outcome=\"ok\"} %" PRIu64 "\n", done);
    fprintf(to, "leasehold_cleanups_total{outcome=\"failed\"} %" PRIu64 "\n", failed);
    print_counter(to, "cleanup_removed_keys_total", "Keys that cleanups (--cleanup-every) removed.",
                  removed);
}

static void print_open(FILE *to, struct server *server)
{
    print_gauge(to, "waiting", "Requests that wait for a key.",
                clients_taken(server->clients, SHARE_WAITS));
    print_gauge(to, "jobs_queued", "Requests that wait for a worker.", work_queued(server->work));
    print_gauge(to, "event_subscribers", "Open streams of events.",
                events_subscribers(server->events));
    print_gauge(to, "sessions", "Open sessions: leases that are renewed for their clients.",
                sessions_count(server->sessions));
    print_counter(to, "sessions_lost_total",
                  "Sessions whose lease was lost while the client was connected.",
                  sessions_lost(server->sessions));
    print_gauge(to, "http_connections", "Open connections.",
                connections_count(server->connections));
    print_counter(to, "log_lines_dropped_total", "Lines of the log that could not be written.",
                  log_dropped(server->log));
    print_counter(to, "http_timeouts_total",
                  "Connections that were closed because the client did not send a request, or read "
                  "a reply, in time.",
                  connections_ended(server->connections));
}

void scrape_get(struct request *request)
{
    struct server *server = request->server;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to) {
        answer_text(request, 503, NULL, NULL, 0);
        return;
    }
    head(to, "build_info", "gauge", "The version of the server.");
    fprintf(to, "leasehold_build_info{version=\"%s\"} 1\n", lh_version());
    print_gauge(to, "uptime_seconds", "Seconds since the server started.",
                (uint64_t)(serve_now_ms() - server->began_ms) / 1000);
    print_requests(to, server->metrics);
    print_calls(to, server->metrics);
    print_waits(to, server->metrics);
    print_rollout(to, server->store);
    print_store(to, server->store);
    print_open(to, server);
    print_cleanups(to, server->cleaning);
    print_counter(to, "handoffs_total", "Grants to requests that had waited in the key's queue.",
                  atomic_load(&server->metrics->handoffs));
    print_counter(to, "events_total", "Events received from the database.",
                  atomic_load(&server->metrics->events));
    if (fclose(to) != 0) {
        free(text);
        text = NULL;
    }
    answer_text(request, 200, "text/plain; version=0.0.4; charset=utf-8", text, len);
}

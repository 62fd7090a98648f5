/* SPDX-License-Identifier: Apache-2.0
 *
 * What a store reports about itself: its log and its metrics; and keys. */
#include "addon.h"

#include <stdlib.h>
#include <string.h>

/* ---- The log ----------------------------------------------------------------------------------
 */

enum { TEXTS = 4 };
static const char *const text_names[TEXTS] = {"key", "lease", "command", "message"};

struct log {
    lhn_call call;
    lhn_store *of; /* exists: the store is closed only after its last event was reported */
    lh_log_event event;
    char texts[]; /* those of text_names, each with its NUL */
};

static void report_log(napi_env env, lhn_call *call)
{
    struct log *log = (struct log *)call;
    const lh_log_event *event = &log->event;
    napi_value value = lhn_object(env), function, ignored;
    const char *text = log->texts;
    for (size_t i = 0; i < TEXTS; text += strlen(text) + 1, i++)
        lhn_set_text(env, value, text_names[i], text);
    lhn_set_text(env, value, "event", lh_log_word(event->event));
    lhn_set_text(env, value, "level", lh_level_word(event->level));
    lhn_set_text(env, value, "outcome", lh_outcome_word(event->outcome));
    lhn_set_text(env, value, "reason", lh_reason_word(event->reason));
    lhn_set_number(env, value, "serverCode", event->server_code);
    lhn_set_number(env, value, "attempt", event->attempt);
    lhn_set_number(env, value, "count", (int64_t)event->count);
    lhn_set_token(env, value, event->token);
    napi_value duration;
    napi_create_double(env, (double)event->duration_us / 1e3, &duration);
    lhn_set(env, value, "duration", duration);
    napi_get_reference_value(env, log->of->log, &function);
    napi_call_function(env, lhn_undefined(env), function, 1, &value, &ignored);
    lhn_call_free(env, call);
}

/* Without memory the event is missing: the log must not end the program. */
void lhn_log(void *arg, const lh_log_event *from)
{
    lhn_store *store = arg;
    const char *const texts[TEXTS] = {from->key, from->lease, from->command, from->message};
    size_t size = sizeof(struct log);
    for (size_t i = 0; i < TEXTS; i++)
        size += (texts[i] ? strlen(texts[i]) : 0) + 1;
    struct log *log = lhn_event_new(store->addon, size, report_log);
    if (!log)
        return;
    log->of = store;
    log->event = *from;
    char *end = log->texts;
    for (size_t i = 0; i < TEXTS; i++)
        end = stpcpy(end, texts[i] ? texts[i] : "") + 1;
    lhn_call_done(&log->call);
}

/* ---- Metrics ----------------------------------------------------------------------------------
 */

static void set_count(napi_env env, napi_value object, const char *name, uint64_t count)
{
    lhn_set_number(env, object, name, (int64_t)count);
}

static napi_value commands_value(napi_env env, const lh_metrics *metrics)
{
    napi_value all = lhn_object(env);
    for (int i = 0; i < LH_METRICS_OPERATIONS && lh_operation_word(i)[0]; i++) {
        napi_value one = lhn_object(env);
        set_count(env, one, "ok", metrics->commands_ok[i]);
        set_count(env, one, "refused", metrics->commands_refused[i]);
        set_count(env, one, "unreachable", metrics->commands_unreachable[i]);
        set_count(env, one, "unknown", metrics->commands_unknown[i]);
        lhn_set(env, all, lh_operation_word(i), one);
    }
    return all;
}

/* {buckets: [{upTo, count}, …], count, sum}, in milliseconds. A bucket does not count those of
 * the buckets before it. */
static napi_value histogram_value(napi_env env, const uint64_t *counts, uint64_t sum_us)
{
    napi_value value = lhn_object(env), buckets, number;
    uint64_t n = 0;
    napi_create_array(env, &buckets);
    for (uint32_t i = 0; i < LH_METRICS_BUCKETS; i++) {
        uint64_t bound_us = lh_metrics_bound_us(i);
        napi_value bucket = lhn_object(env);
        if (bound_us == UINT64_MAX)
            number = lhn_number_value(env, INT64_MAX);
        else
            napi_create_double(env, (double)bound_us / 1e3, &number);
        lhn_set(env, bucket, "upTo", number);
        set_count(env, bucket, "count", counts[i]);
        napi_set_element(env, buckets, i, bucket);
        n += counts[i];
    }
    lhn_set(env, value, "buckets", buckets);
    set_count(env, value, "count", n);
    napi_create_double(env, (double)sum_us / 1e3, &number);
    lhn_set(env, value, "sum", number);
    return value;
}

/* (store). No command is sent. */
napi_value lhn_metrics(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    lh_metrics metrics = LH_METRICS_INIT;
    lhn_store *store = lhn_pointer(env, arguments[0]);
    if (lh_store_metrics(store->store, &metrics, NULL) != LH_OK)
        return lhn_undefined(env);
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = {
        {"repeats", metrics.repeats},
        {"acquired", metrics.acquired},
        {"busy", metrics.busy},
        {"acquiresFailed", metrics.acquires_failed},
        {"queued", metrics.queued},
        {"granted", metrics.granted},
        {"renewed", metrics.renewed},
        {"renewalsFailed", metrics.renewals_failed},
        {"lost", metrics.lost},
        {"released", metrics.released},
        {"releasesFailed", metrics.releases_failed},
        {"transferred", metrics.transferred},
        {"streamsClosed", metrics.streams_closed},
        {"waiting", metrics.waiting},
        {"holding", metrics.holding},
    };
    napi_value value = lhn_object(env);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        set_count(env, value, counts[i].name, counts[i].count);
    lhn_set(env, value, "commands", commands_value(env, &metrics));
    lhn_set(env, value, "roundTrips",
            histogram_value(env, metrics.round_trips, metrics.round_trips_us));
    lhn_set(env, value, "acquires", histogram_value(env, metrics.acquires, metrics.acquires_us));
    return value;
}

/* ---- Keys -------------------------------------------------------------------------------------
 */

/* (parts): a key, or what lhn_failure() makes */
napi_value lhn_key_join(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    size_t n = 0;
    char **parts = lhn_texts(env, arguments[0], &n), *key = NULL;
    lh_error error = LH_ERROR_INIT;
    int outcome = lh_key_join((const char *const *)parts, n, &key, &error);
    napi_value value =
        outcome == LH_OK ? lhn_text_value(env, key) : lhn_failure(env, outcome, &error, NULL);
    lhn_texts_free(parts, n);
    lh_string_free(key);
    return value;
}

/* SPDX-License-Identifier: Apache-2.0
 * The log and the metrics of a store, without a server: levels, what is hidden, what is counted. */
#include "unit.h"

#include <unistd.h>

#include "base/error.h"
#include "store/log.h"
#include "store/store.h"

#define ID "0123456789abcdef0123456789abcdef"

typedef struct {
    int calls;
    lh_log_event last;
    char lease[64], message[512];
} seen;

static void see(void *arg, const lh_log_event *event)
{
    seen *s = arg;
    s->calls++;
    s->last = *event;
    (void)snprintf(s->lease, sizeof s->lease, "%s", event->lease ? event->lease : "");
    (void)snprintf(s->message, sizeof s->message, "%s", event->message);
}

static lh_store *new_store(seen *s, int level)
{
    lh_store *store = calloc(1, sizeof *store);
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    assert_non_null(store);
    options.log = s ? see : NULL;
    options.log_arg = s;
    options.log_level = level;
    store->pid = getpid();
    lh_log_init(store, &options);
    return store;
}

static int level_of(int event, int outcome)
{
    seen s = {0};
    lh_store *store = new_store(&s, LH_LEVEL_DEBUG);
    lh_log(store, &(lh_log_event){.event = event, .outcome = outcome}, NULL);
    assert_int_equal(s.calls, 1);
    free(store);
    return s.last.level;
}

static void test_levels(void **state)
{
    (void)state;
    static const struct {
        int event, outcome, level;
    } cases[] = {{LH_LOG_ACQUIRE, LH_OK, LH_LEVEL_INFO},
                 {LH_LOG_ACQUIRE, LH_BUSY, LH_LEVEL_DEBUG},
                 {LH_LOG_ACQUIRE, LH_UNREACHABLE, LH_LEVEL_WARNING},
                 {LH_LOG_ACQUIRE, LH_DENIED, LH_LEVEL_ERROR},
                 {LH_LOG_COMMAND, LH_OK, LH_LEVEL_DEBUG},
                 {LH_LOG_COMMAND, LH_SERVER, LH_LEVEL_DEBUG},
                 {LH_LOG_COMMAND, LH_UNKNOWN, LH_LEVEL_WARNING},
                 {LH_LOG_REPEAT, LH_UNKNOWN, LH_LEVEL_INFO},
                 {LH_LOG_RENEW, LH_OK, LH_LEVEL_DEBUG},
                 {LH_LOG_RENEW, LH_UNREACHABLE, LH_LEVEL_WARNING},
                 {LH_LOG_LOST, LH_LOST, LH_LEVEL_WARNING}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(level_of(cases[i].event, cases[i].outcome), cases[i].level);
}

static void test_only_the_wanted_levels(void **state)
{
    (void)state;
    seen s = {0};
    lh_store *store = new_store(&s, 0); /* info */
    lh_log(store, &(lh_log_event){.event = LH_LOG_QUEUED}, NULL);
    assert_int_equal(s.calls, 0);
    lh_log(store, &(lh_log_event){.event = LH_LOG_CLOSED}, NULL);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.last.size, sizeof(lh_log_event));
    free(store);
    store = new_store(NULL, 0);
    lh_log(store, &(lh_log_event){.event = LH_LOG_LOST, .outcome = LH_LOST}, NULL);
    free(store);
}

static void test_no_lease_id_is_shown(void **state)
{
    (void)state;
    seen s = {0};
    lh_store *store = new_store(&s, LH_LEVEL_DEBUG);
    lh_error error = LH_ERROR_INIT;
    (void)lh_fail(&error, LH_REASON_PRIVILEGE, "refused: {id: \"" ID "\", n: 12, a: \"" ID "\"}");
    error.server_code = 13;
    lh_log_event event = {
        .event = LH_LOG_RELEASE, .outcome = LH_DENIED, .key = "k", .lease = ID, .count = 1};
    lh_log(store, &event, &error);
    assert_string_equal(s.lease, "01234567");
    assert_string_equal(s.message, "refused: {id: \"01234567************************\", n: 12, "
                                   "a: \"01234567************************\"}");
    assert_int_equal(s.last.reason, LH_REASON_PRIVILEGE);
    assert_int_equal(s.last.server_code, 13);
    event.outcome = LH_OK; /* the error is of something else */
    lh_log(store, &event, &error);
    assert_string_equal(s.message, "");
    assert_int_equal(s.last.reason, 0);
    free(store);
}

static void call_back(void *arg, const lh_log_event *event)
{
    lh_error error = LH_ERROR_INIT;
    (void)event;
    expect_fails(LH_INVALID, lh_store_check(arg, &error), &error, "log callback");
}

static void test_the_store_is_closed_to_its_callback(void **state)
{
    (void)state;
    lh_store *store = new_store(NULL, 0);
    store->log = (lh_log_to){.fn = call_back, .arg = store, .level = LH_LEVEL_INFO};
    lh_log(store, &(lh_log_event){.event = LH_LOG_CLOSED}, NULL);
    assert_int_equal(lh_store_check(store, NULL), LH_OK);
    free(store);
}

/* A thread of the parent was in the callback at the fork: in the child it never leaves. */
static void test_a_forked_child_waits_for_nobody(void **state)
{
    (void)state;
    lh_store *store = new_store(NULL, 0);
    store->pid = getppid();
    store->log.calls = 1;
    (void)alarm(10);
    lh_log_fini(store);
    (void)alarm(0);
    free(store);
}

static void test_words(void **state)
{
    (void)state;
    assert_string_equal(lh_log_word(LH_LOG_STREAM_CLOSED), "stream_closed");
    assert_string_equal(lh_log_sentence(LH_LOG_LOST), "a lease ended against its holder's will");
    assert_string_equal(lh_log_word(0), "");
    assert_string_equal(lh_log_sentence(99), "");
    assert_string_equal(lh_level_word(LH_LEVEL_ERROR), "error");
    assert_string_equal(lh_level_word(LH_LEVEL_DEBUG), "debug");
    assert_string_equal(lh_level_word(0), "");
    assert_string_equal(lh_level_word(5), "");
    assert_string_equal(lh_operation_word(LH_OPERATION_TRANSFER), "transfer");
    assert_string_equal(lh_operation_word(LH_METRICS_OPERATIONS - 1), "");
    assert_string_equal(lh_operation_word(-1), "");
}

static lh_metrics metrics_of(lh_store *store)
{
    lh_metrics metrics = LH_METRICS_INIT;
    assert_int_equal(lh_store_metrics(store, &metrics, NULL), LH_OK);
    return metrics;
}

static void test_what_is_counted(void **state)
{
    (void)state;
    lh_store *store = new_store(NULL, 0);
    const lh_log_event events[] = {
        {.event = LH_LOG_ACQUIRE, .outcome = LH_OK, .count = 1, .duration_us = 250},
        {.event = LH_LOG_ACQUIRE, .outcome = LH_OK, .count = 1, .duration_us = 251},
        {.event = LH_LOG_ACQUIRE, .outcome = LH_BUSY, .count = 1},
        {.event = LH_LOG_ACQUIRE, .outcome = LH_CONFIG, .count = 1},
        {.event = LH_LOG_RENEW, .outcome = LH_OK, .count = 7},
        {.event = LH_LOG_RENEW, .outcome = LH_UNREACHABLE, .count = 2},
        {.event = LH_LOG_RELEASE, .outcome = LH_OK, .count = 3},
        {.event = LH_LOG_RELEASE, .outcome = LH_LOST, .count = 1},
        {.event = LH_LOG_TRANSFER, .outcome = LH_LOST, .count = 1},
        {.event = LH_LOG_REPEAT, .outcome = LH_UNKNOWN}};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        lh_log(store, &events[i], NULL);
    lh_meter_command(&store->meters, LH_OPERATION_RENEW, LH_UNKNOWN);
    lh_meter_command(&store->meters, LH_OPERATION_READ, LH_STOPPED);
    lh_meter_command(&store->meters, LH_OPERATION_OTHER, LH_DENIED);
    lh_meter_time(&store->meters, LH_METER(round_trips), INT64_MAX);
    lh_meter_time(&store->meters, LH_METER(round_trips), -1);
    lh_metrics m = metrics_of(store);
    assert_int_equal(m.acquired, 2);
    assert_int_equal(m.acquires[0], 1);
    assert_int_equal(m.acquires[1], 1);
    assert_int_equal(m.acquires_us, 501);
    assert_int_equal(m.busy, 1);
    assert_int_equal(m.acquires_failed, 1);
    assert_int_equal(m.renewed, 7);
    assert_int_equal(m.renewals_failed, 2);
    assert_int_equal(m.released, 3);
    assert_int_equal(m.releases_failed, 1);
    assert_int_equal(m.transferred, 0);
    assert_int_equal(m.repeats, 1);
    assert_int_equal(m.commands_unknown[LH_OPERATION_RENEW], 1);
    assert_int_equal(m.commands_ok[LH_OPERATION_READ], 1);
    assert_int_equal(m.commands_refused[LH_OPERATION_OTHER], 1);
    assert_int_equal(m.round_trips[0], 1);
    assert_int_equal(m.round_trips[LH_METRICS_BUCKETS - 1], 1);
    free(store);
}

static void test_bounds_grow(void **state)
{
    (void)state;
    for (size_t i = 1; i < LH_METRICS_BUCKETS; i++)
        assert_true(lh_metrics_bound_us(i) > lh_metrics_bound_us(i - 1));
    assert_int_equal(lh_metrics_bound_us(0), 250);
    assert_true(lh_metrics_bound_us(LH_METRICS_BUCKETS - 1) == UINT64_MAX);
    assert_true(lh_metrics_bound_us(99) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_only_the_wanted_levels),
        cmocka_unit_test(test_no_lease_id_is_shown),
        cmocka_unit_test(test_the_store_is_closed_to_its_callback),
        cmocka_unit_test(test_a_forked_child_waits_for_nobody),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_what_is_counted),
        cmocka_unit_test(test_bounds_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

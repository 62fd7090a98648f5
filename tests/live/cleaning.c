/* SPDX-License-Identifier: Apache-2.0
 * lh_cleanup(): what has been free for long goes, who died is forgotten, and what lives or cannot
 * be read stays. */
#include "live.h"

#define ID(n) "0000000000000000000000000000000" #n

static lh_cleanup_report clean(ground *g, int64_t older_than_ms, bool dry_run)
{
    lh_cleanup_options options = LH_CLEANUP_OPTIONS_INIT;
    options.older_than_ms = older_than_ms;
    options.dry_run = dry_run;
    lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
    expect(g, LH_OK, lh_cleanup(g->store, &options, &report, &g->error));
    return report;
}

/* An old lock whose end was that long ago. */
static void old_lock(ground *g, const char *key, int64_t ago_ms)
{
    put(g, json("{'workspace_id': '%s', 'id': 'old-%s', 'user_id': 'u'}", key, key));
    end_it(g, key, ago_ms);
}

static bool is_there(ground *g, const char *key)
{
    bson_t *document = document_of(g, key);
    bson_destroy(document);
    return document != NULL;
}

static void test_only_what_is_old_enough_goes(void **state)
{
    ground *g = *state;
    old_lock(g, "day", 25 * HOUR_MS);
    old_lock(g, "hours", 23 * HOUR_MS);
    old_lock(g, "alive", -HOUR_MS);
    put(g, json("{'workspace_id': 'endless', 'id': 'x', 'expires_at': null}"));
    put(g, json("{'workspace_id': 'text', 'id': 'y', 'expires_at': '2020-01-01T00:00:00Z'}"));
    put(g, json("{'workspace_id': 'seconds', 'id': 'z', 'expires_at': 1577836800}"));
    lh_lease *lease = take(g, "ours");
    lh_cleanup_report report = clean(g, 24 * HOUR_MS, false);
    assert_int_equal(report.removed, 3);
    assert_int_equal(report.holders_dropped, 1); /* "hours": marked as ended */
    assert_false(is_there(g, "day") || is_there(g, "text") || is_there(g, "seconds"));
    assert_true(is_there(g, "hours") && is_there(g, "alive") && is_there(g, "endless") &&
                is_there(g, "ours"));
    lh_record *record = status_of(g, "hours");
    assert_string_equal(record->released_how, "expire");
    assert_string_equal(record->released_owner, "u");
    assert_false(record->expired);
    lh_record_free(record);
    report = clean(g, 24 * HOUR_MS, false);
    assert_int_equal(report.removed + report.holders_dropped + report.waiters_dropped, 0);
    give(g, lease);
}

static void test_a_dry_run_counts_and_changes_nothing(void **state)
{
    ground *g = *state;
    old_lock(g, "day", 25 * HOUR_MS);
    old_lock(g, "hours", HOUR_MS);
    bson_t *day = document_of(g, "day"), *hours = document_of(g, "hours");
    lh_cleanup_report report = clean(g, 24 * HOUR_MS, true);
    assert_int_equal(report.removed, 1);
    assert_int_equal(report.holders_dropped, 1);
    bson_t *day_after = document_of(g, "day"), *hours_after = document_of(g, "hours");
    expect_same(day, day_after);
    expect_same(hours, hours_after);
    bson_destroy(day);
    bson_destroy(hours);
    bson_destroy(day_after);
    bson_destroy(hours_after);
}

static void test_what_cannot_be_read_is_never_touched(void **state)
{
    ground *g = *state;
    put(g, json("{'workspace_id': 'a', 'id': 'x', 'expires_at': 'long ago'}"));
    put(g, json("{'workspace_id': 'b', 'id': 'x', 'expires_at': {'$date': '2020-01-01T00:00:00Z'}, "
                "'token': 'x'}"));
    put(g, json("{'workspace_id': 'c', 'id': 'x', 'expires_at': {'$date': '2020-01-01T00:00:00Z'}, "
                "'shared': 1}"));
    put(g, json("{'workspace_id': 'd', 'id': 'x', 'expires_at': {'$date': '2020-01-01T00:00:00Z'}, "
                "'waiters': {'x': 1}}"));
    put(g,
        json(
            "{'workspace_id': 'e', 'id': 'x', 'expires_at': [{'$date': '2020-01-01T00:00:00Z'}]}"));
    lh_cleanup_report report = clean(g, 1000, false);
    assert_int_equal(report.removed + report.holders_dropped + report.waiters_dropped, 0);
    assert_int_equal(count_documents(g), 5);
}

static void test_dead_readers_and_waiters_are_dropped(void **state)
{
    ground *g = *state;
    lh_lease *a = take_as(g, "k", LH_SHARED, 30000, "a"),
             *b = take_as(g, "k", LH_SHARED, 30000, "b");
    change(g, "k",
           json("{'0': {'$set': {'shared.%s.expires_at': {'$subtract': ['$$NOW', 3600000]}, "
                "'waiters': {"
                "'" ID(1) "': {'mode': 'exclusive', 'owner': 'w', 'beat': 0, 'beat_at': "
                          "{'$subtract': ['$$NOW', 60000]},"
                          " 'ttl_ms': 1000, 'claim_ms': 5000},"
                          "'" ID(2) "': {'mode': 'exclusive', 'owner': 'w', 'beat': 0, 'beat_at': "
                                    "'$$NOW', 'ttl_ms': 60000,"
                                    " 'claim_ms': 60000}}}}}",
                lh_lease_id(a)));
    lh_cleanup_report report = clean(g, 24 * HOUR_MS, false);
    assert_int_equal(report.removed, 0);
    assert_int_equal(report.holders_dropped, 1);
    assert_int_equal(report.waiters_dropped, 1);
    bson_t *document = document_of(g, "k");
    char path[64];
    (void)snprintf(path, sizeof path, "shared.%s", lh_lease_id(a));
    assert_false(has(document, path) || has(document, "waiters." ID(1)));
    assert_true(has(document, "waiters." ID(2)));
    bson_destroy(document);
    assert_true(lh_lease_valid(b));
    expect(g, LH_OK, lh_lease_renew(b, 0, NULL, &g->error));
    lh_lease_free(a);
    give(g, b); /* and the living waiter gets it */
    document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), ID(2));
    bson_destroy(document);
}

static void test_a_dead_holder_makes_way_for_the_head(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    change(g, "k",
           json("{'0': {'$set': {'expires_at': {'$subtract': ['$$NOW', 3600000]}, 'waiters': {"
                "'" ID(2) "': {'mode': 'exclusive', 'owner': 'w', 'beat': 3, 'beat_at': '$$NOW', "
                          "'ttl_ms': 60000,"
                          " 'claim_ms': 60000}}}}}"));
    lh_cleanup_report report = clean(g, 1000, false);
    assert_int_equal(report.removed, 0);
    assert_int_equal(report.holders_dropped, 1);
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), ID(2));
    assert_string_equal(text_at(document, "wake"), ID(2) ":3");
    assert_true(number_at(document, "token") > lh_lease_token(lease));
    bson_destroy(document);
    lh_lease_free(lease);
}

/* On a standalone the next token comes from its clock: a document whose token is ahead of it must
 * stay. */
static void test_a_token_ahead_of_the_clock_keeps_its_document(void **state)
{
    ground *g = *state;
    put(g, json("{'workspace_id': 'k', 'id': 'x', 'expires_at': {'$date': '2020-01-01T00:00:00Z'},"
                " 'token': {'$numberLong': '4000000000000000000'}}"));
    lh_cleanup_report report = clean(g, 1000, false);
    assert_int_equal(report.removed, 0);
    assert_true(is_there(g, "k"));
    assert_true(take_token(g, "k") > INT64_C(4000000000000000000));
}

static int stop_at_once(void *arg, uint64_t looked_at, uint64_t removed)
{
    int *calls = arg;
    assert_true(looked_at > 0 && removed <= looked_at);
    ++*calls;
    return 1;
}

static void test_many_go_in_batches_and_the_caller_may_stop(void **state)
{
    ground *g = *state;
    mongoc_bulk_operation_t *bulk =
        mongoc_collection_create_bulk_operation_with_opts(g->locks, NULL);
    bson_error_t error;
    for (int i = 0; i < 2500; i++) {
        bson_t *d = json(
            "{'workspace_id': 'k%d', 'id': '%d', 'expires_at': {'$date': '2020-01-01T00:00:00Z'}}",
            i, i);
        assert_true(mongoc_bulk_operation_insert_with_opts(bulk, d, NULL, &error));
        bson_destroy(d);
    }
    assert_true(mongoc_bulk_operation_execute(bulk, NULL, &error));
    mongoc_bulk_operation_destroy(bulk);
    int calls = 0;
    lh_cleanup_options options = LH_CLEANUP_OPTIONS_INIT;
    options.progress = stop_at_once;
    options.progress_arg = &calls;
    lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
    expect(g, LH_STOPPED, lh_cleanup(g->store, &options, &report, &g->error));
    assert_int_equal(calls, 1);
    assert_int_equal(count_documents(g), 2500 - (int64_t)report.removed);
    report = clean(g, 1000, false);
    assert_int_equal(count_documents(g), 0);
}

static void test_the_retention_is_checked(void **state)
{
    ground *g = *state;
    static const int64_t bad[] = {0, -1, 999, INT64_MAX};
    for (int i = 0; i < 4; i++) {
        lh_cleanup_options options = LH_CLEANUP_OPTIONS_INIT;
        options.older_than_ms = bad[i];
        lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
        expect(g, LH_INVALID, lh_cleanup(g->store, &options, &report, &g->error));
        expect_says(g, "older_than_ms");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_only_what_is_old_enough_goes),
        live_test(test_a_dry_run_counts_and_changes_nothing),
        live_test(test_what_cannot_be_read_is_never_touched),
        live_test(test_dead_readers_and_waiters_are_dropped),
        live_test(test_a_dead_holder_makes_way_for_the_head),
        live_test(test_a_token_ahead_of_the_clock_keeps_its_document),
        live_test(test_many_go_in_batches_and_the_caller_may_stop),
        live_test(test_the_retention_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Expiry: nobody is taken over before its end + grace (clock_skew_ms), whoever asks and however;
 * after it, anybody may. */
#include "live.h"

#include "base/clock.h"

static lh_store *store_with_grace(ground *g, int64_t ms)
{
    lh_store_options options = store_options(g);
    options.clock_skew_ms = ms;
    return open_store_with(g, &options);
}

/* Is it granted, and what did the server's clock say? */
static bool try(ground *g, const char *key, int mode)
{
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true; /* no keeper: the test renews, or lets it end */
    options.mode = mode;
    lh_lease *lease = NULL;
    int outcome = lh_acquire(g->store, key, &options, &lease, NULL, &g->error);
    assert_true(outcome == LH_OK || outcome == LH_BUSY);
    lh_lease_free(lease);
    return outcome == LH_OK;
}

static void test_the_grace_is_honoured_and_no_more(void **state)
{
    ground *g = *state;
    g->store = store_with_grace(g, 60000);
    static const int modes[] = {LH_EXCLUSIVE, LH_SHARED};
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "shared" : "exclusive";
        lh_lease *lease = take(g, key);
        end_it(g, key, 1);
        assert_false(try(g, key, modes[i]));
        end_it(g, key, 50000);
        assert_false(try(g, key, modes[i]));
        assert_int_equal(state_of(g, key), LH_HELD);
        end_it(g, key, 60001);
        assert_int_equal(state_of(g, key), LH_FREE);
        assert_true(try(g, key, modes[i]));
        lh_lease_free(lease);
    }
}

static void test_the_grace_holds_in_cleanup_and_for_old_documents(void **state)
{
    ground *g = *state;
    g->store = store_with_grace(g, 60000);
    static const char *const ends[] = {
        "{'$subtract': ['$$NOW', 50000]}",
        "{'$dateToString': {'date': {'$subtract': ['$$NOW', 50000]}}}",
        "{'$toLong': {'$subtract': ['$$NOW', 50000]}}",
        "{'$divide': [{'$toLong': {'$subtract': ['$$NOW', 50000]}}, 1000]}"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "old-%zu", i);
        put(g, json("{'workspace_id': '%s', 'id': 'x%zu', 'user_id': 'u'}", key, i));
        change(g, key, json("{'0': {'$set': {'expires_at': %s}}}", ends[i]));
        assert_false(try(g, key, LH_EXCLUSIVE));
        assert_false(try(g, key, LH_SHARED));
        assert_int_equal(state_of(g, key), LH_HELD);
    }
    lh_cleanup_options options = LH_CLEANUP_OPTIONS_INIT;
    options.older_than_ms = 1000;
    lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
    expect(g, LH_OK, lh_cleanup(g->store, &options, &report, &g->error));
    assert_int_equal(report.removed, 0);
    assert_int_equal(report.holders_dropped, 0);
    assert_int_equal(count_documents(g), 4);
}

static void test_no_grace_is_possible(void **state)
{
    ground *g = *state;
    g->store = store_with_grace(g, 0);
    lh_lease *lease = take(g, "k");
    end_it(g, "k", 1);
    assert_true(try(g, "k", LH_EXCLUSIVE));
    lh_lease_free(lease);
}

/* A real end, awaited: by the server's clock the successor is granted not before end + grace. */
static void test_a_lease_that_nobody_renews_goes_to_the_next_after_its_grace(void **state)
{
    ground *g = *state;
    g->store = store_with_grace(g, 200);
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 1000, "first");
    int64_t end = lh_lease_expires_at_ms(lease);
    while (!try(g, "k", LH_EXCLUSIVE))
        lh_clock_sleep(5);
    assert_false(lh_lease_valid(lease)); /* the first knew before the second had it */
    bson_t *document = document_of(g, "k");
    assert_true(number_at(document, "acquired_at") >= end + 200);
    assert_string_equal(text_at(document, "released.how"), "expire");
    assert_string_equal(text_at(document, "released.owner"), "first");
    assert_string_equal(text_at(document, "released.id"), lh_lease_id(lease));
    bson_destroy(document);
    expect(g, LH_LOST, lh_lease_renew(lease, 0, NULL, &g->error));
    lh_lease_free(lease);
}

static void test_renewals_keep_it_past_its_first_end(void **state)
{
    ground *g = *state;
    g->store = store_with_grace(g, 0);
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 1000, NULL);
    int64_t end = lh_lease_expires_at_ms(lease);
    while (server_ms(g) < end + 200) {
        expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
        assert_false(try(g, "k", LH_EXCLUSIVE));
        lh_clock_sleep(50);
    }
    assert_true(lh_lease_valid(lease));
    lh_lease_free(lease);
}

static void test_a_holder_without_an_end_stays(void **state)
{
    ground *g = *state;
    g->store = store_with_grace(g, 0);
    put(g, json("{'workspace_id': 'null', 'id': 'a', 'user_id': 'u', 'expires_at': null}"));
    put(g, json("{'workspace_id': 'missing', 'id': 'b', 'user_id': 'u'}"));
    static const char *const keys[] = {"null", "missing"};
    for (int i = 0; i < 2; i++) {
        expect_busy(g, keys[i], LH_EXCLUSIVE, LH_WHY_HELD);
        expect_busy(g, keys[i], LH_SHARED, LH_WHY_HELD);
        lh_record *record = status_of(g, keys[i]);
        assert_int_equal(record->state, LH_HELD);
        assert_true(lh_record_holder(record, 0)->expires_at_ms == LH_NEVER);
        assert_true(lh_record_holder(record, 0)->remaining_ms == LH_NEVER);
        assert_string_equal(lh_record_holder(record, 0)->owner, "u");
        lh_record_free(record);
    }
}

static void test_an_expired_holder_is_shown_as_expired_until_somebody_takes_over(void **state)
{
    ground *g = *state;
    g->store = store_with_grace(g, 500);
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 30000, "ann");
    end_it(g, "k", HOUR_MS);
    lh_record *record = status_of(g, "k");
    assert_int_equal(record->state, LH_FREE);
    assert_true(record->expired);
    assert_string_equal(record->released_how, "expire");
    assert_string_equal(record->released_owner, "ann");
    assert_int_equal(record->holders, 0);
    lh_record_free(record);
    lh_lease_free(lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_test(test_the_grace_is_honoured_and_no_more),
        bare_test(test_the_grace_holds_in_cleanup_and_for_old_documents),
        bare_test(test_no_grace_is_possible),
        bare_test(test_a_lease_that_nobody_renews_goes_to_the_next_after_its_grace),
        bare_test(test_renewals_keep_it_past_its_first_end),
        bare_test(test_a_holder_without_an_end_stays),
        bare_test(test_an_expired_holder_is_shown_as_expired_until_somebody_takes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

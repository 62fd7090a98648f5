/* SPDX-License-Identifier: Apache-2.0
 * Invariant 2: the tokens of a key strictly increase, whatever happened to its document in
 * between. */
#include "live.h"

static int64_t expect_higher(ground *g, int64_t than)
{
    int64_t token = take_token(g, "k");
    if (token <= than)
        print_error("token %lld follows %lld\n", (long long)token, (long long)than);
    assert_true(token > than);
    return token;
}

static void release_by_observer(ground *g)
{
    lh_lease *lease = NULL;
    bson_t *document = document_of(g, "k");
    expect(g, LH_OK, lh_lease_attach(g->store, "k", text_at(document, "id"), &lease, &g->error));
    give(g, lease);
    bson_destroy(document);
}

static void test_over_releases(void **state)
{
    ground *g = *state;
    int64_t token = 0;
    for (int i = 0; i < 20; i++) {
        token = expect_higher(g, token);
        release_by_observer(g);
    }
}

static void test_over_a_break(void **state)
{
    ground *g = *state;
    int64_t token = take_token(g, "k");
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "stuck";
    expect(g, LH_OK, lh_break(g->store, "k", &options, NULL, &g->error));
    expect_higher(g, token);
}

static void test_over_expiry(void **state)
{
    ground *g = *state;
    int64_t token = take_token(g, "k");
    end_it(g, "k", HOUR_MS);
    expect_higher(g, token);
}

static void test_over_cleanup(void **state)
{
    ground *g = *state;
    int64_t token = take_token(g, "k");
    end_it(g, "k", HOUR_MS);
    lh_cleanup_options options = LH_CLEANUP_OPTIONS_INIT;
    options.older_than_ms = 1000;
    lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
    while (report.removed == 0) /* on a standalone the token must be older than that, too */
        expect(g, LH_OK, lh_cleanup(g->store, &options, &report, &g->error));
    assert_int_equal(count_documents(g), 0);
    expect_higher(g, token);
}

static void test_over_deletion_by_old_code(void **state)
{
    ground *g = *state;
    int64_t token = 0;
    for (int i = 0; i < 10; i++) {
        token = expect_higher(g, token);
        bson_t *document = document_of(g, "k");
        delete_key(g, "id", text_at(document, "id"));
        bson_destroy(document);
    }
}

static void test_over_a_drop_of_the_collection(void **state)
{
    ground *g = *state;
    int64_t token = take_token(g, "k");
    do_command(g, g->db, json("{'drop': '%s'}", LOCKS));
    expect(g, LH_OK, lh_migrate(g->store, NULL, NULL, &g->error));
    expect_higher(g, token);
}

static void test_over_old_code_taking_it_between(void **state)
{
    ground *g = *state;
    int64_t token = take_token(g, "k");
    bson_t *document = document_of(g, "k");
    delete_key(g, "id", text_at(document, "id"));
    bson_destroy(document);
    put(g, json("{'workspace_id': 'k', 'id': 'old-1', 'user_id': 'u', 'expires_at': {'$date': "
                "'2020-01-01T00:00:00Z'}}"));
    expect_higher(g, token);
}

static void test_it_goes_on_from_a_stored_token_that_is_ahead_of_the_clock(void **state)
{
    ground *g = *state;
    const int64_t ahead = INT64_C(1) << 61;
    put(g, json("{'workspace_id': 'k', 'id': 'x', 'expires_at': {'$date': '2020-01-01T00:00:00Z'}, "
                "'token': "
                "{'$numberLong': '%lld'}}",
                (long long)ahead));
    assert_int_equal(take_token(g, "k"), ahead + 1);
    end_it(g, "k", HOUR_MS);
    assert_int_equal(take_token(g, "k"), ahead + 2);
}

#define LAST        ((INT64_C(1) << 62) - 1)
#define LAST_BEFORE (LAST - (INT64_C(1) << 20)) /* behind which another is granted */

static void put_at(ground *g, int64_t token)
{
    do_command(g, g->db, json("{'delete': '%s', 'deletes': [{'q': {}, 'limit': 0}]}", LOCKS));
    put(g, json("{'workspace_id': 'k', 'id': 'x', 'expires_at': {'$date': '2020-01-01T00:00:00Z'}, "
                "'token': "
                "{'$numberLong': '%lld'}}",
                (long long)token));
}

static void break_it(ground *g)
{
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "its token is at its end";
    expect(g, LH_OK, lh_break(g->store, "k", &options, NULL, &g->error));
}

/* Nothing is granted that could not be read then; and whatever is refused a break frees, with
 * tokens from the clock on. */
static void test_at_their_end_they_are_refused_with_a_way_out(void **state)
{
    ground *g = *state;
    static const int64_t ends[] = {LAST, LAST - 1, LAST_BEFORE + 1000, LAST_BEFORE + 1};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        put_at(g, ends[i]);
        bson_t *before = document_of(g, "k");
        expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_MALFORMED);
        expect_busy(g, "k", LH_SHARED, LH_WHY_MALFORMED);
        lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
        o.wait_ms = 5000;
        lh_lease *none = NULL;
        expect(g, LH_BUSY, lh_acquire(g->store, "k", &o, &none, NULL, &g->error));
        bson_t *after = document_of(g, "k");
        expect_same(before, after);
        bson_destroy(before);
        bson_destroy(after);
        lh_record *record = status_of(g, "k");
        assert_int_equal(record->state, LH_MALFORMED);
        assert_true(strstr(record->problem, "break the key to restart the tokens") != NULL);
        lh_record_free(record);
        lh_cleanup_options c = LH_CLEANUP_OPTIONS_INIT;
        c.older_than_ms = 1000;
        lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
        expect(g, LH_OK, lh_cleanup(g->store, &c, &report, &g->error));
        assert_int_equal(count_documents(g), 1); /* with it the token would go back in silence */
        break_it(g);
        int64_t token = take_token(g, "k");
        assert_true(token > 0 && token < LAST_BEFORE);
    }
}

/* The last one that is granted is used to its end: renewed, shared, waited for, released. */
static void test_the_last_one_is_a_token_like_any(void **state)
{
    ground *g = *state;
    put_at(g, LAST_BEFORE);
    lh_lease *lease = take(g, "k");
    assert_int_equal(lh_lease_token(lease), LAST_BEFORE + 1);
    usleep(2000);
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    assert_int_equal(state_of(g, "k"), LH_HELD);
    lh_stats_report *stats = NULL;
    expect(g, LH_OK, lh_stats(g->store, NULL, &stats, &g->error));
    assert_int_equal(stats->exclusive, 1);
    lh_stats_free(stats);
    char heir[LH_LEASE_ID_LEN + 1];
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = 500;
    o.by_hand = true;
    lh_waiting *waiting = NULL;
    expect(g, LH_OK, lh_acquire_start(g->store, "k", &o, &waiting, &g->error));
    give(g, lease);
    lease = NULL;
    expect(g, LH_BUSY, lh_waiting_finish(waiting, &lease, NULL, &g->error));
    assert_null(lease);
    expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_MALFORMED);
    expect(g, LH_OK, lh_stats(g->store, NULL, &stats, &g->error));
    assert_int_equal(stats->malformed, 1);
    lh_stats_free(stats);
    put_at(g, LAST_BEFORE);
    lh_lease *readers[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = i == 0 ? take_as(g, "k", LH_SHARED, 30000, NULL) : NULL;
        if (i > 0)
            expect_busy(g, "k", LH_SHARED, LH_WHY_QUEUE); /* no token is left for another */
    }
    expect(g, LH_OK, lh_lease_renew(readers[0], 0, NULL, &g->error));
    give(g, readers[0]);
    break_it(g);
    put_at(g, LAST_BEFORE);
    lease = take(g, "k");
    expect(g, LH_DATA, lh_lease_transfer(lease, "heir", heir, &g->error));
    expect_says(g, "reached its maximum");
    lh_lease_free(lease);
    break_it(g); /* while it is held */
    give(g, take(g, "k"));
}

static void test_a_double_beyond_its_precision_grows_too(void **state)
{
    ground *g = *state;
    static const char *const doubles[] = {"9007199254740994", "1e18", "7.9"};
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) {
        put_at(g, 0);
        change(g, "k", json("{'$set': {'token': {'$numberDouble': '%s'}}}", doubles[i]));
        assert_true(take_token(g, "k") > (int64_t)strtod(doubles[i], NULL));
    }
}

static void test_tokens_of_readers_increase_too(void **state)
{
    ground *g = *state;
    int64_t token = take_token(g, "k");
    release_by_observer(g);
    for (int i = 0; i < 5; i++) {
        lh_lease *reader = take_as(g, "k", LH_SHARED, 30000, NULL);
        assert_true(lh_lease_token(reader) > token);
        token = lh_lease_token(reader);
        if (i % 2)
            lh_lease_free(reader);
        else
            give(g, reader);
    }
}

/* A hundred readers who wait, as they are stored, and one who asks: all are granted in one
 * write. */
static int64_t grant_a_run(ground *g)
{
    enum { WAITERS = 100 };
    bson_t *document = json(
               "{'_id': 'k', 'workspace_id': 'k', 'id': 'x', 'owner': 'x', 'expires_at': {'$date': "
               "'2020-01-01T00:00:00Z'}, "
               "'token': {'$numberLong': '7'}, 'released': {'id': 'x', 'at': {'$date': "
               "'2020-01-01T00:00:00Z'}}}"),
           waiters;
    int64_t now_ms = server_ms(g);
    BSON_APPEND_DOCUMENT_BEGIN(document, "waiters", &waiters);
    for (int i = 0; i < WAITERS; i++) {
        char id[LH_LEASE_ID_LEN + 1];
        (void)snprintf(id, sizeof id, "%032x", i + 1);
        bson_t *waiter =
            json("{'mode': 'shared', 'owner': 'w', 'beat': 0, 'ttl_ms': 30000, 'claim_ms': 60000}");
        BSON_APPEND_DATE_TIME(waiter, "since", now_ms);
        BSON_APPEND_DATE_TIME(waiter, "beat_at", now_ms);
        BSON_APPEND_DOCUMENT(&waiters, id, waiter);
        bson_destroy(waiter);
    }
    bson_append_document_end(document, &waiters);
    put(g, document);
    lh_lease *last = take_as(g, "k", LH_SHARED, 30000, NULL);
    int64_t token = lh_lease_token(last);
    document = document_of(g, "k");
    assert_int_equal(token - number_at(document, "shared.00000000000000000000000000000001.token"),
                     WAITERS);
    bson_destroy(document);
    lh_lease_free(last);
    return token;
}

/* None of their tokens is ahead of the clock: what is granted next, to a key without a document, is
 * higher. */
static void test_over_deletion_of_a_run_of_readers(void **state)
{
    ground *g = *state;
    int64_t last = grant_a_run(g);
    delete_key(g, "workspace_id", "k");
    expect_higher(g, last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_over_releases),
        live_test(test_over_a_break),
        live_test(test_over_expiry),
        live_test(test_over_cleanup),
        live_test(test_over_deletion_by_old_code),
        live_test(test_over_a_drop_of_the_collection),
        live_test(test_over_old_code_taking_it_between),
        live_test(test_it_goes_on_from_a_stored_token_that_is_ahead_of_the_clock),
        live_test(test_at_their_end_they_are_refused_with_a_way_out),
        live_test(test_the_last_one_is_a_token_like_any),
        live_test(test_a_double_beyond_its_precision_grows_too),
        live_test(test_tokens_of_readers_increase_too),
        live_test(test_over_deletion_of_a_run_of_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

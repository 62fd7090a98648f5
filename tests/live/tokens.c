/* SPDX-License-Identifier: Apache-2.0
 * Invariant 2: the tokens of a key strictly increase, whatever happened to its document in between. */
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
    put(g,
        json("{'workspace_id': 'k', 'id': 'old-1', 'user_id': 'u', 'expires_at': {'$date': '2020-01-01T00:00:00Z'}}"));
    expect_higher(g, token);
}

static void test_it_goes_on_from_a_stored_token_that_is_ahead_of_the_clock(void **state)
{
    ground *g = *state;
    const int64_t ahead = INT64_C(1) << 61;
    put(g, json("{'workspace_id': 'k', 'id': 'x', 'expires_at': {'$date': '2020-01-01T00:00:00Z'}, 'token': "
                "{'$numberLong': '%lld'}}",
                (long long)ahead));
    assert_int_equal(take_token(g, "k"), ahead + 1);
    end_it(g, "k", HOUR_MS);
    assert_int_equal(take_token(g, "k"), ahead + 2);
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
        live_test(test_tokens_of_readers_increase_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

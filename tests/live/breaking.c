/* SPDX-License-Identifier: Apache-2.0
 * lh_break(): an operator takes the key from exactly the holder that was seen, also where nothing
 * can be read. */
#include "live.h"

static lh_break_options breaking(int64_t token)
{
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "laptop closed";
    options.by = "operator";
    options.token = token;
    return options;
}

static void test_it_frees_the_key_and_says_who_it_was(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 30000, "ann");
    lh_break_options options = breaking(lh_lease_token(lease));
    lh_record *was = NULL;
    expect(g, LH_OK, lh_break(g->store, "k", &options, &was, &g->error));
    assert_string_equal(lh_record_holder(was, 0)->owner, "ann");
    lh_record_free(was);
    lh_record *now = status_of(g, "k");
    assert_int_equal(now->state, LH_FREE);
    assert_string_equal(now->released_how, "break");
    assert_string_equal(now->released_owner, "ann");
    assert_string_equal(now->released_by, "operator");
    assert_string_equal(now->released_reason, "laptop closed");
    lh_record_free(now);
    assert_true(take_token(g, "k") > lh_lease_token(lease));
    lh_lease_free(lease);
}

static void expect_untouched(ground *g, const lh_break_options *options)
{
    bson_t *before = document_of(g, "k");
    lh_record *was = NULL;
    expect(g, LH_LOST, lh_break(g->store, "k", options, &was, &g->error));
    assert_null(was);
    bson_t *after = document_of(g, "k");
    if (before)
        expect_same(before, after);
    else
        assert_null(after);
    bson_destroy(before);
    bson_destroy(after);
}

static void test_another_token_is_not_broken(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    lh_break_options options = breaking(lh_lease_token(lease) - 1);
    expect_untouched(g, &options);
    options = breaking(0);
    expect_untouched(g, &options);
    assert_true(lh_lease_valid(lease));
    give(g, lease);
}

static void test_there_is_nothing_to_break(void **state)
{
    ground *g = *state;
    lh_break_options options = breaking(-1);
    expect_untouched(g, &options); /* no document */
    give(g, take(g, "k"));
    expect_untouched(g, &options); /* released */
    lh_lease *lease = take(g, "k");
    end_it(g, "k", HOUR_MS);
    expect_untouched(g, &options); /* expired */
    lh_lease_free(lease);
}

static void test_readers_are_broken_together(void **state)
{
    ground *g = *state;
    lh_lease *a = take_as(g, "k", LH_SHARED, 30000, "a"),
             *b = take_as(g, "k", LH_SHARED, 30000, "b");
    lh_break_options options = breaking(-1);
    lh_record *was = NULL;
    expect(g, LH_OK, lh_break(g->store, "k", &options, &was, &g->error));
    assert_int_equal(was->holders, 2);
    lh_record_free(was);
    assert_int_equal(state_of(g, "k"), LH_FREE);
    expect(g, LH_LOST, lh_lease_renew(a, 0, NULL, &g->error));
    expect(g, LH_LOST, lh_lease_renew(b, 0, NULL, &g->error));
    lh_lease_free(a);
    lh_lease_free(b);
    give(g, take(g, "k"));
}

static void test_what_cannot_be_read_is_broken(void **state)
{
    ground *g = *state;
    static const char *const garbage[] = {
        "'expires_at': [1, 2]",
        "'expires_at': 'soon', 'token': 'x'",
        "'expires_at': {'a': 1}, 'token': {'$numberDouble': 'NaN'}",
        "'token': -5",
        "'shared': 5, 'waiters': 'no'",
        "'id': 'shared:x', 'shared': {'x': {'expires_at': 5, 'token': 1}}",
        "'waiters': {'x': 1}",
        "'released': 7, 'token': []",
        "'expires_at': null",
        "'id': {'$numberInt': '5'}, 'expires_at': {'$minKey': 1}",
        "'id': null, 'released': {'id': null}",
        "'token': 'a-uuid'",
        "'token': true",
        "'token': {'$numberDouble': 'NaN'}",
        "'token': {'$numberDouble': 'Infinity'}",
        "'token': {'$numberDecimal': '2.5'}",
        "'token': {'$numberLong': '9223372036854775807'}",
        "'token': {'$date': '2020-01-01T00:00:00Z'}",
        "'token': {'$undefined': true}, 'id': {'$undefined': true}, 'shared': 1",
        "'token': {'$numberLong': '4611686018427387903'}, 'expires_at': {'$date': "
        "'2020-01-01T00:00:00Z'}",
        "'shared': true",
        "'shared': 0",
        "'shared': []",
        "'shared': 'yes', 'expires_at': {'$date': '2020-01-01T00:00:00Z'}",
        "'waiters': 0",
        "'waiters': [], 'expires_at': {'$date': '2020-01-01T00:00:00Z'}",
        "'waiters': [{'user': 1}]",
        "'waiters': {'a': {'since': 1}}, 'token': {'a': 1}",
        "'expires_at': false",
        "'expires_at': true",
        "'expires_at': ''",
        "'owner': {'a': 1}, 'mode': 5, 'released': 'yes', 'wake': 7, 'beat': 'x', 'ttl_ms': '30', "
        "'v': '2', 'host': 1,"
        " 'pid': 'p', 'purpose': [], 'proc': 1, 'acquired_at': 'a', 'renewed_at': 1, 'id': 42, "
        "'token': 'x'",
    };
    lh_break_options options = breaking(-1);
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%zu", i);
        put(g, json("{'workspace_id': '%s', 'kept': %zu, %s}", key, i, garbage[i]));
        assert_int_not_equal(state_of(g, key), LH_FREE);
        expect(g, LH_OK, lh_break(g->store, key, &options, NULL, &g->error));
        if (state_of(g, key) != LH_FREE)
            fail_msg("%s stayed", garbage[i]);
        bson_t *document = document_of(g, key);
        assert_int_equal(number_at(document, "kept"), i);
        bson_destroy(document);
        give(g, take(g, key));
    }
}

static void test_the_options_are_checked(void **state)
{
    ground *g = *state;
    char long_text[LH_TEXT_MAX + 2];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    expect(g, LH_INVALID, lh_break(g->store, "k", NULL, NULL, &g->error));
    expect_says(g, "reason");
    const char *const bad[] = {"", "a\nb", "\xff", long_text};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lh_break_options options = breaking(-1);
        options.reason = bad[i];
        expect(g, LH_INVALID, lh_break(g->store, "k", &options, NULL, &g->error));
        options.reason = "fine";
        options.by = bad[i];
        expect(g, LH_INVALID, lh_break(g->store, "k", &options, NULL, &g->error));
    }
    lh_break_options options = breaking(-1);
    expect(g, LH_INVALID, lh_break(g->store, "", &options, NULL, &g->error));
    expect(g, LH_INVALID, lh_break(NULL, "k", &options, NULL, &g->error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_it_frees_the_key_and_says_who_it_was),
        live_test(test_another_token_is_not_broken),
        live_test(test_there_is_nothing_to_break),
        live_test(test_readers_are_broken_together),
        live_test(test_what_cannot_be_read_is_broken),
        live_test(test_the_options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

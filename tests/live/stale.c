/* SPDX-License-Identifier: Apache-2.0
 * Invariant 4: a renewal never shortens, never revives, never changes the token; and what comes too
 * late changes not one byte of the successor's document. */
#include "live.h"

/* A handle of its own on a lease, for what its first handle would refuse without asking the
 * server. */
static lh_lease *attach(ground *g, const char *key, const char *id)
{
    lh_lease *lease = NULL;
    expect(g, LH_OK, lh_lease_attach(g->store, key, id, &lease, &g->error));
    return lease;
}

/* The ends of somebody who attaches by this id: everything is lost, nothing changed. */
static void expect_powerless(ground *g, const char *id)
{
    bson_t *before = document_of(g, "k");
    lh_lease *late = attach(g, "k", id);
    lh_record *record = NULL;
    expect(g, LH_LOST, lh_lease_renew(late, 60000, &record, &g->error));
    assert_non_null(record);
    lh_record_free(record);
    lh_lease_free(late);
    bson_t *after = document_of(g, "k");
    expect_same(before, after);
    bson_destroy(after);
    late = attach(g, "k", id);
    expect(g, LH_LOST, lh_lease_release(late, &g->error));
    lh_lease_free(late);
    after = document_of(g, "k");
    expect_same(before, after);
    bson_destroy(after);
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true; /* no keeper: the test renews, or lets it end */
    options.lease_id = id;
    lh_lease *never = NULL;
    int outcome = lh_acquire(g->store, "k", &options, &never, NULL, &g->error);
    assert_true(outcome == LH_BUSY || outcome == LH_LOST);
    after = document_of(g, "k");
    expect_same(before, after);
    bson_destroy(after);
    bson_destroy(before);
}

static void test_after_a_takeover(void **state)
{
    ground *g = *state;
    lh_lease *first = take(g, "k");
    end_it(g, "k", HOUR_MS);
    lh_lease *second = take_as(g, "k", LH_EXCLUSIVE, 30000, "second");
    expect_powerless(g, lh_lease_id(first));
    lh_lease_free(first);
    give(g, second);
}

static void test_after_a_release_and_a_new_grant(void **state)
{
    ground *g = *state;
    lh_lease *first = take(g, "k");
    expect(g, LH_OK, lh_lease_release(first, &g->error));
    lh_lease *second = take(g, "k");
    expect(g, LH_OK, lh_lease_release(second, &g->error));
    lh_lease *third = take(g, "k");
    expect_powerless(g, lh_lease_id(first));
    lh_lease_free(first);
    lh_lease_free(second);
    give(g, third);
}

static void test_after_a_break_and_a_new_grant(void **state)
{
    ground *g = *state;
    lh_lease *first = take(g, "k");
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "stuck";
    expect(g, LH_OK, lh_break(g->store, "k", &options, NULL, &g->error));
    lh_lease *second = take(g, "k");
    expect_powerless(g, lh_lease_id(first));
    lh_lease_free(first);
    give(g, second);
}

static void test_after_readers_took_over(void **state)
{
    ground *g = *state;
    lh_lease *first = take(g, "k");
    end_it(g, "k", HOUR_MS);
    lh_lease *a = take_as(g, "k", LH_SHARED, 30000, "a"),
             *b = take_as(g, "k", LH_SHARED, 30000, "b");
    expect_powerless(g, lh_lease_id(first));
    lh_lease_free(first);
    give(g, a);
    give(g, b);
}

static void test_a_break_is_not_undone_by_the_broken_holder(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "stuck";
    expect(g, LH_OK, lh_break(g->store, "k", &options, NULL, &g->error));
    bson_t *before = document_of(g, "k");
    expect(g, LH_LOST, lh_lease_renew(lease, 0, NULL, &g->error));
    bson_t *after = document_of(g, "k");
    expect_same(before, after);
    bson_destroy(before);
    bson_destroy(after);
    assert_false(lh_lease_valid(lease));
    lh_lease_free(lease);
}

static void test_a_renewal_never_shortens(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 600000, NULL);
    int64_t end = lh_lease_expires_at_ms(lease), remaining = lh_lease_remaining_ms(lease),
            token = lh_lease_token(lease);
    expect(g, LH_OK, lh_lease_renew(lease, 1000, NULL, &g->error));
    assert_int_equal(lh_lease_expires_at_ms(lease), end);
    assert_true(lh_lease_remaining_ms(lease) > remaining - 60000);
    assert_int_equal(lh_lease_token(lease), token);
    bson_t *document = document_of(g, "k");
    assert_int_equal(number_at(document, "expires_at"), end);
    bson_destroy(document);
    give(g, lease);
}

static void test_a_renewal_never_shortens_a_readers_end(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_as(g, "k", LH_SHARED, 600000, NULL);
    int64_t end = lh_lease_expires_at_ms(lease), token = lh_lease_token(lease);
    expect(g, LH_OK, lh_lease_renew(lease, 1000, NULL, &g->error));
    assert_int_equal(lh_lease_expires_at_ms(lease), end);
    assert_int_equal(lh_lease_token(lease), token);
    give(g, lease);
}

static void test_what_has_ended_is_not_revived_though_nobody_took_it(void **state)
{
    ground *g = *state;
    static const int modes[] = {LH_EXCLUSIVE, LH_SHARED};
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "reader" : "writer";
        lh_lease *lease = take_as(g, key, modes[i], 30000, NULL);
        if (modes[i] == LH_SHARED) /* within the grace: nobody may take it, but it is over */
            change(g, key,
                   json("{'0': {'$set': {'expires_at': {'$subtract': ['$$NOW', 1]},"
                        " 'shared.%s.expires_at': {'$subtract': ['$$NOW', 1]}}}}",
                        lh_lease_id(lease)));
        else
            end_it(g, key, 1);
        bson_t *before = document_of(g, key);
        expect(g, LH_LOST, lh_lease_renew(lease, 60000, NULL, &g->error));
        bson_t *after = document_of(g, key);
        expect_same(before, after);
        assert_false(lh_lease_valid(lease));
        bson_destroy(before);
        bson_destroy(after);
        lh_lease_free(lease);
    }
}

static void test_a_lease_that_ended_and_nobody_took_can_still_be_released(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    end_it(g, "k", HOUR_MS);
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    lh_lease_free(lease);
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "released.how"), "release");
    bson_destroy(document);
}

static void test_a_renewal_finds_no_document(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    delete_key(g, "id", lh_lease_id(lease));
    expect(g, LH_LOST, lh_lease_renew(lease, 0, NULL, &g->error));
    expect(g, LH_LOST, lh_lease_release(lease, &g->error));
    assert_int_equal(count_documents(g), 0);
    lh_lease_free(lease);
}

static void test_a_token_that_somebody_changed_is_not_renewed(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    change(g, "k", json("{'$inc': {'token': {'$numberLong': '7'}}}"));
    bson_t *before = document_of(g, "k");
    expect(g, LH_LOST, lh_lease_renew(lease, 60000, NULL, &g->error));
    bson_t *after = document_of(g, "k");
    expect_same(before, after);
    bson_destroy(before);
    bson_destroy(after);
    lh_lease_free(lease);
}

/* What a server says after its end is worth nothing: the caller is told then, and not when the
 * store's patience is over. */
static void test_a_renewal_is_not_waited_for_beyond_the_end(void **state)
{
    ground *g = *state;
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri;
    options.timeout_ms = 8000;
    reopen_store(g, &options);
    await_turn(g);
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 1000, NULL);
    break_commands(g, 0, "'findAndModify','update'", "'closeConnection': true");
    assert_true(lh_lease_valid(lease));
    struct timespec start, end;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    int outcome = LH_UNREACHABLE;
    while (outcome == LH_UNREACHABLE) /* with some time left */
        outcome = lh_lease_renew(lease, 0, NULL, &g->error);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    mend_commands(g);
    expect(g, LH_LOST, outcome);
    assert_in_range(end.tv_sec - start.tv_sec, 0, options.timeout_ms / 2000);
    lh_lease_free(lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_after_a_takeover),
        live_test(test_after_a_release_and_a_new_grant),
        live_test(test_after_a_break_and_a_new_grant),
        live_test(test_after_readers_took_over),
        live_test(test_a_break_is_not_undone_by_the_broken_holder),
        live_test(test_a_renewal_never_shortens),
        live_test(test_a_renewal_never_shortens_a_readers_end),
        live_test(test_what_has_ended_is_not_revived_though_nobody_took_it),
        live_test(test_a_lease_that_ended_and_nobody_took_can_still_be_released),
        live_test(test_a_renewal_finds_no_document),
        live_test(test_a_token_that_somebody_changed_is_not_renewed),
        live_test(test_a_renewal_is_not_waited_for_beyond_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

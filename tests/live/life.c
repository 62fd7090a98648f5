/* SPDX-License-Identifier: Apache-2.0
 * A lease's life: acquired, renewed, handed to another process, released; and what others are told
 * meanwhile. */
#include "base/clock.h"
#include "live.h"

static void test_a_grant_says_what_was_granted(void **state)
{
    ground *g = *state;
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true; /* no keeper: the test renews, or lets it end */
    options.ttl_ms = 20000;
    options.owner = "ann";
    options.purpose = "rebuild";
    int64_t before = server_ms(g);
    lh_lease *lease = NULL;
    expect(g, LH_OK, lh_acquire(g->store, "project:42", &options, &lease, NULL, &g->error));
    assert_true(lh_lease_valid(lease));
    assert_string_equal(lh_lease_key(lease), "project:42");
    assert_string_equal(lh_lease_owner(lease), "ann");
    assert_int_equal(lh_lease_mode(lease), LH_EXCLUSIVE);
    assert_int_equal(lh_lease_ttl_ms(lease), 20000);
    assert_int_equal(strlen(lh_lease_id(lease)), LH_LEASE_ID_LEN);
    assert_true(lh_lease_token(lease) > 0);
    assert_true(lh_lease_remaining_ms(lease) <= 20000 - 22);
    assert_true(lh_lease_expires_at_ms(lease) >= before + 20000);
    bson_t *document = document_of(g, "project:42");
    assert_string_equal(text_at(document, "_id"), "project:42");
    assert_string_equal(text_at(document, "id"), lh_lease_id(lease));
    assert_string_equal(text_at(document, "owner"), "ann");
    assert_string_equal(text_at(document, "purpose"), "rebuild");
    assert_string_equal(text_at(document, "mode"), "exclusive");
    assert_int_equal(number_at(document, "token"), lh_lease_token(lease));
    assert_int_equal(number_at(document, "expires_at"), lh_lease_expires_at_ms(lease));
    assert_int_equal(number_at(document, "ttl_ms"), 20000);
    assert_int_equal(number_at(document, "v"), 1);
    bson_destroy(document);
    give(g, lease);
}

static void test_busy_names_the_holder(void **state)
{
    ground *g = *state;
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true; /* no keeper: the test renews, or lets it end */
    options.owner = "ann";
    options.purpose = "rebuild";
    lh_lease *lease = NULL, *none = NULL;
    expect(g, LH_OK, lh_acquire(g->store, "k", &options, &lease, NULL, &g->error));
    lh_record *busy = NULL;
    expect(g, LH_BUSY, lh_acquire(g->store, "k", NULL, &none, &busy, &g->error));
    expect_says(g, "ann");
    assert_int_equal(busy->why, LH_WHY_HELD);
    assert_int_equal(busy->state, LH_HELD);
    assert_string_equal(busy->key, "k");
    const lh_holder *holder = lh_record_holder(busy, 0);
    assert_string_equal(holder->owner, "ann");
    assert_string_equal(holder->purpose, "rebuild");
    assert_int_equal(holder->token, lh_lease_token(lease));
    assert_int_equal(holder->expires_at_ms, lh_lease_expires_at_ms(lease));
    assert_true(holder->remaining_ms > 0 && holder->remaining_ms <= LH_TTL_DEFAULT_MS);
    assert_true(busy->retry_after_ms > 0);
    assert_null(lh_record_holder(busy, 1));
    assert_null(none);
    lh_record_free(busy);
    give(g, lease);
}

static void test_one_store_does_not_let_itself_in_twice(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_HELD);
    expect_busy(g, "k", LH_SHARED, LH_WHY_HELD);
    give(g, lease);
}

static void test_a_release_frees_the_key_and_keeps_its_document(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 30000, "ann");
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    assert_false(lh_lease_valid(lease));
    assert_int_equal(lh_lease_remaining_ms(lease), 0);
    lh_record *record = status_of(g, "k");
    assert_int_equal(record->state, LH_FREE);
    assert_string_equal(record->released_how, "release");
    assert_string_equal(record->released_owner, "ann");
    assert_int_equal(record->token, lh_lease_token(lease));
    lh_record_free(record);
    lh_lease_free(lease);
    lease = take(g, "k");
    assert_int_equal(count_documents(g), 1);
    give(g, lease);
}

static void test_a_repeated_release_is_a_success(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    bson_t *once = document_of(g, "k");
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    bson_t *twice = document_of(g, "k");
    expect_same(once, twice);
    bson_destroy(once);
    bson_destroy(twice);
    expect(g, LH_LOST, lh_lease_renew(lease, 0, NULL, &g->error));
    lh_lease_free(lease);
}

static void test_a_renewal_extends_and_keeps_the_token(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 5000, NULL);
    int64_t token = lh_lease_token(lease), end = lh_lease_expires_at_ms(lease),
            remaining = lh_lease_remaining_ms(lease);
    expect(g, LH_OK, lh_lease_renew(lease, 60000, NULL, &g->error));
    assert_true(lh_lease_expires_at_ms(lease) > end + 50000);
    assert_true(lh_lease_remaining_ms(lease) > remaining + 50000);
    assert_int_equal(lh_lease_ttl_ms(lease), 60000);
    assert_int_equal(lh_lease_token(lease), token);
    bson_t *document = document_of(g, "k");
    assert_int_equal(number_at(document, "token"), token);
    /* Reckoned: not more exact than commands take different times. */
    assert_in_range(number_at(document, "expires_at") - lh_lease_expires_at_ms(lease) + 10000, 0,
                    20000);
    bson_destroy(document);
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    assert_int_equal(lh_lease_ttl_ms(lease), 60000);
    give(g, lease);
}

/* What the handle says of its end is what is stored, as exactly as the calls since `since` took;
 * and so is what is left, but for the drift. */
static void expect_end(ground *g, const lh_lease *lease, int64_t since, const char *when)
{
    lh_record *record = status_of(g, "k");
    int64_t stored = 0, left = 0, slack = lh_clock_ms() - since + 20;
    for (size_t i = 0; i < record->holders; i++) { /* of readers the one that ends last */
        const lh_holder *holder = lh_record_holder(record, i);
        if (holder->expires_at_ms > stored) {
            stored = holder->expires_at_ms;
            left = holder->remaining_ms;
        }
    }
    int64_t late = lh_lease_expires_at_ms(lease) - stored,
            more = lh_lease_remaining_ms(lease) - left;
    if (late < -slack || late > slack || more > slack || more < -slack - left / 1000)
        print_error("%s: it says %lld ms later than is stored, and %lld ms more left; the calls "
                    "took %lld ms\n",
                    when, (long long)late, (long long)more, (long long)slack - 20);
    assert_in_range(late + slack, 0, 2 * slack);
    assert_in_range(more + slack + left / 1000, 0, 2 * slack + left / 1000);
    lh_record_free(record);
}

static void renew_for(ground *g, lh_lease *lease, int64_t ttl_ms, const char *when)
{
    int64_t since = lh_clock_ms();
    expect(g, LH_OK, lh_lease_renew(lease, ttl_ms, NULL, &g->error));
    assert_true(ttl_ms == 0 || lh_lease_ttl_ms(lease) == ttl_ms);
    expect_end(g, lease, since, when);
}

/* A renewal that does not move the end is no measure of where it is, nor of the server's clock. */
static void test_the_end_that_a_handle_tells_is_the_stored_one(void **state)
{
    ground *g = *state;
    const int64_t day = 24 * HOUR_MS;
    const struct {
        int64_t ttl_ms, then_ms[3];
    } cases[] = {{5000, {60000, 5000, 61000}},
                 {60000, {5000, 0, 70000}},
                 {20000, {5000, 21000, 0}},
                 {7 * day, {1000, 7 * day, 0}},
                 {1000, {7 * day, 1000, 7 * day}}};
    for (int mode = LH_EXCLUSIVE; mode <= LH_SHARED; mode++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            for (int attach = 0; attach < 2; attach++) {
                int64_t since = lh_clock_ms();
                lh_lease *first = take_as(g, "k", mode, cases[i].ttl_ms, NULL), *lease = first;
                expect_end(g, lease, since, "granted");
                if (attach)
                    expect(g, LH_OK,
                           lh_lease_attach(g->store, "k", lh_lease_id(first), &lease, &g->error));
                for (size_t step = 0; step < 3; step++)
                    renew_for(g, lease, cases[i].then_ms[step],
                              attach ? "renewed by who attached" : "renewed");
                give(g, lease);
                if (attach)
                    lh_lease_free(first);
            }
        }
    }
}

static void test_a_repeated_acquire_tells_the_stored_end(void **state)
{
    ground *g = *state;
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true;
    options.lease_id = id;
    for (int again = 0; again < 2; again++) {
        options.ttl_ms = again ? 5000 : 60000;
        int64_t since = lh_clock_ms();
        lh_lease *lease = NULL;
        expect(g, LH_OK, lh_acquire(g->store, "k", &options, &lease, NULL, &g->error));
        expect_end(g, lease, since, again ? "acquired again" : "acquired");
        renew_for(g, lease, 5000, "renewed");
        renew_for(g, lease, 65000 + again * 5000, "renewed for longer");
        lh_lease_free(lease);
    }
}

static int64_t renewed_at(ground *g)
{
    bson_t *document = document_of(g, "k");
    int64_t at_ms = number_at(document, "renewed_at");
    bson_destroy(document);
    return at_ms;
}

/* What the keeper renews, which hears no end: after it was attached to, and after a grant out of
 * the queue by an old beat. */
static void test_the_end_of_what_the_keeper_renews_is_the_stored_one(void **state)
{
    ground *g = *state;
    lh_lease *first = take_as(g, "k", LH_EXCLUSIVE, 20000, NULL), *lease = NULL;
    expect(g, LH_OK, lh_lease_attach(g->store, "k", lh_lease_id(first), &lease, &g->error));
    renew_for(g, lease, 1500, "renewed by who attached");
    int64_t before = renewed_at(g);
    expect(g, LH_OK, lh_lease_keep(lease, &g->error));
    while (renewed_at(g) == before)
        usleep(20000);
    usleep(100000); /* it is answered */
    expect_end(g, lease, lh_clock_ms() - 1000, "kept");

    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    lh_waiting *waiting = NULL;
    lh_lease *next = NULL;
    options.ttl_ms = 3000;
    options.wait_ms = LH_FOREVER;
    expect(g, LH_OK, lh_acquire_start(g->store, "k", &options, &waiting, &g->error));
    usleep(900000); /* so old is its beat then */
    give(g, lease);
    lh_lease_free(first);
    expect(g, LH_OK, lh_waiting_finish(waiting, &next, NULL, &g->error));
    renew_for(g, next, 3100, "granted out of the queue, and renewed");
    give(g, next);
}

static void test_another_process_goes_on_with_a_lease(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k"), *theirs = NULL;
    lh_store *other = open_store(g);
    expect(g, LH_OK, lh_lease_attach(other, "k", lh_lease_id(lease), &theirs, &g->error));
    assert_false(lh_lease_valid(theirs));
    assert_int_equal(lh_lease_token(theirs), 0);
    assert_string_equal(lh_lease_owner(theirs), ""); /* and not this store's */
    expect(g, LH_OK, lh_lease_renew(theirs, 0, NULL, &g->error));
    assert_true(lh_lease_valid(theirs));
    assert_int_equal(lh_lease_token(theirs), lh_lease_token(lease));
    lh_lease_free(theirs);
    lh_store_close(other);
    assert_int_equal(state_of(g, "k"), LH_HELD); /* an attached handle does not release */
    expect(g, LH_OK, lh_lease_attach(g->store, "k", lh_lease_id(lease), &theirs, &g->error));
    expect(g, LH_OK, lh_lease_release(theirs, &g->error));
    lh_lease_free(theirs);
    expect(g, LH_LOST, lh_lease_renew(lease, 0, NULL, &g->error));
    assert_false(lh_lease_valid(lease));
    lh_lease_free(lease);
}

static void test_who_attaches_to_a_foreign_lease_is_told_lost(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k"), *stranger = NULL;
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    expect(g, LH_OK, lh_lease_attach(g->store, "k", id, &stranger, &g->error));
    lh_record *now = NULL;
    expect(g, LH_LOST, lh_lease_renew(stranger, 0, &now, &g->error));
    assert_string_equal(lh_record_holder(now, 0)->owner, "tester");
    lh_record_free(now);
    expect(g, LH_LOST, lh_lease_release(stranger, &g->error));
    lh_lease_free(stranger);
    expect(g, LH_OK, lh_lease_attach(g->store, "nowhere", id, &stranger, &g->error));
    expect(g, LH_LOST, lh_lease_renew(stranger, 0, NULL, &g->error));
    lh_lease_free(stranger);
    give(g, lease);
}

static void test_closing_releases_what_is_held_and_freeing_a_handle_does_not(void **state)
{
    ground *g = *state;
    lh_store *other = g->store;
    lh_lease *held = take(g, "held"), *forgotten = take(g, "forgotten");
    lh_lease_free(forgotten);
    lh_store_close(other);
    g->store = open_store(g);
    assert_int_equal(state_of(g, "held"), LH_FREE);
    assert_int_equal(state_of(g, "forgotten"), LH_HELD);
    expect(g, LH_INVALID, lh_lease_renew(held, 0, NULL, &g->error));
    expect(g, LH_INVALID, lh_lease_release(held, &g->error));
    assert_false(lh_lease_valid(held));
    lh_lease_free(held);
}

static void test_a_lease_id_asks_again_for_what_it_has_and_never_after_its_release(void **state)
{
    ground *g = *state;
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true; /* no keeper: the test renews, or lets it end */
    options.lease_id = id;
    lh_lease *first = NULL, *again = NULL, *never = NULL;
    expect(g, LH_OK, lh_acquire(g->store, "k", &options, &first, NULL, &g->error));
    expect(g, LH_OK, lh_acquire(g->store, "k", &options, &again, NULL, &g->error));
    assert_int_equal(lh_lease_token(first), lh_lease_token(again));
    assert_string_equal(lh_lease_id(again), id);
    lh_lease_free(again);
    expect(g, LH_OK, lh_lease_release(first, &g->error));
    expect(g, LH_LOST, lh_acquire(g->store, "k", &options, &never, NULL, &g->error));
    assert_null(never);
    assert_int_equal(state_of(g, "k"), LH_FREE);
    lh_lease_free(first);
}

static void test_a_lease_id_asks_again_much_later_for_what_it_has(void **state)
{
    ground *g = *state;
    /* the key had a holder: no insert is in doubt */
    lh_lease *before = take(g, "k"), *first = NULL, *again = NULL;
    give(g, before);
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true;
    options.lease_id = id;
    expect(g, LH_OK, lh_acquire(g->store, "k", &options, &first, NULL, &g->error));
    usleep(1200000);
    expect(g, LH_OK, lh_acquire(g->store, "k", &options, &again, NULL, &g->error));
    assert_int_equal(lh_lease_token(first), lh_lease_token(again));
    lh_lease_free(again);
    give(g, first);
}

static void test_a_key_that_nobody_asked_for_is_free(void **state)
{
    ground *g = *state;
    lh_record *record = status_of(g, "nobody");
    assert_int_equal(record->state, LH_FREE);
    assert_int_equal(record->token, 0);
    assert_int_equal(record->holders, 0);
    assert_string_equal(record->key, "nobody");
    assert_string_equal(record->released_how, "");
    lh_record_free(record);
    assert_int_equal(count_documents(g), 0);
}

static void test_unknown_fields_survive_every_operation(void **state)
{
    ground *g = *state;
    put(g, json("{'workspace_id': 'k', 'id': 'old', 'user_id': 'u1', 'expires_at': {'$date': "
                "'2020-01-01T00:00:00Z'},"
                " 'tabs': [1, 2, {'x': null}], 'session': {'agent': 'ff'}}"));
    bson_t *before = document_of(g, "k");
    lh_lease *lease = take(g, "k");
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    give(g, lease);
    lease = take(g, "k");
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "test";
    expect(g, LH_OK, lh_break(g->store, "k", &options, NULL, &g->error));
    lh_lease_free(lease);
    bson_t *after = document_of(g, "k");
    bson_iter_t a, b;
    static const char *const kept[] = {"_id", "tabs", "session", "user_id"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        bson_t one = BSON_INITIALIZER, two = BSON_INITIALIZER;
        assert_true(find_at(before, kept[i], &a) && find_at(after, kept[i], &b));
        BSON_APPEND_VALUE(&one, "v", bson_iter_value(&a));
        BSON_APPEND_VALUE(&two, "v", bson_iter_value(&b));
        expect_same(&one, &two);
        bson_destroy(&one);
        bson_destroy(&two);
    }
    bson_destroy(before);
    bson_destroy(after);
}

static void test_a_command_may_take_for_ever(void **state)
{
    ground *g = *state;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_lease *lease = NULL;
    o.timeout_ms = LH_FOREVER;
    break_commands(g, 1, "'findAndModify'", "'errorCode': 10107"); /* once more, then */
    expect(g, LH_OK, lh_acquire(g->store, "k", &o, &lease, NULL, &g->error));
    give(g, lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_a_grant_says_what_was_granted),
        live_test(test_busy_names_the_holder),
        live_test(test_one_store_does_not_let_itself_in_twice),
        live_test(test_a_release_frees_the_key_and_keeps_its_document),
        live_test(test_a_repeated_release_is_a_success),
        live_test(test_a_renewal_extends_and_keeps_the_token),
        live_test(test_the_end_that_a_handle_tells_is_the_stored_one),
        live_test(test_a_repeated_acquire_tells_the_stored_end),
        live_test(test_the_end_of_what_the_keeper_renews_is_the_stored_one),
        live_test(test_another_process_goes_on_with_a_lease),
        live_test(test_who_attaches_to_a_foreign_lease_is_told_lost),
        live_test(test_closing_releases_what_is_held_and_freeing_a_handle_does_not),
        live_test(test_a_lease_id_asks_again_for_what_it_has_and_never_after_its_release),
        live_test(test_a_lease_id_asks_again_much_later_for_what_it_has),
        live_test(test_a_key_that_nobody_asked_for_is_free),
        live_test(test_unknown_fields_survive_every_operation),
        live_test(test_a_command_may_take_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

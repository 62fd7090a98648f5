/* SPDX-License-Identifier: Apache-2.0
 * Shared leases: many readers or one writer. */
#include "live.h"

static lh_lease *reader(ground *g, const char *owner)
{
    return take_as(g, "k", LH_SHARED, 30000, owner);
}

static void test_readers_share_and_a_writer_is_refused(void **state)
{
    ground *g = *state;
    lh_lease *a = reader(g, "a"), *b = reader(g, "b"), *c = reader(g, "c");
    assert_true(lh_lease_token(a) < lh_lease_token(b) && lh_lease_token(b) < lh_lease_token(c));
    assert_int_equal(lh_lease_mode(a), LH_SHARED);
    lh_lease *none = NULL;
    lh_record *busy = NULL;
    expect(g, LH_BUSY, lh_acquire(g->store, "k", NULL, &none, &busy, &g->error));
    assert_int_equal(busy->why, LH_WHY_HELD);
    assert_int_equal(busy->holders, 3);
    assert_string_equal(lh_record_holder(busy, 0)->owner, "c"); /* the newest */
    assert_int_equal(lh_record_holder(busy, 0)->mode, LH_SHARED);
    lh_record_free(busy);
    lh_record *record = status_of(g, "k");
    assert_int_equal(record->holders, 3);
    assert_string_equal(lh_record_holder(record, 0)->owner, "a");
    assert_string_equal(lh_record_holder(record, 2)->owner, "c");
    assert_null(lh_record_holder(record, 3));
    assert_int_equal(record->token, lh_lease_token(c));
    lh_record_free(record);
    give(g, a);
    give(g, b);
    give(g, c);
}

static void test_the_last_release_frees_the_key(void **state)
{
    ground *g = *state;
    lh_lease *a = reader(g, "a"), *b = reader(g, "b"), *c = reader(g, "c");
    int64_t token = lh_lease_token(c);
    expect(g, LH_OK, lh_lease_release(b, &g->error));
    expect(g, LH_OK, lh_lease_release(b, &g->error)); /* again */
    expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_HELD);
    assert_true(lh_lease_valid(a));
    give(g, c);
    expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_HELD);
    bson_t *document = document_of(g, "k");
    assert_true(strncmp(text_at(document, "id"), "shared:", 7) == 0);
    bson_destroy(document);
    give(g, a);
    lh_lease_free(b);
    assert_int_equal(state_of(g, "k"), LH_FREE);
    document = document_of(g, "k");
    assert_false(has(document, "shared"));
    bson_destroy(document);
    assert_true(take_token(g, "k") > token);
}

static void test_who_is_told_of_when_the_newest_reader_left(void **state)
{
    ground *g = *state;
    lh_lease *a = reader(g, "a"), *b = reader(g, "b"), *none = NULL;
    give(g, b);
    lh_record *busy = NULL;
    expect(g, LH_BUSY, lh_acquire(g->store, "k", NULL, &none, &busy, &g->error));
    assert_int_equal(busy->holders, 1);
    assert_string_equal(lh_record_holder(busy, 0)->owner, "a");
    assert_int_equal(lh_record_holder(busy, 0)->mode, LH_SHARED);
    /* not the highest, which was b's */
    assert_int_equal(lh_record_holder(busy, 0)->token, lh_lease_token(a));
    lh_record_free(busy);
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "owner"), "a"); /* where other programs look */
    assert_string_not_equal(text_at(document, "id"),
                            lh_lease_id(a)); /* and where they delete by: it never comes back */
    assert_true(number_at(document, "token") > lh_lease_token(a));
    bson_destroy(document);
    give(g, a);
}

static void test_a_writer_keeps_readers_out(void **state)
{
    ground *g = *state;
    lh_lease *writer = take(g, "k");
    expect_busy(g, "k", LH_SHARED, LH_WHY_HELD);
    give(g, writer);
    give(g, reader(g, "a"));
}

/* A lease id that holds the key cannot be asked for in the other way. */
static void test_a_lease_stays_what_it_is(void **state)
{
    ground *g = *state;
    for (int mode = LH_EXCLUSIVE; mode <= LH_SHARED; mode++) {
        lh_lease *lease = take_as(g, "k", mode, MINUTE_MS, NULL), *other = NULL;
        lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
        options.mode = mode == LH_SHARED ? LH_EXCLUSIVE : LH_SHARED;
        options.lease_id = lh_lease_id(lease);
        expect(g, LH_INVALID, lh_acquire(g->store, "k", &options, &other, NULL, &g->error));
        expect_says(g, mode == LH_SHARED ? "one of several that share it" : "its exclusive holder");
        assert_true(lh_lease_valid(lease));
        give(g, lease);
    }
}

static void test_the_end_of_one_reader_leaves_the_others(void **state)
{
    ground *g = *state;
    lh_lease *a = reader(g, "a"), *b = reader(g, "b");
    int64_t end = lh_lease_expires_at_ms(b);
    change(g, "k",
           json("{'0': {'$set': {'shared.%s.expires_at': {'$subtract': ['$$NOW', 3600000]}}}}",
                lh_lease_id(a)));
    lh_record *record = status_of(g, "k");
    assert_int_equal(record->holders, 1);
    assert_string_equal(lh_record_holder(record, 0)->owner, "b");
    lh_record_free(record);
    expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_HELD);
    expect(g, LH_LOST, lh_lease_renew(a, 0, NULL, &g->error));
    lh_lease *c = reader(g, "c"); /* the dead one is forgotten with the next write */
    bson_t *document = document_of(g, "k");
    char path[64];
    (void)snprintf(path, sizeof path, "shared.%s", lh_lease_id(a));
    assert_false(has(document, path));
    assert_true(number_at(document, "expires_at") >= end);
    bson_destroy(document);
    give(g, b);
    give(g, c);
    assert_int_equal(state_of(g, "k"), LH_FREE);
    lh_lease_free(a);
}

static void test_when_all_readers_have_ended_a_writer_gets_it(void **state)
{
    ground *g = *state;
    lh_lease *a = reader(g, "a"), *b = reader(g, "b");
    int64_t token = lh_lease_token(b);
    change(g, "k",
           json("{'0': {'$set': {'expires_at': {'$subtract': ['$$NOW', 3600000]},"
                " 'shared.%s.expires_at': {'$subtract': ['$$NOW', 3600000]},"
                " 'shared.%s.expires_at': {'$subtract': ['$$NOW', 3600000]}}}}",
                lh_lease_id(a), lh_lease_id(b)));
    lh_record *record = status_of(g, "k");
    assert_int_equal(record->state, LH_FREE);
    assert_true(record->expired);
    lh_record_free(record);
    lh_lease *writer = take(g, "k");
    assert_true(lh_lease_token(writer) > token);
    bson_t *document = document_of(g, "k");
    assert_false(has(document, "shared"));
    assert_string_equal(text_at(document, "released.how"), "expire");
    bson_destroy(document);
    expect(g, LH_LOST, lh_lease_release(a, &g->error));
    lh_lease_free(a);
    lh_lease_free(b);
    give(g, writer);
}

static void test_a_reader_renews_its_own_end_and_keeps_its_token(void **state)
{
    ground *g = *state;
    lh_lease *a = reader(g, "a"), *b = reader(g, "b");
    int64_t token = lh_lease_token(a), end = lh_lease_expires_at_ms(b);
    expect(g, LH_OK, lh_lease_renew(a, 600000, NULL, &g->error));
    assert_int_equal(lh_lease_token(a), token);
    bson_t *document = document_of(g, "k");
    char path[80];
    (void)snprintf(path, sizeof path, "shared.%s.expires_at", lh_lease_id(b));
    assert_int_equal(number_at(document, path), end);
    /* the latest of them */
    assert_int_equal(number_at(document, "expires_at"), lh_lease_expires_at_ms(a));
    bson_destroy(document);
    give(g, a);
    document = document_of(g, "k");
    assert_int_equal(number_at(document, "expires_at"), end);
    bson_destroy(document);
    give(g, b);
}

static void test_there_is_a_bound_for_readers(void **state)
{
    ground *g = *state;
    lh_store_options options = store_options(g);
    options.max_shared = 2;
    g->store = open_store_with(g, &options);
    lh_lease *a = reader(g, "a"), *b = reader(g, "b");
    expect_busy(g, "k", LH_SHARED, LH_WHY_FULL);
    give(g, a);
    a = reader(g, "c");
    give(g, a);
    give(g, b);
}

static void test_another_process_goes_on_with_a_readers_lease(void **state)
{
    ground *g = *state;
    lh_lease *a = reader(g, "a"), *b = reader(g, "b"), *theirs = NULL;
    expect(g, LH_OK, lh_lease_attach(g->store, "k", lh_lease_id(a), &theirs, &g->error));
    expect(g, LH_OK, lh_lease_renew(theirs, 0, NULL, &g->error));
    assert_int_equal(lh_lease_token(theirs), lh_lease_token(a));
    assert_true(lh_lease_valid(theirs));
    give(g, theirs);
    expect(g, LH_LOST, lh_lease_renew(a, 0, NULL, &g->error));
    lh_lease_free(a);
    give(g, b);
}

static void test_an_old_lock_without_an_end_keeps_readers_out(void **state)
{
    ground *g = *state;
    put(g, json("{'workspace_id': 'k', 'id': 'old', 'expires_at': null}"));
    expect_busy(g, "k", LH_SHARED, LH_WHY_HELD);
}

static void test_what_old_code_writes_over_readers_is_the_state(void **state)
{
    ground *g = *state;
    lh_lease *a = reader(g, "a");
    change(g, "k",
           json("{'0': {'$set': {'id': 'old-1', 'owner': 'old', 'expires_at': {'$add': ['$$NOW', "
                "60000]}}}}"));
    expect(g, LH_LOST, lh_lease_renew(a, 0, NULL, &g->error));
    expect_busy(g, "k", LH_SHARED, LH_WHY_HELD);
    lh_record *record = status_of(g, "k");
    assert_int_equal(record->holders, 1);
    assert_string_equal(lh_record_holder(record, 0)->owner, "old");
    lh_record_free(record);
    lh_lease_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_readers_share_and_a_writer_is_refused),
        live_test(test_the_last_release_frees_the_key),
        live_test(test_who_is_told_of_when_the_newest_reader_left),
        live_test(test_a_writer_keeps_readers_out),
        live_test(test_a_lease_stays_what_it_is),
        live_test(test_the_end_of_one_reader_leaves_the_others),
        live_test(test_when_all_readers_have_ended_a_writer_gets_it),
        live_test(test_a_reader_renews_its_own_end_and_keeps_its_token),
        bare_test(test_there_is_a_bound_for_readers),
        live_test(test_another_process_goes_on_with_a_readers_lease),
        live_test(test_an_old_lock_without_an_end_keeps_readers_out),
        live_test(test_what_old_code_writes_over_readers_is_the_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

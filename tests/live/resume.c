/* SPDX-License-Identifier: Apache-2.0
 * A backend that was restarted goes on with what its owner held: under a new id and a higher token,
 * past the queue, and nobody else's. */
#include "live.h"

static lh_acquire_options as(const char *owner)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.owner = owner;
    o.resume = true;
    o.by_hand = true;
    o.purpose = "again";
    return o;
}

static lh_lease *resume(ground *g, const char *key, const char *owner)
{
    lh_acquire_options o = as(owner);
    lh_lease *lease = NULL;
    expect(g, LH_OK, lh_acquire(g->store, key, &o, &lease, NULL, &g->error));
    assert_true(lh_lease_valid(lease));
    return lease;
}

static void expect_not_resumed(ground *g, const char *key, const char *owner, int why)
{
    bson_t *before = document_of(g, key);
    lh_acquire_options o = as(owner);
    lh_lease *lease = NULL;
    lh_record *busy = NULL;
    expect(g, LH_BUSY, lh_acquire(g->store, key, &o, &lease, &busy, &g->error));
    assert_int_equal(busy->why, why);
    assert_null(lease);
    lh_record_free(busy);
    bson_t *after = document_of(g, key);
    expect_same(before, after);
    bson_destroy(before);
    bson_destroy(after);
}

static void test_the_owner_goes_on_and_the_lease_before_ends(void **state)
{
    ground *g = *state;
    lh_lease *before = take_as(g, "k", LH_EXCLUSIVE, 60000, "web-1");
    lh_lease *lease = resume(g, "k", "web-1");
    assert_true(lh_lease_token(lease) > lh_lease_token(before));
    assert_string_not_equal(lh_lease_id(lease), lh_lease_id(before));
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), lh_lease_id(lease));
    assert_int_equal(number_at(document, "token"), lh_lease_token(lease));
    assert_int_equal(number_at(document, "ttl_ms"), 30000);
    assert_string_equal(text_at(document, "purpose"), "again");
    assert_string_equal(text_at(document, "released.id"), lh_lease_id(before));
    bson_destroy(document);
    lh_record *record = status_of(g, "k");
    assert_string_equal(record->released_how, "transfer");
    assert_string_equal(record->released_by, "web-1");
    assert_int_equal(record->holders, 1);
    lh_record_free(record);
    char to[LH_LEASE_ID_LEN + 1];
    /* the one before changes nothing any more */
    expect(g, LH_LOST, lh_lease_transfer(before, "x", to, &g->error));
    lh_lease *again = NULL;
    expect(g, LH_OK, lh_lease_attach(g->store, "k", lh_lease_id(before), &again, &g->error));
    expect(g, LH_LOST, lh_lease_renew(again, 0, NULL, &g->error));
    expect(g, LH_LOST, lh_lease_release(again, &g->error));
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    lh_lease_free(again);
    lh_lease_free(before);
    give(g, lease);
    assert_int_equal(state_of(g, "k"), LH_FREE);
}

static void test_where_nobody_holds_it_is_an_acquire(void **state)
{
    ground *g = *state;
    lh_lease *lease = resume(g, "k", "web-1"); /* fresh */
    int64_t token = lh_lease_token(lease);
    give(g, lease);
    lease = resume(g, "k", "web-1"); /* free */
    assert_true(lh_lease_token(lease) > token);
    lh_lease_free(lease);
    end_it(g, "k", 60000); /* expired */
    lease = resume(g, "k", "web-2");
    lh_record *record = status_of(g, "k");
    assert_string_equal(record->released_how, "expire");
    lh_record_free(record);
    give(g, lease);
}

static void test_only_exactly_this_owner_who_holds_it_alone(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 60000, "web-1");
    static const char *const others[] = {"web-2", "web-", "web-11", "WEB-1", "$owner", "web- 1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        expect_not_resumed(g, "k", others[i], LH_WHY_HELD);
    give(g, lease);
    lh_lease *reader = take_as(g, "r", LH_SHARED, 60000, "web-1");
    expect_not_resumed(g, "r", "web-1", LH_WHY_HELD);
    give(g, reader);
    lease = take_as(g, "s", LH_EXCLUSIVE, 60000, "web-1");
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT; /* and only who asks for it */
    o.owner = "web-1";
    lh_lease *second = NULL;
    expect(g, LH_BUSY, lh_acquire(g->store, "s", &o, &second, NULL, &g->error));
    give(g, lease);
    put(g, json("{'workspace_id': 'old', 'id': 'x', 'user_id': 'web-1', 'expires_at': null}"));
    expect_not_resumed(g, "old", "web-1", LH_WHY_HELD); /* a lock of older code names no owner */
}

static void test_what_cannot_be_read_is_never_resumed(void **state)
{
    ground *g = *state;
    static const char *const odd[] = {
        "'expires_at': 'soon'", "'expires_at': [1]", "'token': 'x', 'expires_at': null",
        "'waiters': 1, 'expires_at': null", "'shared': {'a': 1}, 'expires_at': null"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        put(g, json("{'workspace_id': '%s', 'id': 'x', 'owner': 'web-1', 'mode': 'exclusive', %s}",
                    key, odd[i]));
        expect_not_resumed(g, key, "web-1", LH_WHY_MALFORMED);
    }
}

/* Those who wait stay where they are, and are granted when the resumed lease is released. */
static void test_past_the_queue(void **state)
{
    ground *g = *state;
    lh_lease *before = take_as(g, "k", LH_EXCLUSIVE, 60000, "web-1");
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.owner = "bob";
    o.wait_ms = 60000;
    lh_waiting *waiting = NULL;
    expect(g, LH_OK, lh_acquire_start(g->store, "k", &o, &waiting, &g->error));
    /* by the same store, on whose table somebody waits */
    lh_lease *lease = resume(g, "k", "web-1");
    lh_record *record = status_of(g, "k");
    assert_int_equal(record->waiters, 1);
    assert_string_equal(lh_record_holder(record, 0)->owner, "web-1");
    lh_record_free(record);
    lh_lease *other = NULL;
    o = as("carol"); /* who does not hold it waits, behind bob */
    o.wait_ms = 1;
    expect(g, LH_BUSY, lh_acquire(g->store, "k", &o, &other, NULL, &g->error));
    give(g, lease);
    expect(g, LH_OK, lh_waiting_finish(waiting, &other, NULL, &g->error));
    assert_string_equal(lh_lease_owner(other), "bob");
    assert_true(lh_lease_token(other) > 0);
    give(g, other);
    lh_lease_free(before);
}

static void test_bad_options(void **state)
{
    ground *g = *state;
    lh_lease *lease = NULL;
    lh_acquire_options o = as("web-1");
    o.mode = LH_SHARED;
    expect(g, LH_INVALID, lh_acquire(g->store, "k", &o, &lease, NULL, &g->error));
    expect_says(g, "exclusive");
    o = as(NULL);
    expect(g, LH_INVALID, lh_acquire(g->store, "k", &o, &lease, NULL, &g->error));
    expect_says(g, "owner");
    assert_null(lease);
}

/* The answer is lost, and the command is sent again with the same id: one grant. */
static void test_a_lost_answer_resumes_once(void **state)
{
    ground *g = *state;
    static const char *const faults[] = {"'writeConcernError': {'code': 64, 'errmsg': 'x'}",
                                         "'errorCode': 11602", "'errorCode': 112"};
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 60000, "web-1");
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        break_commands(g, 1, "'findAndModify'", faults[i]);
        lh_lease *next = resume(g, "k", "web-1");
        assert_true(lh_lease_token(next) > lh_lease_token(lease));
        bson_t *document = document_of(g, "k");
        assert_string_equal(text_at(document, "released.id"), lh_lease_id(lease));
        assert_string_equal(text_at(document, "id"), lh_lease_id(next));
        bson_destroy(document);
        lh_lease_free(lease);
        lease = next;
    }
    give(g, lease);
}

/* Many instances of one name, against the rule: only the last one is left, and tokens grow. */
static void *resume_often(void *arg)
{
    ground *g = arg;
    lh_acquire_options o = as("web-1");
    int64_t token = 0;
    for (int i = 0; i < 20; i++) {
        lh_lease *lease = NULL;
        lh_error error = LH_ERROR_INIT;
        if (lh_acquire(g->store, "k", &o, &lease, NULL, &error) != LH_OK ||
            lh_lease_token(lease) <= token)
            return g;
        token = lh_lease_token(lease);
        lh_lease_free(lease);
    }
    return NULL;
}

static void test_tokens_grow_through_a_crowd_of_one_name(void **state)
{
    ground *g = *state;
    pthread_t threads[4];
    lh_lease *first = take_as(g, "k", LH_EXCLUSIVE, 60000, "web-1");
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, resume_often, g), 0);
    for (int i = 0; i < 4; i++) {
        void *bad;
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    lh_lease_free(first);
}

static void test_many_are_resumed_at_once(void **state)
{
    ground *g = *state;
    static const char *const keys[] = {"c", "a", "b"};
    lh_lease *before = take_as(g, "b", LH_EXCLUSIVE, 60000, "web-1"), *leases[3] = {NULL};
    lh_acquire_options o = as("web-1");
    expect(g, LH_OK, lh_acquire_many(g->store, keys, 3, &o, leases, NULL, &g->error));
    assert_true(lh_lease_token(leases[2]) > lh_lease_token(before));
    lh_lease_free(before);
    for (int i = 0; i < 3; i++)
        give(g, leases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_the_owner_goes_on_and_the_lease_before_ends),
        live_test(test_where_nobody_holds_it_is_an_acquire),
        live_test(test_only_exactly_this_owner_who_holds_it_alone),
        live_test(test_what_cannot_be_read_is_never_resumed),
        live_test(test_past_the_queue),
        live_test(test_bad_options),
        live_test(test_a_lost_answer_resumes_once),
        live_test(test_tokens_grow_through_a_crowd_of_one_name),
        live_test(test_many_are_resumed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

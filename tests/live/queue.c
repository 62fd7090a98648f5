/* SPDX-License-Identifier: Apache-2.0
 * The queue, which the document already has room for: waiters written by hand, as a waiting client
 * will write them. A release grants the head in the same write; nobody overtakes who is alive; the
 * dead are passed over. */
#include "live.h"

#define ID(n) "0000000000000000000000000000000" #n

/* A waiter as `$set`s for a pipeline. `beat_age_ms`: how long ago it beat. */
static void queue(ground *g, const char *id, const char *mode, int64_t beat, int64_t beat_age_ms,
                  int64_t ttl_ms, int64_t claim_ms)
{
    change(g, "k",
           json("{'0': {'$set': {'waiters.%s': {'mode': '%s', 'owner': 'w-%s', 'host': 'h', 'pid': "
                "7, 'purpose': null,"
                " 'since': '$$NOW', 'beat': {'$numberLong': '%lld'},"
                " 'beat_at': {'$subtract': ['$$NOW', {'$numberLong': '%lld'}]}, 'ttl_ms': "
                "{'$numberLong': '%lld'},"
                " 'claim_ms': {'$numberLong': '%lld'}}}}}",
                id, mode, id + 31, (long long)beat, (long long)beat_age_ms, (long long)ttl_ms,
                (long long)claim_ms));
}

static void writer(ground *g, const char *id)
{
    queue(g, id, "exclusive", 4, 0, 60000, 30000);
}

static void reader(ground *g, const char *id)
{
    queue(g, id, "shared", 4, 0, 60000, 30000);
}

static int64_t waiters_left(const bson_t *document)
{
    bson_iter_t map, entry;
    int64_t n = 0;
    if (find_at(document, "waiters", &map) && bson_iter_recurse(&map, &entry))
        while (bson_iter_next(&entry))
            n++;
    return n;
}

static void test_a_release_grants_the_head_in_the_same_write(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    writer(g, ID(1));
    writer(g, ID(2));
    bson_t *queued = document_of(g, "k");
    int64_t beat_at = number_at(queued, "waiters." ID(1) ".beat_at");
    bson_destroy(queued);
    int64_t before = server_ms(g);
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    int64_t after = server_ms(g);
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), ID(1));
    assert_string_equal(text_at(document, "owner"), "w-1");
    assert_string_equal(text_at(document, "mode"), "exclusive");
    assert_string_equal(text_at(document, "wake"), ID(1) ":4");
    assert_string_equal(text_at(document, "released.id"), lh_lease_id(lease));
    assert_int_equal(number_at(document, "beat"), 4);
    assert_int_equal(number_at(document, "ttl_ms"), 60000);
    assert_true(number_at(document, "token") > lh_lease_token(lease));
    /* max(now, beat_at) + min(ttl, claim) */
    assert_true(number_at(document, "expires_at") >= (beat_at > before ? beat_at : before) + 30000);
    assert_true(number_at(document, "expires_at") <= after + 30000);
    assert_int_equal(waiters_left(document), 1);
    assert_true(has(document, "waiters." ID(2)));
    bson_destroy(document);
    expect(g, LH_OK, lh_lease_release(lease, &g->error)); /* again: it stays the next one's */
    lh_lease_free(lease);
    lh_record *record = status_of(g, "k");
    assert_string_equal(lh_record_holder(record, 0)->owner, "w-1");
    assert_string_equal(lh_record_waiter(record, 0)->owner, "w-2");
    assert_null(lh_record_waiter(record, 1));
    lh_record_free(record);
}

static void test_a_beat_ahead_of_the_clock_counts(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    queue(g, ID(1), "exclusive", 9, -20000, 60000, 30000); /* as after a clock that stepped back */
    bson_t *queued = document_of(g, "k");
    int64_t beat_at = number_at(queued, "waiters." ID(1) ".beat_at");
    bson_destroy(queued);
    give(g, lease);
    bson_t *document = document_of(g, "k");
    assert_int_equal(number_at(document, "expires_at"), beat_at + 30000);
    bson_destroy(document);
}

static void test_the_lesser_of_ttl_and_claim_is_granted(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    queue(g, ID(1), "exclusive", 1, 0, 3000, 30000);
    give(g, lease);
    int64_t after = server_ms(g);
    bson_t *document = document_of(g, "k");
    assert_true(number_at(document, "expires_at") <= after + 3000);
    bson_destroy(document);
}

static void test_the_grantee_claims_by_an_ordinary_renewal(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k"), *next = NULL;
    writer(g, ID(1));
    give(g, lease);
    expect(g, LH_OK, lh_lease_attach(g->store, "k", ID(1), &next, &g->error));
    int64_t now = server_ms(g);
    expect(g, LH_OK, lh_lease_renew(next, 0, NULL, &g->error));
    assert_true(lh_lease_valid(next));
    assert_int_equal(lh_lease_ttl_ms(next), 60000);
    assert_true(lh_lease_expires_at_ms(next) >= now + 60000);
    give(g, next);
    assert_int_equal(state_of(g, "k"), LH_FREE);
}

static void test_a_head_run_of_readers_is_granted_together(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    reader(g, ID(1));
    reader(g, ID(2));
    writer(g, ID(3));
    reader(g, ID(4)); /* behind a writer: waits */
    give(g, lease);
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), "shared:" ID(2));
    assert_string_equal(text_at(document, "wake"), ID(1) ":4 " ID(2) ":4");
    assert_string_equal(text_at(document, "mode"), "shared");
    int64_t first = number_at(document, "shared." ID(1) ".token"),
            second = number_at(document, "shared." ID(2) ".token");
    assert_true(first < second);
    assert_int_equal(number_at(document, "token"), second);
    assert_int_equal(number_at(document, "shared." ID(1) ".beat"), 4);
    assert_int_equal(waiters_left(document), 2);
    bson_destroy(document);
}

static void test_a_reader_that_leaves_lets_the_writer_in_only_as_the_last(void **state)
{
    ground *g = *state;
    lh_lease *a = take_as(g, "k", LH_SHARED, 30000, "a"),
             *b = take_as(g, "k", LH_SHARED, 30000, "b");
    writer(g, ID(1));
    give(g, a);
    bson_t *document = document_of(g, "k");
    assert_int_equal(waiters_left(document), 1);
    bson_destroy(document);
    give(g, b);
    document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), ID(1));
    assert_int_equal(waiters_left(document), 0);
    assert_false(has(document, "shared"));
    bson_destroy(document);
}

static void test_dead_waiters_are_passed_over_and_forgotten(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    queue(g, ID(1), "exclusive", 1, 30001, 60000, 30000);
    writer(g, ID(2));
    queue(g, ID(3), "shared", 1, HOUR_MS, 60000, 30000);
    lh_record *record = status_of(g, "k");
    assert_string_equal(lh_record_waiter(record, 0)->owner, "w-2");
    assert_null(lh_record_waiter(record, 1));
    lh_record_free(record);
    give(g, lease);
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), ID(2));
    assert_false(has(document, "waiters"));
    bson_destroy(document);
}

static void test_with_only_dead_waiters_the_key_is_free(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    queue(g, ID(1), "exclusive", 1, HOUR_MS, 60000, 30000);
    give(g, lease);
    assert_int_equal(state_of(g, "k"), LH_FREE);
    give(g, take(g, "k"));
}

static void test_nobody_overtakes_a_live_waiter(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    writer(g, ID(1));
    end_it(g, "k", HOUR_MS); /* free by expiry, but somebody is in front */
    bson_t *before = document_of(g, "k");
    expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_QUEUE);
    expect_busy(g, "k", LH_SHARED, LH_WHY_QUEUE);
    bson_t *after = document_of(g, "k");
    expect_same(before, after);
    bson_destroy(before);
    bson_destroy(after);
    lh_lease_free(lease);
}

static void test_a_reader_does_not_overtake_a_waiting_writer(void **state)
{
    ground *g = *state;
    lh_lease *a = take_as(g, "k", LH_SHARED, 30000, "a");
    writer(g, ID(1));
    expect_busy(g, "k", LH_SHARED, LH_WHY_QUEUE);
    give(g, a);
}

/* Its own turn: the waiter that is first asks, and gets its full ttl by its own command. */
static void test_the_head_itself_is_granted_when_it_asks(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k"), *mine = NULL;
    writer(g, ID(1));
    writer(g, ID(2));
    end_it(g, "k", HOUR_MS);
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true; /* no keeper: the test renews, or lets it end */
    options.lease_id = ID(2);
    expect(g, LH_BUSY, lh_acquire(g->store, "k", &options, &mine, NULL, &g->error)); /* not yet */
    options.lease_id = ID(1);
    expect(g, LH_OK, lh_acquire(g->store, "k", &options, &mine, NULL, &g->error));
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), ID(1));
    assert_int_equal(waiters_left(document), 1);
    assert_string_equal(text_at(document, "released.how"), "expire");
    bson_destroy(document);
    lh_lease_free(mine);
    lh_lease_free(lease);
}

static void test_a_waiter_cancels_and_the_holder_stays(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k"), *waiting = NULL;
    writer(g, ID(1));
    writer(g, ID(2));
    expect(g, LH_OK, lh_lease_attach(g->store, "k", ID(1), &waiting, &g->error));
    (void)lh_lease_release(waiting, &g->error);
    lh_lease_free(waiting);
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), lh_lease_id(lease));
    assert_false(has(document, "waiters." ID(1)));
    assert_true(has(document, "waiters." ID(2)));
    bson_destroy(document);
    give(g, lease);
}

static void test_a_break_grants_the_head(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    writer(g, ID(1));
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "stuck";
    expect(g, LH_OK, lh_break(g->store, "k", &options, NULL, &g->error));
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), ID(1));
    assert_string_equal(text_at(document, "wake"), ID(1) ":4");
    assert_string_equal(text_at(document, "released.how"), "break");
    bson_destroy(document);
    lh_lease_free(lease);
}

static void test_renewals_leave_the_queue_alone(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    writer(g, ID(1));
    queue(g, ID(2), "shared", 1, HOUR_MS, 60000, 30000);
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    bson_t *document = document_of(g, "k");
    assert_int_equal(waiters_left(document), 2);
    bson_destroy(document);
    give(g, lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_a_release_grants_the_head_in_the_same_write),
        live_test(test_a_beat_ahead_of_the_clock_counts),
        live_test(test_the_lesser_of_ttl_and_claim_is_granted),
        live_test(test_the_grantee_claims_by_an_ordinary_renewal),
        live_test(test_a_head_run_of_readers_is_granted_together),
        live_test(test_a_reader_that_leaves_lets_the_writer_in_only_as_the_last),
        live_test(test_dead_waiters_are_passed_over_and_forgotten),
        live_test(test_with_only_dead_waiters_the_key_is_free),
        live_test(test_nobody_overtakes_a_live_waiter),
        live_test(test_a_reader_does_not_overtake_a_waiting_writer),
        live_test(test_the_head_itself_is_granted_when_it_asks),
        live_test(test_a_waiter_cancels_and_the_holder_stays),
        live_test(test_a_break_grants_the_head),
        live_test(test_renewals_leave_the_queue_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

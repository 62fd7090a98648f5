/* SPDX-License-Identifier: Apache-2.0
 * A release that keeps the key: the holder gives up at once, and nobody has the key before the time
 * is over; then it is free without a grace, and who waits gets it. */
#include "live.h"
#include "waiting.h"

#define SKEW_MS 8000 /* of the ground's store: a grace that a test would notice */

static int patient_ground(void **state)
{
    if (new_ground(state) != 0)
        return -1;
    ground *g = *state;
    lh_store_options options = store_options(g);
    options.clock_skew_ms = SKEW_MS;
    reopen_store(g, &options);
    return 0;
}

#define kept_test(name) cmocka_unit_test_setup_teardown(name, patient_ground, quiet_ground)

static int leave(ground *g, lh_lease *lease, int64_t keep_ms)
{
    lh_release_options o = LH_RELEASE_OPTIONS_INIT;
    o.note = "done";
    o.keep_ms = keep_ms;
    return lh_lease_release_with(lease, &o, &g->error);
}

/* Takes "k", releases it, and keeps it; its id, and when the key is free. */
static int64_t keep(ground *g, int64_t ttl_ms, int64_t keep_ms, char ret_id[LH_LEASE_ID_LEN + 1])
{
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, ttl_ms, "job");
    memcpy(ret_id, lh_lease_id(lease), LH_LEASE_ID_LEN + 1);
    expect(g, LH_OK, leave(g, lease, keep_ms));
    assert_false(lh_lease_valid(lease));
    lh_lease_free(lease);
    lh_record *record = status_of(g, "k");
    const lh_holder *holder = lh_record_holder(record, 0);
    assert_int_equal(record->state, LH_HELD);
    assert_true(holder && holder->kept);
    assert_string_equal(holder->owner, "job");
    assert_string_equal(record->released_how, "release");
    assert_string_equal(record->note, "done");
    int64_t end_ms = holder->expires_at_ms;
    assert_true(end_ms <= record->released_at_ms + keep_ms);
    lh_record_free(record);
    return end_ms;
}

static int try_as(ground *g, const char *owner, bool resume, lh_lease **ret_lease)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_record *busy = NULL;
    o.owner = owner;
    o.resume = resume;
    o.by_hand = true;
    int outcome = lh_acquire(g->store, "k", &o, ret_lease, &busy, &g->error);
    if (outcome == LH_BUSY) {
        const lh_holder *holder = lh_record_holder(busy, 0);
        assert_int_equal(busy->why, LH_WHY_HELD);
        assert_true(holder && holder->kept);
        assert_true(busy->retry_after_ms <= holder->remaining_ms || busy->retry_after_ms == 10);
    }
    lh_record_free(busy);
    return outcome;
}

static int64_t granted_at_ms(ground *g)
{
    lh_record *record = status_of(g, "k");
    int64_t at_ms = lh_record_holder(record, 0)->acquired_at_ms;
    lh_record_free(record);
    return at_ms;
}

static void test_nobody_has_it_before_and_anybody_right_after(void **state)
{
    ground *g = *state;
    char id[LH_LEASE_ID_LEN + 1];
    lh_lease *next = NULL;
    const lh_note *note = NULL;
    int64_t end_ms = keep(g, 30000, 1200, id);
    expect(g, LH_BUSY, try_as(g, "job", true, &next)); /* the same owner does not go on */
    while (try_as(g, "other", false, &next) == LH_BUSY)
        usleep(20000);
    assert_non_null(next);
    int64_t at_ms = granted_at_ms(g);
    assert_true(at_ms >= end_ms);
    assert_true(at_ms < end_ms + SKEW_MS);
    expect(g, LH_OK, lh_lease_note(next, &note, &g->error));
    assert_string_equal(note->text, "done");
    give(g, next);
}

static void test_what_its_holder_sent_before_changes_nothing(void **state)
{
    ground *g = *state;
    char id[LH_LEASE_ID_LEN + 1], to[LH_LEASE_ID_LEN + 1];
    (void)keep(g, 30000, 30000, id);
    bson_t *before = document_of(g, "k");
    lh_lease *stale = NULL;
    lh_reap_report reaped = LH_REAP_REPORT_INIT;
    for (int what = 0; what < 4; what++) {
        expect(g, LH_OK, lh_lease_attach(g->store, "k", id, &stale, &g->error));
        if (what == 0)
            expect(g, LH_LOST, lh_lease_renew(stale, 60000, NULL, &g->error));
        else if (what == 1)
            expect(g, LH_LOST, lh_lease_transfer(stale, "x", to, &g->error));
        else /* again, one way or the other: it was */
            expect(g, LH_OK, what == 2 ? lh_lease_release(stale, &g->error) : leave(g, stale, 90));
        lh_lease_free(stale);
    }
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.lease_id = id;
    expect(g, LH_LOST, lh_acquire(g->store, "k", &o, &stale, NULL, &g->error));
    expect(g, LH_OK, lh_reap(g->store, NULL, NULL, NULL, &reaped, &g->error));
    assert_int_equal(reaped.holders + reaped.alive, 0);
    bson_t *after = document_of(g, "k");
    expect_same(before, after);
    bson_destroy(before);
    bson_destroy(after);
    lh_break_options broken = LH_BREAK_OPTIONS_INIT;
    broken.reason = "it has to run again";
    expect(g, LH_OK, lh_break(g->store, "k", &broken, NULL, &g->error));
    assert_int_equal(state_of(g, "k"), LH_FREE);
}

static void test_no_longer_than_the_lease_would_have_lasted(void **state)
{
    ground *g = *state;
    char id[LH_LEASE_ID_LEN + 1];
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 40000, "job");
    int64_t end_ms = lh_lease_expires_at_ms(lease);
    expect(g, LH_OK, leave(g, lease, 600000));
    lh_lease_free(lease);
    lh_record *record = status_of(g, "k");
    assert_int_equal(lh_record_holder(record, 0)->expires_at_ms, end_ms);
    lh_record_free(record);
    change(g, "k", json("{'$set': {'expires_at': {'$date': '2020-01-01T00:00:00Z'}}}"));
    assert_int_equal(state_of(g, "k"), LH_FREE);
    /* one that has ended already is just released */
    lease = take_as(g, "k", LH_EXCLUSIVE, 30000, "job");
    memcpy(id, lh_lease_id(lease), sizeof id);
    end_it(g, "k", 10);
    expect(g, LH_OK, leave(g, lease, 30000));
    lh_lease_free(lease);
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), id);
    assert_string_equal(text_at(document, "released.id"), id);
    bson_destroy(document);
}

static void test_a_waiter_gets_it_then(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 30000, "job"), *next = NULL;
    lh_waiting *waiting = await(g, g->store, "k", LH_EXCLUSIVE, 60000);
    within(10000, queued(g, "k") == 1);
    expect(g, LH_OK, leave(g, lease, 2500));
    lh_lease_free(lease);
    lh_record *record = status_of(g, "k");
    int64_t end_ms = lh_record_holder(record, 0)->expires_at_ms;
    assert_int_equal(record->waiters, 1);
    lh_record_free(record);
    expect(g, LH_OK, lh_waiting_finish(waiting, &next, NULL, &g->error));
    int64_t at_ms = granted_at_ms(g);
    assert_true(at_ms >= end_ms);
    assert_true(at_ms < end_ms + SKEW_MS);
    give(g, next);
}

static void test_a_shared_lease_is_not_kept(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_as(g, "k", LH_SHARED, 30000, "reader"), *attached = NULL;
    expect(g, LH_INVALID, leave(g, lease, 30000));
    expect(g, LH_INVALID, leave(g, lease, -1));
    assert_true(lh_lease_valid(lease));
    expect(g, LH_OK, lh_lease_attach(g->store, "k", lh_lease_id(lease), &attached, &g->error));
    expect(g, LH_INVALID, leave(g, attached, 30000));
    lh_lease_free(attached);
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    give(g, lease);
}

/* Whether it was applied or not: nothing frees the key sooner. */
static void test_nothing_is_sent_after_an_unknown_release(void **state)
{
    ground *g = *state;
    lh_store_options options = store_options(g);
    options.timeout_ms = 1000;
    options.uri = g->quick_uri;
    reopen_store(g, &options);
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 60000, "job");
    break_commands(g, 0, "'findAndModify','update'", "'closeConnection': true");
    expect(g, LH_UNKNOWN, leave(g, lease, 30000));
    lh_lease_free(lease);
    mend_commands(g);
    bson_t *before = document_of(g, "k");
    usleep(700000); /* a doubt is settled at once, and again after 250 ms */
    reopen_store(g, &options);
    bson_t *after = document_of(g, "k");
    expect_same(before, after);
    assert_int_equal(state_of(g, "k"), LH_HELD);
    bson_destroy(before);
    bson_destroy(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        kept_test(test_nobody_has_it_before_and_anybody_right_after),
        kept_test(test_what_its_holder_sent_before_changes_nothing),
        kept_test(test_no_longer_than_the_lease_would_have_lasted),
        kept_test(test_a_waiter_gets_it_then),
        kept_test(test_a_shared_lease_is_not_kept),
        kept_test(test_nothing_is_sent_after_an_unknown_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

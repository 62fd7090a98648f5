/* SPDX-License-Identifier: Apache-2.0
 * Answers that come, but late: a grant is not believed past its own end, counted from before its
 * command was sent. */
#include "live.h"

#include <poll.h>

#include "acquire/wait.h"
#include "acquire/wait_table.h"

#define WRITES "'findAndModify','update'"

static lh_acquire_options short_lease(void)
{
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true; /* no keeper: the test renews, or lets it end */
    options.ttl_ms = 1000;
    return options;
}

static lh_store *patient_store(ground *g, int64_t timeout_ms)
{
    lh_store_options options = store_options(g);
    options.timeout_ms = timeout_ms;
    return open_store_with(g, &options);
}

static void test_a_grant_answered_after_its_end_is_never_ok(void **state)
{
    ground *g = *state;
    g->store = patient_store(g, 3000);
    lh_lease *first = take(g, "k"); /* so that the next one is no insert */
    give(g, first);
    break_commands(g, 0, WRITES, "'blockConnection': true, 'blockTimeMS': 1100");
    lh_acquire_options options = short_lease();
    lh_lease *lease = NULL;
    int outcome = lh_acquire(g->store, "k", &options, &lease, NULL, &g->error);
    mend_commands(g);
    assert_true(outcome == LH_LOST || outcome == LH_UNKNOWN || outcome == LH_UNREACHABLE);
    assert_null(lease);
}

static void test_a_late_grant_is_given_back_and_asked_for_again_by_a_new_id(void **state)
{
    ground *g = *state;
    g->store = patient_store(g, 6000);
    char late[LH_LEASE_ID_LEN + 1];
    random_id(late);
    lh_lease *first = take(g, "k");
    int64_t token = lh_lease_token(first);
    give(g, first);
    break_commands(g, 1, WRITES, "'blockConnection': true, 'blockTimeMS': 1100");
    lh_acquire_options options = short_lease();
    lh_lease *lease = NULL;
    expect(g, LH_OK, lh_acquire(g->store, "k", &options, &lease, NULL, &g->error));
    assert_true(lh_lease_token(lease) > token + 1); /* the late one had a token, too */
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), lh_lease_id(lease));
    assert_string_not_equal(text_at(document, "released.id"), lh_lease_id(lease));
    bson_destroy(document);
    lh_lease_free(lease);
}

static void test_a_callers_own_id_is_lost_when_its_grant_is_late(void **state)
{
    ground *g = *state;
    g->store = patient_store(g, 4000);
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    lh_lease *first = take(g, "k"), *lease = NULL;
    give(g, first);
    break_commands(g, 1, WRITES, "'blockConnection': true, 'blockTimeMS': 1100");
    lh_acquire_options options = short_lease();
    options.lease_id = id;
    expect(g, LH_LOST, lh_acquire(g->store, "k", &options, &lease, NULL, &g->error));
    assert_null(lease);
    assert_int_equal(state_of(g, "k"), LH_FREE); /* it was given back */
}

static void test_a_first_grant_that_took_a_second_is_not_believed(void **state)
{
    ground *g = *state;
    g->store = patient_store(g, 6000);
    break_commands(g, 1, WRITES, "'blockConnection': true, 'blockTimeMS': 1200");
    lh_lease *lease = take(g, "fresh"); /* 30 s: the deadline has nothing to do with it */
    bson_t *document = document_of(g, "fresh");
    assert_string_equal(text_at(document, "id"), lh_lease_id(lease));
    /* of the id that was not believed */
    assert_string_equal(text_at(document, "released.how"), "release");
    assert_string_not_equal(text_at(document, "released.id"), lh_lease_id(lease));
    bson_destroy(document);
    give(g, lease);
}

/* Its age is measured by servers' clocks, which may differ by the grace: 0.7 s may be more than a
 * second. */
static void test_an_old_first_grant_is_not_believed_when_it_is_asked_for_again(void **state)
{
    ground *g = *state;
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true;
    options.lease_id = id;
    lh_lease *first = NULL, *again = NULL;
    expect(g, LH_OK, lh_acquire(g->store, "fresh", &options, &first, NULL, &g->error));
    usleep(700000);
    expect(g, LH_LOST, lh_acquire(g->store, "fresh", &options, &again, NULL, &g->error));
    assert_int_equal(state_of(g, "fresh"), LH_FREE);
    lh_lease_free(first);
}

static void test_a_renewal_answered_after_the_deadline_is_lost(void **state)
{
    ground *g = *state;
    g->store = patient_store(g, 4000);
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 1000, NULL);
    break_commands(g, 1, WRITES, "'blockConnection': true, 'blockTimeMS': 1100");
    expect(g, LH_LOST, lh_lease_renew(lease, 60000, NULL, &g->error));
    assert_false(lh_lease_valid(lease));
    expect(g, LH_LOST, lh_lease_renew(lease, 60000, NULL, &g->error)); /* final */
    lh_lease_free(lease);
}

static void test_a_renewal_is_not_tried_longer_than_the_lease_lasts(void **state)
{
    ground *g = *state;
    g->store = patient_store(g, 8000);
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 1000, NULL);
    break_commands(g, 0, WRITES, "'closeConnection': true");
    time_t began = time(NULL);
    int outcome = lh_lease_renew(lease, 60000, NULL, &g->error);
    assert_true(outcome == LH_LOST || outcome == LH_UNREACHABLE); /* by a few milliseconds */
    assert_true(time(NULL) - began < 5);                          /* not for the store's 8 s */
    mend_commands(g);
    lh_lease_free(lease);
}

static void test_the_local_deadline_passes_without_the_server(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 3000, NULL);
    break_commands(g, 0, WRITES, "'closeConnection': true");
    assert_true(lh_lease_valid(lease));
    while (lh_lease_valid(lease))
        assert_true(lh_lease_remaining_ms(lease) <= 2995);
    assert_int_equal(lh_lease_remaining_ms(lease), 0);
    expect(g, LH_LOST, lh_lease_renew(lease, 60000, NULL, &g->error)); /* without asking */
    lh_lease_free(lease);
}

#define LATE_ID "00112233445566778899aabbccddeeff"

static void *start_waiting(void *arg)
{
    ground *g = arg;
    lh_waiting *waiting = NULL;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = LH_FOREVER;
    o.claim_ms = 1000;
    o.lease_id = LATE_ID;
    return lh_acquire_start(g->store, "k", &o, &waiting, &g->error) == LH_OK ? waiting : NULL;
}

/* As after the process was stopped: a waiter hears of a grant that it may not believe any more,
 * while a question of its is under way. It leaves the grant at once, and is not forgotten over the
 * answer. (Told from inside: only so it comes in this order.) */
static void test_a_grant_too_old_to_be_believed_is_left_at_once(void **state)
{
    ground *g = *state;
    lh_lease *holder = take_as(g, "k", LH_EXCLUSIVE, HOUR_MS, NULL), *lease = NULL;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_waiting *first = NULL;
    pthread_t thread;
    void *second = NULL;
    /* who is first in its store asks again by a timer: the other is second */
    o.wait_ms = LH_FOREVER;
    expect(g, LH_OK, lh_acquire_start(g->store, "k", &o, &first, &g->error));
    break_commands(g, 1, "'findAndModify'", "'blockConnection': true, 'blockTimeMS': 1600");
    assert_int_equal(pthread_create(&thread, NULL, start_waiting, g), 0);
    usleep(1300000);
    lh_wait_granted(g->store,
                    &(lh_grant){.id = LATE_ID, .beat = 0, .token = 1, .expires_at_ms = INT64_MAX});
    assert_int_equal(pthread_join(thread, &second), 0);
    assert_non_null(second);
    struct pollfd settled = {.fd = lh_waiting_fd(second), .events = POLLIN};
    assert_int_equal(poll(&settled, 1, 5000), 1);
    /* an id of its own is good for one */
    expect(g, LH_LOST, lh_waiting_finish(second, &lease, NULL, &g->error));
    expect(g, LH_OK, lh_waiting_cancel(first, &g->error));
    give(g, holder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_test(test_a_grant_answered_after_its_end_is_never_ok),
        bare_test(test_a_late_grant_is_given_back_and_asked_for_again_by_a_new_id),
        bare_test(test_a_callers_own_id_is_lost_when_its_grant_is_late),
        bare_test(test_a_first_grant_that_took_a_second_is_not_believed),
        live_test(test_an_old_first_grant_is_not_believed_when_it_is_asked_for_again),
        bare_test(test_a_renewal_answered_after_the_deadline_is_lost),
        bare_test(test_a_renewal_is_not_tried_longer_than_the_lease_lasts),
        live_test(test_the_local_deadline_passes_without_the_server),
        live_test(test_a_grant_too_old_to_be_believed_is_left_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Doubts: what ended unknown is released in the background, long before its ttl, without closing
 * the store; and nobody believes in it meanwhile. */
#include "live.h"
#include "store/store.h"

#define WRITES "'findAndModify','update'"
#define NO_MAJORITY                                                                                \
    "'writeConcernError': {'code': 64, 'errmsg': 'waiting for replication timed out'}"
#define TTL_MS  120000
#define SOON_MS 15000 /* much shorter */

static void hasty_store(ground *g)
{
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri;
    options.timeout_ms = 1000;
    reopen_store(g, &options);
}

static int acquire(ground *g, const char *key, const char *id, int64_t wait_ms,
                   lh_lease **ret_lease)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.ttl_ms = TTL_MS;
    o.lease_id = id;
    o.wait_ms = wait_ms;
    return lh_acquire(g->store, key, &o, ret_lease, NULL, &g->error);
}

/* As the observer sees it: the store's own driver may think for a while that there is no server. */
static bool is_held(ground *g, const char *key)
{
    bson_t *document = document_of(g, key);
    assert_non_null(document);
    bool held = strcmp(text_at(document, "id"), text_at(document, "released.id")) != 0;
    bson_destroy(document);
    return held;
}

static void expect_free_soon(ground *g, const char *key)
{
    int64_t start = now_ms();
    while (is_held(g, key) && now_ms() < start + SOON_MS)
        usleep(10000);
    print_message("free after %d ms\n", (int)(now_ms() - start));
    assert_false(is_held(g, key));
}

/* The write is applied, and its sender does not hear of it. */
static void make_doubt(ground *g, const char *key, const char *id)
{
    lh_lease *lease = NULL;
    break_commands(g, 0, WRITES, NO_MAJORITY);
    expect(g, LH_UNKNOWN, acquire(g, key, id, 0, &lease));
    assert_null(lease);
    /* there is a document, so it was applied; and it may have been released already */
    (void)is_held(g, key);
}

static void test_what_no_majority_acknowledged_is_released_soon(void **state)
{
    ground *g = *state;
    hasty_store(g);
    make_doubt(g, "k", NULL);
    usleep(600000); /* the keeper's own first releases are not answered either */
    mend_commands(g);
    expect_free_soon(g, "k");
    give(g, take(g, "k"));
}

static void test_several_doubts_are_all_released(void **state)
{
    ground *g = *state;
    hasty_store(g);
    char key[16];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        make_doubt(g, key, NULL);
    }
    mend_commands(g);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        expect_free_soon(g, key);
    }
}

/* The answer comes when nobody listens any more; and so does the grant: after the first release of
 * it. */
static void test_a_straggler_is_released_too(void **state)
{
    ground *g = *state;
    hasty_store(g); /* listens for half a second */
    give(g, take(g, "k"));
    lh_lease *lease = NULL;
    break_commands(g, 2, WRITES, "'blockConnection': true, 'blockTimeMS': 900");
    int outcome = acquire(g, "k", NULL, 0, &lease);
    mend_commands(g);
    assert_true(outcome == LH_UNKNOWN);
    usleep(900000); /* whatever was on its way has come */
    expect_free_soon(g, "k");
}

/* Its id is spent: neither a repeated acquire nor a renewal makes anybody believe in it while it is
 * being released. */
static void test_nobody_believes_in_what_is_being_released(void **state)
{
    ground *g = *state;
    hasty_store(g);
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    make_doubt(g, "k", id);
    usleep(300000); /* a first release was sent; all are applied, and none is answered */
    lh_lease *lease = NULL, *attached = NULL;
    expect(g, LH_OK, lh_lease_attach(g->store, "k", id, &attached, &g->error));
    mend_commands(g);
    expect(g, LH_LOST, acquire(g, "k", id, 0, &lease));
    assert_int_not_equal(lh_lease_renew(attached, 0, NULL, &g->error), LH_OK);
    assert_false(lh_lease_valid(attached));
    lh_lease_free(attached);
    expect_free_soon(g, "k");
}

static void test_a_release_that_was_not_answered_is_sent_again(void **state)
{
    ground *g = *state;
    hasty_store(g);
    lh_lease *lease = NULL;
    expect(g, LH_OK, acquire(g, "k", NULL, 0, &lease));
    break_commands(g, 0, WRITES, "'closeConnection': true"); /* it does not arrive */
    int outcome = lh_lease_release(lease, &g->error);
    assert_true(outcome == LH_UNKNOWN);
    assert_false(lh_lease_valid(lease));
    assert_true(is_held(g, "k"));
    lh_lease_free(lease);
    mend_commands(g);
    expect_free_soon(g, "k");
}

/* The driver may think for a while that there is no server. */
static void expect_reachable(ground *g)
{
    lh_record *record = NULL;
    int outcome;
    for (int64_t until = now_ms() + SOON_MS;
         (outcome = lh_status(g->store, "k", &record, &g->error)) == LH_UNREACHABLE &&
         now_ms() < until;)
        usleep(10000);
    expect(g, LH_OK, outcome);
    lh_record_free(record);
}

static void ignore_doubt(lh_store *store)
{
    (void)store;
}

/* The keeper is busy with other things: what the caller sent is under way all the same, and may be
 * applied at any time. */
static void test_nobody_believes_in_what_was_released_by_its_caller(void **state)
{
    ground *g = *state;
    hasty_store(g);
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    const lh_hooks *hooks = g->store->hooks;
    lh_hooks quiet = *hooks;
    quiet.doubted = ignore_doubt;
    g->store->hooks = &quiet;
    lh_lease *lease = NULL, *attached = NULL;
    expect(g, LH_OK, acquire(g, "k", id, 0, &lease));
    break_commands(g, 0, WRITES, "'closeConnection': true");
    expect(g, LH_UNKNOWN, lh_lease_release(lease, &g->error));
    mend_commands(g);
    lh_lease_free(lease);
    lease = NULL;
    expect_reachable(g);
    expect(g, LH_OK, lh_lease_attach(g->store, "k", id, &attached, &g->error));
    expect(g, LH_LOST, lh_lease_renew(attached, 0, NULL, &g->error));
    assert_false(lh_lease_valid(attached));
    lh_lease_free(attached);
    expect(g, LH_LOST, acquire(g, "k", id, 0, &lease));
    assert_null(lease);
    g->store->hooks = hooks;
    hooks->doubted(g->store);
    expect_free_soon(g, "k");
}

static bool has_queue(ground *g, const char *key)
{
    bson_t *document = document_of(g, key);
    bool there = has(document, "waiters");
    bson_destroy(document);
    return there;
}

static void expect_left_soon(ground *g, const char *key)
{
    for (int64_t until = now_ms() + SOON_MS; has_queue(g, key) && now_ms() < until; usleep(10000))
        ;
    assert_false(has_queue(g, key));
}

static lh_waiting *start(ground *g, const char *key, int64_t wait_ms)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_waiting *waiting = NULL;
    o.wait_ms = wait_ms;
    o.ttl_ms = TTL_MS;
    o.claim_ms = 60000;
    expect(g, LH_OK, lh_acquire_start(g->store, key, &o, &waiting, &g->error));
    return waiting;
}

/* A wait with an id that an earlier acquire has left in doubt: another's release grants it the key,
 * and the release of the doubt may be applied after that. So the grant is not believed, as little
 * as one that the id is given by its own command. */
static void test_nobody_believes_in_a_direct_grant_of_what_is_being_released(void **state)
{
    ground *g = *state;
    hasty_store(g);
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    make_doubt(g, "k", id);
    usleep(300000); /* a first release was sent, and applied */
    mend_commands(g);
    expect_free_soon(g, "k");
    give(g, take(g, "k")); /* from here on nobody sees that the id was the last */
    lh_lease *holder = take(g, "k"), *lease = NULL;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_waiting *waiting = NULL;
    o.ttl_ms = TTL_MS;
    o.wait_ms = o.claim_ms = 60000;
    o.lease_id = id;
    expect(g, LH_OK, lh_acquire_start(g->store, "k", &o, &waiting, &g->error));
    for (int64_t until = now_ms() + SOON_MS; !has_queue(g, "k") && now_ms() < until; usleep(10000))
        ;
    assert_true(has_queue(g, "k"));
    give(g, holder);
    expect(g, LH_LOST, lh_waiting_finish(waiting, &lease, NULL, &g->error));
    assert_null(lease);
    expect_free_soon(g, "k");
}

/* The wait is over, and no server hears of it. Who was queued may be granted still, which is told
 * as unknown; who never was, surely has nothing. */
static void test_a_wait_that_ends_in_an_outage_is_unknown(void **state)
{
    ground *g = *state;
    await_turn(g); /* before the clock runs */
    hasty_store(g);
    lh_lease *holder = NULL, *none = NULL;
    expect(g, LH_OK, acquire(g, "k", NULL, 0, &holder));
    lh_waiting *queued = start(g, "k", 1000);
    /* surely not done */
    break_commands(g, 0, "'findAndModify','update','find'", "'errorCode': 10107");
    lh_waiting *never = start(g, "k", 500);
    expect(g, LH_UNREACHABLE, lh_waiting_finish(never, &none, NULL, &g->error));
    expect(g, LH_UNKNOWN, lh_waiting_finish(queued, &none, NULL, &g->error));
    assert_int_equal(strlen(g->error.lease_id), LH_LEASE_ID_LEN);
    mend_commands(g);
    expect_left_soon(g, "k");
    give(g, holder);
}

/* A question that is refused ends the wait: then it has left, too. */
static void test_who_is_refused_in_the_queue_leaves_it(void **state)
{
    ground *g = *state;
    await_turn(g); /* before the clock runs */
    hasty_store(g);
    lh_lease *holder = take_as(g, "k", LH_EXCLUSIVE, 1200, NULL), *none = NULL;
    lh_waiting *waiting = start(g, "k", LH_FOREVER);
    assert_true(has_queue(g, "k"));
    break_commands(g, 1, WRITES, "'errorCode': 14031"); /* the first one after the holder's end */
    expect(g, LH_SERVER, lh_waiting_finish(waiting, &none, NULL, &g->error));
    assert_false(has_queue(g, "k"));
    lh_lease_free(holder);
}

/* Cancelled, and the queue does not hear of it: it is told, and no place is left in it long before
 * its claim ends. */
static void expect_told_and_gone(ground *g, const char *what, int wanted)
{
    hasty_store(g);
    lh_lease *holder = NULL;
    expect(g, LH_OK, acquire(g, "k", NULL, 0, &holder));
    lh_waiting *waiting = start(g, "k", LH_FOREVER);
    break_commands(g, 0, WRITES, what);
    int outcome = lh_waiting_cancel(waiting, &g->error);
    if (outcome != wanted)
        print_error("the cancel gave %s: %s\n", lh_outcome_word(outcome),
                    outcome == LH_OK ? "" : g->error.message);
    assert_int_equal(outcome, wanted);
    assert_true(*g->error.message);
    mend_commands(g);
    expect_left_soon(g, "k");
    assert_true(lh_lease_valid(holder));
    give(g, holder);
}

/* A server that answers slowly: what is held is renewed between the releases. */
static void test_leases_are_kept_while_doubts_are_settled(void **state)
{
    ground *g = *state;
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri;
    options.timeout_ms = 2000;
    reopen_store(g, &options);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_lease *lease = NULL, *none = NULL;
    char key[16];
    o.ttl_ms = TTL_MS;
    o.timeout_ms = 100;
    break_commands(g, 0, WRITES, NO_MAJORITY);
    for (int i = 0; i < 12; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        expect(g, LH_UNKNOWN, lh_acquire(g->store, key, &o, &none, NULL, &g->error));
    }
    mend_commands(g);
    o.timeout_ms = 0;
    o.ttl_ms = 1500;
    expect(g, LH_OK, lh_acquire(g->store, "kept", &o, &lease, NULL, &g->error));
    break_commands(g, 0, WRITES, "'blockConnection': true, 'blockTimeMS': 300");
    for (int64_t until = now_ms() + 5000; now_ms() < until; usleep(20000))
        assert_true(lh_lease_valid(lease));
    mend_commands(g);
    give(g, lease);
}

static void test_a_cancel_that_was_not_answered_leaves_the_queue(void **state)
{
    expect_told_and_gone(*state, "'closeConnection': true", LH_UNKNOWN);
}

/* By a server that is out of disk, say. */
static void test_a_cancel_that_was_refused_leaves_the_queue(void **state)
{
    expect_told_and_gone(*state, "'errorCode': 14031", LH_SERVER);
}

static lh_waiting *await(ground *g, lh_store *store)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_waiting *waiting = NULL;
    o.ttl_ms = TTL_MS;
    o.wait_ms = LH_FOREVER;
    expect(g, LH_OK, lh_acquire_start(store, "k", &o, &waiting, &g->error));
    return waiting;
}

/* Who was granted by another's command while a question of its own is on its way, works, and
 * releases. The question comes when another has had the key since: nothing tells the server that
 * this id was used, so it is granted again, to nobody. */
static void test_a_question_that_arrives_after_the_release_is_taken_back(void **state)
{
    ground *g = *state;
    if (!g->set)
        skip(); /* there it is the keeper, who asks, that hears of grants */
    lh_store_options options = store_options(g);
    options.app_name = "beside";
    lh_store *beside = open_store_with(g, &options);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_lease *ends = NULL, *lease = NULL;
    o.ttl_ms = 2000;
    o.by_hand = true; /* nobody renews it: whoever waits asks */
    expect(g, LH_OK, lh_acquire(beside, "k", &o, &ends, NULL, &g->error));
    lh_waiting *first = await(g, g->store), *second = await(g, beside);
    usleep(500000); /* the stream is open by now */
    break_commands(g, 1, "'findAndModify'", "'blockConnection': true, 'blockTimeMS': 2000");
    expect(g, LH_OK, lh_waiting_finish(first, &lease, NULL, &g->error));
    give(g, lease);
    expect(g, LH_OK, lh_waiting_finish(second, &lease, NULL, &g->error));
    give(g, lease);
    int64_t start = now_ms();
    while (!is_held(g, "k") && now_ms() < start + 4000)
        usleep(5000);
    print_message("%s\n", is_held(g, "k") ? "granted to nobody" : "not granted again");
    expect_free_soon(g, "k");
    lh_lease_free(ends);
    close_later(beside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_nobody_believes_in_a_direct_grant_of_what_is_being_released),
        live_test(test_what_no_majority_acknowledged_is_released_soon),
        live_test(test_several_doubts_are_all_released),
        live_test(test_a_straggler_is_released_too),
        live_test(test_nobody_believes_in_what_is_being_released),
        live_test(test_a_release_that_was_not_answered_is_sent_again),
        live_test(test_nobody_believes_in_what_was_released_by_its_caller),
        live_test(test_a_wait_that_ends_in_an_outage_is_unknown),
        live_test(test_who_is_refused_in_the_queue_leaves_it),
        live_test(test_a_cancel_that_was_not_answered_leaves_the_queue),
        live_test(test_leases_are_kept_while_doubts_are_settled),
        live_test(test_a_cancel_that_was_refused_leaves_the_queue),
        live_test(test_a_question_that_arrives_after_the_release_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

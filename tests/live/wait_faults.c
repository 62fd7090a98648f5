/* SPDX-License-Identifier: Apache-2.0
 * Waiting while something is in the way: a transaction on the key's document, a change stream that ends for good, fails again and
 * again, or falls silent. Somebody waits until the end; nobody believes anything wrong meanwhile. */
#include <poll.h>

#include "live.h"

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_settled(lh_waiting *waiting, int ms)
{
    struct pollfd poller = {.fd = lh_waiting_fd(waiting), .events = POLLIN};
    return poll(&poller, 1, ms) == 1;
}

/* A second store, which no failpoint is aimed at. */
static lh_store *another(ground *g)
{
    lh_store_options options = store_options(g);
    options.app_name = "beside";
    return open_store_with(g, &options);
}

static lh_lease *take_by(ground *g, lh_store *store)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_lease *lease = NULL;
    o.ttl_ms = 120000;
    expect(g, LH_OK, lh_acquire(store, "k", &o, &lease, NULL, &g->error));
    return lease;
}

static lh_waiting *await(ground *g)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_waiting *waiting = NULL;
    o.wait_ms = 60000;
    expect(g, LH_OK, lh_acquire_start(g->store, "k", &o, &waiting, &g->error));
    return waiting;
}

/* It is granted, believed, and really the holder. */
static void expect_served(ground *g, lh_waiting *waiting, int64_t within_ms)
{
    lh_lease *lease = NULL;
    int64_t start = now_ms();
    assert_true(is_settled(waiting, (int)within_ms));
    expect(g, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &g->error));
    print_message("served after %d ms\n", (int)(now_ms() - start));
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), lh_lease_id(lease));
    assert_int_equal(number_at(document, "token"), lh_lease_token(lease));
    bson_destroy(document);
    assert_true(lh_lease_valid(lease));
    give(g, lease);
    assert_int_equal(state_of(g, "k"), LH_FREE);
}

/* ---- A transaction on the document ---------------------------------------------------------------------------------*/

static mongoc_client_session_t *lock_document(ground *g)
{
    bson_error_t error = {0};
    mongoc_client_session_t *session = mongoc_client_start_session(g->client, NULL, &error);
    assert_non_null(session);
    assert_true(mongoc_client_session_start_transaction(session, NULL, &error));
    bson_t options = BSON_INITIALIZER, *filter = BCON_NEW("workspace_id", "k"),
           *update = json("{'$set': {'touched': true}}");
    assert_true(mongoc_client_session_append(session, &options, &error));
    bool good = mongoc_collection_update_one(g->locks, filter, update, &options, NULL, &error);
    if (!good)
        print_error("%s\n", error.message);
    assert_true(good);
    bson_destroy(&options);
    bson_destroy(filter);
    bson_destroy(update);
    return session;
}

typedef struct {
    lh_lease *lease;
    int outcome;
    lh_error error;
} releasing;

static void *release(void *arg)
{
    releasing *r = arg;
    r->outcome = lh_lease_release(r->lease, &r->error);
    return NULL;
}

static void wait_behind_a_transaction(ground *g, int64_t ms)
{
    lh_store *other = another(g);
    releasing r = {.lease = take_by(g, other)};
    lh_waiting *waiting = await(g);
    mongoc_client_session_t *session = lock_document(g);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release, &r), 0);
    assert_false(is_settled(waiting, (int)ms));
    assert_true(mongoc_client_session_abort_transaction(session, NULL));
    mongoc_client_session_destroy(session);
    expect_served(g, waiting, 20000);
    pthread_join(thread, NULL);
    if (r.outcome != LH_OK)
        print_error("%s\n", r.error.message);
    assert_int_equal(r.outcome, LH_OK);
    assert_false(lh_lease_valid(r.lease));
    lh_lease_free(r.lease);
    close_later(other);
}

static void test_a_release_behind_a_transaction_grants_after_it(void **state)
{
    ground *g = *state;
    if (!g->set)
        skip();
    wait_behind_a_transaction(g, 1500);
}

/* Longer than the claim: the grant names a beat that is too old to be believed, or finds nobody alive. */
static void test_a_grant_that_comes_too_late_is_asked_for_again(void **state)
{
    ground *g = *state;
    if (!g->set)
        skip();
    wait_behind_a_transaction(g, 6500);
}

/* ---- The stream ----------------------------------------------------------------------------------------------------*/

static void wait_with_broken_stream(ground *g, int times, const char *what, int64_t within_ms)
{
    lh_store *other = another(g);
    for (int round = 0; round < 2; round++) {
        lh_lease *lease = take_by(g, other);
        lh_waiting *waiting = await(g);
        if (round == 0) {
            assert_false(is_settled(waiting, 1200)); /* the stream is open by now */
            break_commands(g, times, "'getMore'", what);
        }
        assert_false(is_settled(waiting, 700));
        give(g, lease);
        expect_served(g, waiting, within_ms);
    }
    close_later(other);
}

static void test_a_stream_whose_history_is_lost_is_opened_again(void **state)
{
    ground *g = *state;
    if (g->set)
        wait_with_broken_stream(g, 1, "'errorCode': 286", 10000);
}

static void test_a_stream_that_fails_for_ever_is_made_up_for_by_timers(void **state)
{
    ground *g = *state;
    if (g->set)
        wait_with_broken_stream(g, 0, "'errorCode': 286", 10000);
}

static void test_a_stream_that_falls_silent_is_made_up_for_by_timers(void **state)
{
    ground *g = *state;
    if (g->set)
        wait_with_broken_stream(g, 0, "'blockConnection': true, 'blockTimeMS': 4000", 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_a_release_behind_a_transaction_grants_after_it),
        live_test(test_a_grant_that_comes_too_late_is_asked_for_again),
        live_test(test_a_stream_whose_history_is_lost_is_opened_again),
        live_test(test_a_stream_that_fails_for_ever_is_made_up_for_by_timers),
        live_test(test_a_stream_that_falls_silent_is_made_up_for_by_timers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Closing a store beside whoever waits, at every point of the wait: each is told, nobody uses what
 * is gone, and nothing stays held. */
#include "live.h"

#define WRITES "'findAndModify','update'"

typedef struct {
    ground *g;
    const char *key;
    bool path, many;
    int64_t wait_ms;
    int outcome;
    lh_error error;
    lh_lease *leases[3];
} asker;

static void *ask(void *arg)
{
    asker *a = arg;
    const char *keys[] = {a->key, "other", "third"};
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = a->wait_ms;
    o.ttl_ms = HOUR_MS;
    o.path = a->path;
    a->outcome = a->many ? lh_acquire_many(a->g->store, keys, 3, &o, a->leases, NULL, &a->error)
                         : lh_acquire(a->g->store, a->key, &o, a->leases, NULL, &a->error);
    return NULL;
}

static bool is_held(ground *g, const char *key)
{
    bson_t *document = document_of(g, key);
    bool held = document && strcmp(text_at(document, "id"), text_at(document, "released.id")) != 0;
    bson_destroy(document);
    return held;
}

static bool is_waited_for(ground *g, const char *key)
{
    bson_t *document = document_of(g, key);
    bson_iter_t waiters, one;
    bool waited = document && find_at(document, "waiters", &waiters) &&
                  bson_iter_recurse(&waiters, &one) && bson_iter_next(&one);
    bson_destroy(document);
    return waited;
}

/* Its command is on its way, and answered when the closing has begun. */
static void close_during_the_command(ground *g, asker *a)
{
    pthread_t thread;
    a->g = g;
    a->wait_ms = LH_FOREVER;
    break_commands(g, 0, WRITES, "'blockConnection': true, 'blockTimeMS': 700");
    assert_int_equal(pthread_create(&thread, NULL, ask, a), 0);
    usleep(350000);
    lh_store_close(g->store);
    g->store = NULL;
    assert_int_equal(pthread_join(thread, NULL), 0);
    mend_commands(g);
    for (int i = 0; i < 3; i++) {
        assert_true(!a->leases[i] || !lh_lease_valid(a->leases[i]));
        lh_lease_free(a->leases[i]);
    }
    assert_true(a->outcome == LH_CLOSED || a->outcome == LH_OK);
    assert_false(is_held(g, a->key) || is_waited_for(g, a->key));
    assert_false(is_held(g, "other"));
}

static void test_the_first_command_of_a_wait_is_awaited(void **state)
{
    close_during_the_command(*state, &(asker){.key = "k", .error = LH_ERROR_INIT});
}

static void test_the_first_command_in_the_queue_is_awaited(void **state)
{
    ground *g = *state;
    put(g, json("{'_id': 'k', 'workspace_id': 'k', 'id': 'theirs', 'owner': 'them', 'expires_at': "
                "{'$date': "
                "'2090-01-01T00:00:00Z'}}"));
    asker a = {.key = "k", .g = g, .wait_ms = LH_FOREVER, .error = LH_ERROR_INIT};
    pthread_t thread;
    break_commands(g, 0, WRITES, "'blockConnection': true, 'blockTimeMS': 700");
    assert_int_equal(pthread_create(&thread, NULL, ask, &a), 0);
    usleep(1050000); /* the first was told busy, the second puts it into the queue */
    lh_store_close(g->store);
    g->store = NULL;
    assert_int_equal(pthread_join(thread, NULL), 0);
    mend_commands(g);
    assert_int_equal(a.outcome, LH_CLOSED);
    assert_false(is_waited_for(g, "k"));
}

static void test_a_path_is_awaited(void **state)
{
    close_during_the_command(*state, &(asker){.key = "k/l", .path = true, .error = LH_ERROR_INIT});
}

static void test_many_are_awaited(void **state)
{
    close_during_the_command(*state, &(asker){.key = "k", .many = true, .error = LH_ERROR_INIT});
}

/* Granted before, and never fetched: closing has released it. */
static void test_a_settled_wait_may_be_cancelled_afterwards(void **state)
{
    ground *g = *state;
    lh_waiting *waiting = NULL;
    expect(g, LH_OK, lh_acquire_start(g->store, "k", NULL, &waiting, &g->error));
    lh_store_close(g->store);
    g->store = NULL;
    assert_false(is_held(g, "k"));
    expect(g, LH_OK, lh_waiting_cancel(waiting, &g->error));
}

static void *close_it(void *arg)
{
    lh_store_close(arg);
    return NULL;
}

/* Granted before, and fetched while the store is being closed: it has no entry in the trail, so it
 * goes to nobody. Another call delays the closing. */
static void test_a_grant_that_is_fetched_during_the_closing_is_released(void **state)
{
    ground *g = *state;
    lh_store_options options = store_options(g);
    lh_store *store = NULL;
    lh_waiting *waiting = NULL;
    lh_lease *lease = NULL;
    pthread_t asking, closing;
    options.audit = "trail";
    expect(g, LH_OK, lh_store_open(&options, &store, &g->error));
    lh_store_close(g->store);
    g->store = store;
    expect(g, LH_OK, lh_acquire_start(store, "k", NULL, &waiting, &g->error));
    asker other = {.g = g, .key = "other", .error = LH_ERROR_INIT};
    break_commands(g, 0, WRITES, "'blockConnection': true, 'blockTimeMS': 900");
    assert_int_equal(pthread_create(&asking, NULL, ask, &other), 0);
    usleep(300000);
    assert_int_equal(pthread_create(&closing, NULL, close_it, store), 0);
    usleep(200000);
    expect(g, LH_CLOSED, lh_waiting_finish(waiting, &lease, NULL, &g->error));
    assert_int_equal(pthread_join(closing, NULL) + pthread_join(asking, NULL), 0);
    g->store = NULL;
    mend_commands(g);
    lh_lease_free(other.leases[0]);
    assert_false(is_held(g, "k") || is_held(g, "other"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_the_first_command_of_a_wait_is_awaited),
        live_test(test_the_first_command_in_the_queue_is_awaited),
        live_test(test_a_path_is_awaited),
        live_test(test_many_are_awaited),
        live_test(test_a_settled_wait_may_be_cancelled_afterwards),
        live_test(test_a_grant_that_is_fetched_during_the_closing_is_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

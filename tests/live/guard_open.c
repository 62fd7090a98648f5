/* SPDX-License-Identifier: Apache-2.0
 * What goes on while a guarded transaction is open: renewals of a batch that has its key, queues,
 * takeovers, other keys. The control is a transaction that has written the lease's own document,
 * behind which the same batch gets stuck. */
#include "deed.h"
#include "protocol/pipeline_batch.h"

#define LEASES 200
#define ROUNDS 15
enum { MIDDLE = ROUNDS / 2 };

static lh_lease *leases[LEASES];

static int set_up(void **state)
{
    (void)app_ground(state);
    ground *g = *state;
    for (int i = 0; i < LEASES; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%03d", i);
        leases[i] = take(g, key);
    }
    return 0;
}

static int tear_down(void **state)
{
    for (int i = 0; i < LEASES; i++)
        lh_lease_free(leases[i]);
    return app_gone(state);
}

/* The keeper's own command for all of them. How long it took in microseconds; -1: not done in
 * `max_ms`. */
static int64_t renew_all(ground *g, int64_t max_ms)
{
    lh_batch_lease batch[LEASES];
    for (int i = 0; i < LEASES; i++)
        batch[i] = (lh_batch_lease){lh_lease_key(leases[i]), lh_lease_id(leases[i]),
                                    LH_TTL_DEFAULT_MS, false, lh_lease_token(leases[i])};
    bson_t command = BSON_INITIALIZER, reply;
    bson_error_t why;
    lh_batch_renew(LOCKS, batch, LEASES, &command);
    BSON_APPEND_INT64(&command, "maxTimeMS", max_ms);
    bson_t *majority = json("{'writeConcern': {'w': 'majority', 'j': true}}");
    int64_t start = bson_get_monotonic_time();
    bool good =
        mongoc_client_write_command_with_opts(g->client, g->db, &command, majority, &reply, &why);
    int64_t took = bson_get_monotonic_time() - start;
    if (good)
        assert_int_equal(number_at(&reply, "n"), LEASES);
    bson_destroy(&reply);
    bson_destroy(majority);
    bson_destroy(&command);
    return good ? took : -1;
}

static int ascending(const void *x, const void *y)
{
    int64_t m = *(const int64_t *)x, n = *(const int64_t *)y;
    return (m > n) - (m < n);
}

static void test_an_open_guard_stalls_no_batch_of_renewals(void **state)
{
    ground *g = *state;
    if (!g->set)
        skip();
    int64_t times[2][ROUNDS]; /* without, with */
    for (int round = 0; round < ROUNDS; round++) {
        for (int open = 0; open < 2; open++) {
            if (open)
                guard(g, &us, leases[LEASES / 2]);
            times[open][round] = renew_all(g, 10000);
            assert_true(times[open][round] > 0);
            if (open)
                assert_true(commit(&us)); /* what was renewed meanwhile is none of its business */
        }
    }
    for (int open = 0; open < 2; open++)
        qsort(times[open], ROUNDS, sizeof times[open][0], ascending);
    double without = (double)times[0][MIDDLE], with = (double)times[1][MIDDLE],
           ratio = with / without;
    print_message("  renewing %d leases: %.1f ms, with an open guard %.1f ms: %.2f times as long\n",
                  LEASES, without / 1000, with / 1000, ratio);
    assert_true(ratio < 3);
}

/* That the test above could see it. */
static void test_a_transaction_on_the_leases_document_does(void **state)
{
    ground *g = *state;
    if (!g->set)
        skip();
    bson_t *filter = BCON_NEW("workspace_id", BCON_UTF8(lh_lease_key(leases[LEASES / 2])));
    bson_t *update = json("{'$inc': {'guards': 1}}"), *options = bson_new();
    bson_error_t why;
    mongoc_collection_t *locks = mongoc_client_get_collection(us.client, g->db, LOCKS);
    begin(&us);
    assert_true(mongoc_client_session_append(us.session, options, &why));
    assert_true(mongoc_collection_update_one(locks, filter, update, options, NULL, &why));
    assert_int_equal(renew_all(g, 700), -1);
    rollback(&us);
    assert_true(renew_all(g, 10000) > 0);
    mongoc_collection_destroy(locks);
    bson_destroy(options);
    bson_destroy(update);
    bson_destroy(filter);
}

/* All while the guard of the first key is open: its release, the waiter's grant; the next one's
 * guard of another key, which is that key's first in a store that never guarded. */
static void test_an_open_guard_stalls_no_queue_and_no_other_key(void **state)
{
    ground *g = *state;
    if (!g->set)
        skip();
    /* two that create a collection would be in each other's way */
    assert_true(set_n(&us, "first", 0, NULL));
    guard(g, &us, leases[0]);
    assert_true(set_n(&us, "first", 1, NULL));
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.wait_ms = 10000;
    lh_waiting *waiting = NULL;
    expect(g, LH_OK, lh_acquire_start(g->store, "k000", &options, &waiting, &g->error));
    expect(g, LH_OK, lh_lease_release(leases[0], &g->error));
    lh_lease *next = NULL;
    expect(g, LH_OK, lh_waiting_finish(waiting, &next, NULL, &g->error));
    expect(g, LH_OK, lh_lease_renew(next, 0, NULL, &g->error));

    app other = app_of(g);
    guard(g, &other, leases[1]);
    assert_true(set_n(&other, "second", 1, NULL));
    assert_true(commit(&other));
    app_end(&other);

    assert_true(commit(&us)); /* and the first still commits: nobody has guarded its key since */
    guard(g, &us, next);
    assert_true(commit(&us));
    assert_int_equal(n_of(g, "data", "first", "n"), 1);
    assert_int_equal(n_of(g, "data", "second", "n"), 1);
    give(g, next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_open_guard_stalls_no_batch_of_renewals, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_transaction_on_the_leases_document_does, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_open_guard_stalls_no_queue_and_no_other_key, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * A server that hangs, dies, and comes back, while leases are held on it. Every call returns. */
#include "own.h"

static own server;

static int start(void **state)
{
    if (!own_up(&server, "standalone"))
        return 0; /* the tests are skipped */
    *state = own_ground(&server, 2000);
    own_look(&server, *state);
    return 0;
}

static int end(void **state)
{
    if (!*state)
        return 0;
    (void)kill(server.pid, SIGCONT);
    (void)old_ground(state);
    own_down(&server);
    return 0;
}

/* Until the store gets through to it again. */
static void await_server(ground *g)
{
    lh_record *record = NULL;
    int outcome;
    while ((outcome = lh_status(g->store, "nobody", &record, &g->error)) == LH_UNREACHABLE)
        ;
    expect(g, LH_OK, outcome);
    lh_record_free(record);
}

static void test_a_hung_server_is_given_up(void **state)
{
    ground *g = *state;
    if (!g)
        skip();
    lh_lease *held = take(g, "held"), *lease = NULL;
    int64_t token = lh_lease_token(held);
    lh_record *record = NULL;
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    int outcome = lh_acquire(g->store, "k", NULL, &lease, NULL, &g->error);
    assert_true(outcome == LH_UNKNOWN || outcome == LH_UNREACHABLE);
    assert_null(lease);
    assert_true((outcome == LH_UNKNOWN) == (*g->error.lease_id != '\0'));
    expect(g, LH_UNREACHABLE, lh_lease_renew(held, 0, NULL, &g->error));
    assert_true(lh_lease_valid(held));
    expect(g, LH_UNREACHABLE, lh_status(g->store, "held", &record, &g->error));
    assert_null(record);
    assert_int_equal(kill(server.pid, SIGCONT), 0);
    await_server(g);
    expect(g, LH_OK, lh_lease_renew(held, 0, NULL, &g->error));
    assert_int_equal(lh_lease_token(held), token);
    give(g, held);
}

static void test_a_store_that_closes_on_a_hung_server_returns(void **state)
{
    ground *g = *state;
    if (!g)
        skip();
    lh_store_options options = store_options(g);
    options.timeout_ms = 500;
    lh_store *store = open_store_with(g, &options);
    lh_lease *lease = NULL;
    expect(g, LH_OK, lh_acquire(store, "closing", NULL, &lease, NULL, &g->error));
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    lh_store_close(store);
    assert_false(lh_lease_valid(lease));
    lh_store *none = NULL;
    expect(g, LH_UNREACHABLE, lh_store_open(&options, &none, &g->error));
    assert_null(none);
    assert_int_equal(kill(server.pid, SIGCONT), 0);
    lh_lease_free(lease);
    await_server(g);
}

static void test_what_was_granted_survives_kill_9(void **state)
{
    ground *g = *state;
    if (!g)
        skip();
    lh_lease *lease = take_as(g, "killed", LH_EXCLUSIVE, 600000, "survivor"),
             *reader = take_as(g, "read", LH_SHARED, 600000, NULL);
    int64_t token = lh_lease_token(lease), end_ms = lh_lease_expires_at_ms(lease);
    assert_int_equal(kill(server.pid, SIGKILL), 0);
    lh_lease *none = NULL;
    int outcome = lh_acquire(g->store, "killed", NULL, &none, NULL, &g->error);
    assert_true(outcome == LH_UNREACHABLE || outcome == LH_UNKNOWN);
    assert_true(lh_lease_valid(lease));
    assert_int_equal(system(server.run), 0);
    await_server(g);
    lh_record *record = status_of(g, "killed");
    assert_string_equal(lh_record_holder(record, 0)->owner, "survivor");
    assert_int_equal(record->token, token);
    assert_int_equal(lh_record_holder(record, 0)->expires_at_ms, end_ms);
    lh_record_free(record);
    expect_busy(g, "killed", LH_EXCLUSIVE, LH_WHY_HELD);
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    expect(g, LH_OK, lh_lease_renew(reader, 0, NULL, &g->error));
    give(g, lease);
    assert_true(take_token(g, "killed") > token);
    lh_lease_free(reader);
    own_look(&server, g);
}

static void test_a_server_that_is_gone_is_unreachable(void **state)
{
    ground *g = *state;
    if (!g)
        skip();
    lh_store_options options = store_options(g);
    options.uri = "mongodb://canary:s3cret@127.0.0.1:9/?directConnection=true";
    options.timeout_ms = 300;
    lh_store *store = NULL;
    expect(g, LH_UNREACHABLE, lh_store_open(&options, &store, &g->error));
    assert_null(strstr(g->error.message, "s3cret"));
    options.at_open = LH_AT_OPEN_NOTHING; /* opens, and the first call says it */
    expect(g, LH_OK, lh_store_open(&options, &store, &g->error));
    lh_lease *lease = NULL;
    expect(g, LH_UNREACHABLE, lh_acquire(store, "k", NULL, &lease, NULL, &g->error));
    assert_null(strstr(g->error.message, "s3cret"));
    assert_null(lease);
    close_later(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hung_server_is_given_up),
        cmocka_unit_test(test_a_store_that_closes_on_a_hung_server_returns),
        cmocka_unit_test(test_what_was_granted_survives_kill_9),
        cmocka_unit_test(test_a_server_that_is_gone_is_unreachable),
    };
    const char *uri = getenv("LEASEHOLD_TEST_URI");
    if (uri && strstr(uri, "replicaSet="))
        return 0; /* once is enough: the server is our own; faults_stepdown is for sets */
    (void)alarm(200);
    return cmocka_run_group_tests(tests, start, end);
}

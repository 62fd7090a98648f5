/* SPDX-License-Identifier: Apache-2.0
 * One operation is one command: counted by the server's profiler. */
#include "live.h"

#define COUNT_FAILED (-1)

/* Of a set, the primary keeps the profile. */
static void profile(ground *g, int level)
{
    do_command(g, g->db, json("{'profile': %d}", level));
}

/* What the store sent to the collection since the profiler was started. */
static int64_t commands(ground *g)
{
    mongoc_collection_t *log = mongoc_client_get_collection(g->client, g->db, "system.profile");
    bson_t *filter = BCON_NEW("appName", BCON_UTF8(g->app));
    bson_error_t error;
    int64_t n = mongoc_collection_count_documents(log, filter, NULL, NULL, NULL, &error);
    assert_true(n != COUNT_FAILED);
    bson_destroy(filter);
    mongoc_collection_destroy(log);
    return n;
}

static int64_t expect_commands(ground *g, int64_t before, int64_t wanted, const char *what)
{
    int64_t now = commands(g);
    if (now - before != wanted)
        fail_msg("%s took %lld commands, not %lld", what, (long long)(now - before), (long long)wanted);
    return now;
}

static void test_every_operation_is_one_command(void **state)
{
    ground *g = *state;
    profile(g, 2);
    int64_t n = commands(g);
    lh_lease *lease = take(g, "k");
    n = expect_commands(g, n, 1, "a first acquire");
    expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_HELD);
    n = expect_commands(g, n, 1, "busy");
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    n = expect_commands(g, n, 1, "a renewal");
    assert_true(lh_lease_valid(lease));
    n = expect_commands(g, n, 0, "looking at it");
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    n = expect_commands(g, n, 1, "a release");
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    n = expect_commands(g, n, 1, "a repeated release");
    lh_lease_free(lease);
    lease = take(g, "k");
    n = expect_commands(g, n, 1, "an acquire of what was released");
    end_it(g, "k", HOUR_MS);
    lh_lease *next = take(g, "k");
    n = expect_commands(g, n, 1, "a takeover");
    expect(g, LH_OK, lh_lease_renew(next, 0, NULL, &g->error));
    n = expect_commands(g, n, 1, "a renewal");
    assert_int_equal(state_of(g, "k"), LH_HELD);
    n = expect_commands(g, n, 1, "status");
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "test";
    expect(g, LH_OK, lh_break(g->store, "k", &options, NULL, &g->error));
    n = expect_commands(g, n, 2, "a break");
    lh_migrate_report report;
    expect(g, LH_OK, lh_migrate(g->store, NULL, &report, &g->error));
    expect_commands(g, n, 1, "a migration with nothing to do");
    profile(g, 0);
    lh_lease_free(lease);
    lh_lease_free(next);
}

static void test_old_documents_and_readers_take_one_command_too(void **state)
{
    ground *g = *state;
    put(g, json("{'workspace_id': 'old', 'id': 'x', 'user_id': 'u', 'expires_at': {'$date': '2020-01-01T00:00:00Z'}}"));
    profile(g, 2);
    int64_t n = commands(g);
    lh_lease *lease = take(g, "old");
    n = expect_commands(g, n, 1, "taking over an old lock");
    lh_lease_free(lease);
    lease = take_as(g, "k", LH_SHARED, 30000, NULL);
    n = expect_commands(g, n, 1, "a reader's acquire");
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    n = expect_commands(g, n, 1, "a reader's renewal");
    expect_busy(g, "old", LH_SHARED, LH_WHY_HELD);
    n = expect_commands(g, n, 1, "busy for a reader");
    profile(g, 0);
    lh_lease_free(lease);
}

static void test_opening_sends_one_command_at_most(void **state)
{
    ground *g = *state;
    profile(g, 2);
    int64_t n = commands(g);
    lh_store_options options = store_options(g);
    options.at_open = LH_AT_OPEN_NOTHING;
    close_later(open_store_with(g, &options));
    n = expect_commands(g, n, 0, "opening without a look");
    options.at_open = LH_AT_OPEN_VERIFY;
    close_later(open_store_with(g, &options));
    n = expect_commands(g, n, 1, "opening with a look");
    options.at_open = LH_AT_OPEN_MIGRATE;
    close_later(open_store_with(g, &options));
    expect_commands(g, n, 1, "the normal boot");
    profile(g, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_every_operation_is_one_command),
        live_test(test_old_documents_and_readers_take_one_command_too),
        live_test(test_opening_sends_one_command_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

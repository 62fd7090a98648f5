/* SPDX-License-Identifier: Apache-2.0
 * One operation is one command: counted by the server's profiler. */
#include "live.h"

#define COUNT_FAILED (-1)

/* Of a set, the primary keeps the profile. */
static void profile(ground *g, int level)
{
    do_command(g, g->db, json("{'profile': %d}", level));
}

/* What the store sent to the collection since the profiler was started, of all or with this
 * plan. */
static int64_t commands_by(ground *g, const char *plan)
{
    mongoc_collection_t *log = mongoc_client_get_collection(g->client, g->db, "system.profile");
    bson_t *filter = BCON_NEW("appName", BCON_UTF8(g->app));
    if (plan)
        BSON_APPEND_UTF8(filter, "planSummary", plan);
    bson_error_t error;
    int64_t n = mongoc_collection_count_documents(log, filter, NULL, NULL, NULL, &error);
    assert_true(n != COUNT_FAILED);
    bson_destroy(filter);
    mongoc_collection_destroy(log);
    return n;
}

static int64_t commands(ground *g)
{
    return commands_by(g, NULL);
}

static int64_t expect_commands(ground *g, int64_t before, int64_t wanted, const char *what)
{
    int64_t now = commands(g);
    if (now - before != wanted)
        fail_msg("%s took %lld commands, not %lld", what, (long long)(now - before),
                 (long long)wanted);
    return now;
}

/* A renewal in the very millisecond of the grant changes nothing, and is asked again by the whole
 * form. */
static void await_next_ms(void)
{
    usleep(2000);
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
    await_next_ms();
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
    await_next_ms();
    expect(g, LH_OK, lh_lease_renew(next, 0, NULL, &g->error));
    n = expect_commands(g, n, 1, "a renewal");
    assert_int_equal(state_of(g, "k"), LH_HELD);
    n = expect_commands(g, n, 1, "status");
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "test";
    expect(g, LH_OK, lh_break(g->store, "k", &options, NULL, &g->error));
    n = expect_commands(g, n, 2, "a break");
    lh_migrate_report report = LH_MIGRATE_REPORT_INIT;
    expect(g, LH_OK, lh_migrate(g->store, NULL, &report, &g->error));
    expect_commands(g, n, 1, "a migration with nothing to do");
    profile(g, 0);
    lh_lease_free(lease);
    lh_lease_free(next);
}

static void test_old_documents_and_readers_take_one_command_too(void **state)
{
    ground *g = *state;
    put(g, json("{'workspace_id': 'old', 'id': 'x', 'user_id': 'u', 'expires_at': {'$date': "
                "'2020-01-01T00:00:00Z'}}"));
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
    (void)expect_commands(g, n, 1, "busy for a reader");
    profile(g, 0);
    lh_lease_free(lease);
}

static void test_a_document_of_ours_is_found_by_its_id(void **state)
{
    ground *g = *state;
    give(g, take(g, "k"));
    profile(g, 2);
    int64_t n = commands_by(g, "IDHACK");
    lh_lease *lease = take(g, "k");
    assert_int_equal(commands_by(g, "IDHACK") - n, 1);
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_HELD);
    give(g, lease);
    assert_int_equal(commands_by(g, "IDHACK") - n, 4);
    profile(g, 0);
}

static bool is_own(const bson_t *document)
{
    bson_iter_t id;
    return bson_iter_init_find(&id, document, "_id") && BSON_ITER_HOLDS_UTF8(&id);
}

/* The document that was known is gone, and another program's has the key. */
static void test_another_document_has_the_key_by_now(void **state)
{
    ground *g = *state;
    static const char old_free[] =
        "{'workspace_id': 'k', 'id': 'x', 'expires_at': {'$date': '2020-01-01T00:00:00Z'}}",
                      old_held[] =
                          "{'workspace_id': 'k', 'id': 'x', 'owner': 'old', 'expires_at': null}";
    give(g, take(g, "k"));
    do_command(g, g->db, json("{'delete': '%s', 'deletes': [{'q': {}, 'limit': 0}]}", LOCKS));
    put(g, json(old_held));
    expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_HELD);
    do_command(g, g->db, json("{'delete': '%s', 'deletes': [{'q': {}, 'limit': 0}]}", LOCKS));
    lh_lease *lease = take(g, "k");
    do_command(g, g->db, json("{'delete': '%s', 'deletes': [{'q': {}, 'limit': 0}]}", LOCKS));
    put(g, json(old_free));
    expect(g, LH_LOST, lh_lease_renew(lease, 0, NULL, &g->error));
    lh_lease_free(lease);
    lease = take(g, "k");
    bson_t *document = document_of(g, "k");
    assert_false(is_own(document));
    bson_destroy(document);
    profile(g, 2);
    int64_t n = commands(g);
    await_next_ms();
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    n = expect_commands(g, n, 1, "a renewal in another program's document");
    give(g, lease);
    expect_commands(g, n, 1, "a release there");
    profile(g, 0);
}

/* Its _id is the key, but it is another's by now. */
static void test_a_document_that_was_given_another_key_is_left_alone(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    do_command(g, g->db,
               json("{'update': '%s', 'updates': [{'q': {'_id': 'k'}, 'u': {'$set': "
                    "{'workspace_id': 'other'}}}]}",
                    LOCKS));
    bson_t *before = document_of(g, "other");
    expect(g, LH_LOST, lh_lease_renew(lease, 0, NULL, &g->error));
    expect(g, LH_LOST, lh_lease_release(lease, &g->error));
    lh_lease_free(lease);
    do_command(g, g->db,
               json("{'update': '%s', 'updates': [{'q': {'_id': 'k'}, 'u': {'$set': {'released': "
                    "{'id': 'y'}, 'id': 'y', "
                    "'expires_at': {'$date': '2020-01-01T00:00:00Z'}}}}]}",
                    LOCKS));
    bson_destroy(before);
    before = document_of(g, "other");
    give(g, take(g, "k"));
    bson_t *after = document_of(g, "other");
    expect_same(before, after);
    bson_destroy(before);
    bson_destroy(after);
}

/* Its first grant fails by the _id, looks whose that is, inserts, and looks at the index; from then
 * on it is found by its key. */
static void test_a_key_whose_name_is_another_documents_id_takes_more_once(void **state)
{
    ground *g = *state;
    give(g, take(g, "first"));
    put(g, json("{'_id': 'k', 'workspace_id': 'other', 'expires_at': null}"));
    profile(g, 2);
    int64_t n = commands(g);
    lh_lease *lease = take(g, "k");
    n = expect_commands(g, n, 4, "the first acquire beside an odd document");
    await_next_ms();
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    n = expect_commands(g, n, 1, "a renewal");
    give(g, lease);
    n = expect_commands(g, n, 1, "a release");
    give(g, take(g, "k"));
    n = expect_commands(g, n, 2, "an acquire and a release later");
    expect_busy(g, "other", LH_EXCLUSIVE, LH_WHY_HELD);
    expect_commands(g, n, 1, "busy of the other");
    profile(g, 0);
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
        live_test(test_a_document_of_ours_is_found_by_its_id),
        live_test(test_another_document_has_the_key_by_now),
        live_test(test_a_document_that_was_given_another_key_is_left_alone),
        live_test(test_a_key_whose_name_is_another_documents_id_takes_more_once),
        live_test(test_opening_sends_one_command_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

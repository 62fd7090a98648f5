/* SPDX-License-Identifier: Apache-2.0
 * lh_migrate() where the server refuses, is interrupted, or does not answer: it looks again, or
 * says what to do, and nothing is lost. */
#include "live.h"

#define INDEX "workspace_id_unique"

static void start_over(ground *g)
{
    do_command(g, g->db, json("{'dropDatabase': 1}"));
    put(g, json("{'_id': 1, 'workspace_id': 'k', 'id': 'x', 'expires_at': 4}"));
    put(g, json("{'_id': 2, 'workspace_id': 'k', 'id': 'y', 'expires_at': 5}"));
}

static int ground_with_duplicates(void **state)
{
    (void)bare_ground(state);
    ground *g = *state;
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri;
    options.at_open = LH_AT_OPEN_NOTHING;
    g->store = open_store_with(g, &options);
    start_over(g);
    return 0;
}

/* What an interrupted run leaves. */
static void make_plain_index(ground *g)
{
    do_command(g, g->db,
               json("{'createIndexes': '" LOCKS
                    "', 'indexes': [{'key': {'workspace_id': 1}, 'name': '" INDEX "'}]}"));
}

static int migrate(ground *g, const lh_migrate_options *options)
{
    return lh_migrate(g->store, options, NULL, &g->error);
}

/* One document is left, the other is in the archive, once, and grants are possible. */
static void expect_migrated(ground *g)
{
    bson_error_t why;
    bson_t *marked = json("{'deleted': {'$ne': null}}");
    mongoc_collection_t *archive = mongoc_client_get_collection(g->client, g->db, LOCKS "_archive");
    assert_int_equal(count_documents(g), 1);
    assert_int_equal(mongoc_collection_count_documents(archive, marked, NULL, NULL, NULL, &why), 1);
    mongoc_collection_destroy(archive);
    bson_destroy(marked);
    give(g, take(g, "k"));
}

typedef struct {
    const char *command, *what;
    bool plain; /* the plain index is there already */
} fault;

/* `times` (0: all) of the commands meet it; of finds, those of the leases' collection. */
static void break_with(ground *g, int times, const fault *f)
{
    char what[256];
    (void)snprintf(what, sizeof what,
                   strcmp(f->command, "'find'") == 0 ? "%s, 'namespace': '%s." LOCKS "'" : "%s",
                   f->what, g->db);
    break_commands(g, times, f->command, what);
}

/* The fault once; the migration ends well. */
static void expect_mended(void **state, const fault *faults, size_t n)
{
    ground *g = *state;
    for (size_t i = 0; i < n; i++) {
        start_over(g);
        if (faults[i].plain)
            make_plain_index(g);
        break_with(g, 1, &faults[i]);
        expect(g, LH_OK, migrate(g, NULL));
        expect_migrated(g);
    }
}

static void what_somebody_else_did_to_the_index_is_looked_at_again(void **state)
{
    static const fault faults[] = {
        {"'createIndexes'", "'errorCode': 85", false},
        {"'createIndexes'", "'errorCode': 86", false},
        {"'createIndexes'", "'errorCode': 276", false},
        {"'createIndexes'", "'errorCode': 26", false},
        {"'collMod'", "'errorCode': 26", false},
        {"'collMod'", "'errorCode': 27", false},
        {"'find'", "'errorCode': 291", true},
    };
    expect_mended(state, faults, sizeof faults / sizeof *faults);
}

static void a_build_of_somebody_else_is_waited_for(void **state)
{
    static const fault faults[] = {
        {"'createIndexes'", "'errorCode': 117", false},
        {"'createIndexes'", "'errorCode': 12587", false},
        {"'collMod'", "'errorCode': 12587", true},
        {"'findAndModify'", /* another was the first to take the migration's lease */
         "'errorCode': 11000, 'errorExtraInfo': {'keyPattern': {'_id': 1}, 'keyValue': {'_id': "
         "'x'}}",
         false},
    };
    expect_mended(state, faults, sizeof faults / sizeof *faults);
}

static void a_lost_answer_is_settled_by_looking(void **state)
{
    static const fault faults[] = {
        {"'insert'", "'closeConnection': true", false}, /* of the archive's */
        {"'insert'", "'writeConcernError': {'code': 91, 'errmsg': 'shutting down'}", false},
        {"'delete'", "'writeConcernError': {'code': 91, 'errmsg': 'shutting down'}", false},
        {"'collMod'", "'closeConnection': true", false},
        {"'findAndModify'", "'closeConnection': true", false},
    };
    expect_mended(state, faults, sizeof faults / sizeof *faults);
}

typedef struct {
    ground *g;
    const char *step, *command; /* run once, when that step begins */
} meddling;

static int meddle(void *arg, const char *step, uint64_t done, uint64_t total)
{
    meddling *m = arg;
    (void)done;
    (void)total;
    if (m->command && strcmp(step, m->step) == 0) {
        do_command(m->g, m->g->db, json("%s", m->command));
        m->command = NULL;
    }
    return 0;
}

static void what_somebody_else_does_meanwhile_is_looked_at_again(void **state)
{
    static const char *const kinds[][2] = {
        {"index", "{'createIndexes': '" LOCKS
                  "', 'indexes': [{'key': {'workspace_id': 1}, 'name': 'other'}]}"},
        {"dedupe", "{'dropIndexes': '" LOCKS "', 'index': '" INDEX "'}"},
        {"convert", "{'dropIndexes': '" LOCKS "', 'index': '" INDEX "'}"},
        {"convert",
         "{'collMod': '" LOCKS "', 'index': {'name': '" INDEX "', 'prepareUnique': false}}"},
    };
    ground *g = *state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        meddling m = {.g = g, .step = kinds[i][0], .command = kinds[i][1]};
        lh_migrate_options options = LH_MIGRATE_OPTIONS_INIT;
        options.progress = meddle;
        options.progress_arg = options.verdict_arg = &m;
        start_over(g);
        expect(g, LH_OK, migrate(g, &options));
        assert_null(m.command);
        expect_migrated(g);
    }
}

/* What is not mended by looking again is told, with what to do. */
static void what_the_server_goes_on_refusing_is_told(void **state)
{
    static const struct {
        fault fault;
        int outcome;
        const char *says;
    } refusals[] = {
        {{"'collMod'", "'errorCode': 59", false},
         LH_DENIED,
         "needs a MongoDB whose collMod has prepareUnique"},
        {{"'collMod'", "'errorCode': 40415", false}, LH_DENIED, "the privilege \"collMod\""},
        {{"'collMod'", "'errorCode': 8000", false}, LH_SERVER, "code 8000"},
        {{"'createIndexes'", "'errorCode': 13", false}, LH_DENIED, "create the index"},
        {{"'createIndexes'", "'errorCode': 67", false}, LH_SERVER, "code 67"},
        {{"'find'", "'errorCode': 13", true}, LH_DENIED, "read the documents"},
        {{"'insert'", "'errorCode': 13", false}, LH_DENIED, "archive"},
        {{"'delete'", "'errorCode': 13", false}, LH_DENIED, "delete the archived documents"},
        {{"'count'", "'errorCode': 13", false}, LH_OK, ""}, /* it is for the progress only */
    };
    ground *g = *state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const fault *f = &refusals[i].fault;
        start_over(g);
        if (f->plain)
            make_plain_index(g);
        break_with(g, 0, f);
        expect(g, refusals[i].outcome, migrate(g, NULL));
        if (refusals[i].outcome != LH_OK)
            expect_says(g, refusals[i].says);
        mend_commands(g);
    }
    expect_migrated(g);
}

static void what_does_not_get_on_ends(void **state)
{
    ground *g = *state;
    break_commands(g, 0, "'createIndexes'", "'errorCode': 276");
    expect(g, LH_SERVER, migrate(g, NULL));
    expect_says(g, "made no progress");
    assert_int_equal(count_documents(g), 2);
}

static void a_server_that_does_not_answer_is_not_waited_for_longer_than_asked(void **state)
{
    ground *g = *state;
    lh_migrate_options options = LH_MIGRATE_OPTIONS_INIT;
    options.timeout_ms = 700;
    break_commands(g, 0, "'findAndModify'", "'closeConnection': true");
    expect(g, LH_UNREACHABLE, migrate(g, &options));
    mend_commands(g);
    expect(g, LH_OK, migrate(g, NULL));
    expect_migrated(g);
}

/* The archive's own rules: the server's reason is told, and nothing is deleted. */
static void what_cannot_be_archived_stays(void **state)
{
    ground *g = *state;
    do_command(g, g->db,
               json("{'create': '" LOCKS "_archive', 'validator': {'never': {'$exists': true}}}"));
    expect(g, LH_CONFIG, migrate(g, NULL));
    expect_says(g, "collMod: \"" LOCKS "_archive\"");
    assert_int_equal(count_documents(g), 2);
}

static void an_index_in_the_way_that_cannot_be_made_unique_is_named(void **state)
{
    ground *g = *state;
    do_command(g, g->db,
               json("{'createIndexes': '" LOCKS
                    "', 'indexes': [{'key': {'workspace_id': 1}, 'name': 'older', "
                    "'hidden': true}]}"));
    expect(g, LH_CONFIG, migrate(g, NULL));
    expect_says(g, "dropIndex(\"older\")");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, ground_with_duplicates, old_ground)
    const struct CMUnitTest tests[] = {
        T(what_somebody_else_did_to_the_index_is_looked_at_again),
        T(what_somebody_else_does_meanwhile_is_looked_at_again),
        T(a_build_of_somebody_else_is_waited_for),
        T(a_lost_answer_is_settled_by_looking),
        T(what_the_server_goes_on_refusing_is_told),
        T(what_does_not_get_on_ends),
        T(a_server_that_does_not_answer_is_not_waited_for_longer_than_asked),
        T(what_cannot_be_archived_stays),
        T(an_index_in_the_way_that_cannot_be_made_unique_is_named),
    };
    return cmocka_run_group_tests_name("migrate_faults", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * lh_migrate() against a real server: what each kind of collection becomes. An observer with a
 * connection of its own sets the collection up and looks at what is left. Needs LEASEHOLD_TEST_URI;
 * each test has its own database, and drops it. */
#include <inttypes.h>
#include <leasehold/leasehold.h>
#include <mongoc/mongoc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
/* last: it needs the four above */
#include <cmocka.h>

#define INDEX "workspace_id_unique"

typedef struct {
    char db[64];
    mongoc_client_t *client;
    lh_store *store;
    lh_migrate_options options;
    lh_migrate_report report;
    lh_error error;
    int verdicts;
    char reason[256], survivor[160];
    uint64_t losers;
    int progress, stop_at; /* calls so far; the call that asks to stop; 0: none */
} world;

static void note_verdict(void *arg, const lh_verdict *verdict)
{
    world *w = arg;
    w->verdicts++;
    w->losers = verdict->losers;
    (void)snprintf(w->reason, sizeof w->reason, "%s", verdict->reason);
    (void)snprintf(w->survivor, sizeof w->survivor, "%s", verdict->survivor);
}

static int note_progress(void *arg, const char *step, uint64_t done, uint64_t total)
{
    world *w = arg;
    (void)step;
    (void)done;
    (void)total;
    return ++w->progress == w->stop_at;
}

static int set_up(void **state)
{
    world *w = calloc(1, sizeof *w);
    const char *uri = getenv("LEASEHOLD_TEST_URI");
    uint32_t random = 0;
    assert_non_null(w);
    w->error = (lh_error)LH_ERROR_INIT;
    w->report = (lh_migrate_report)LH_MIGRATE_REPORT_INIT;
    assert_int_equal(getrandom(&random, sizeof random, 0), sizeof random);
    (void)snprintf(w->db, sizeof w->db, "mig_test_%08" PRIx32, random);
    mongoc_init();
    w->client = mongoc_client_new(uri);
    assert_non_null(w->client);
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = uri;
    options.db = w->db;
    options.collection = "locks";
    options.at_open = LH_AT_OPEN_NOTHING;
    options.pool_size = 1; /* it needs no more, and would hang here if it did */
    if (lh_store_open(&options, &w->store, &w->error) != LH_OK)
        fail_msg("%s", w->error.message);
    w->options = (lh_migrate_options)LH_MIGRATE_OPTIONS_INIT;
    w->options.verdict = note_verdict;
    w->options.progress = note_progress;
    w->options.progress_arg = w->options.verdict_arg = w;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    world *w = *state;
    lh_store_close(w->store);
    mongoc_database_t *db = mongoc_client_get_database(w->client, w->db);
    mongoc_database_drop(db, NULL);
    mongoc_database_destroy(db);
    mongoc_client_destroy(w->client);
    free(w);
    return 0;
}

/* Runs a command given as JSON; its outcome must be `good`. */
static void command(world *w, const char *json, bool good)
{
    bson_error_t why;
    bson_t reply, *parsed = bson_new_from_json((const uint8_t *)json, -1, &why);
    if (!parsed)
        fail_msg("%s: %s", json, why.message);
    bool done = mongoc_client_write_command_with_opts(w->client, w->db, parsed, NULL, &reply, &why);
    if (done != good)
        fail_msg("%s: %s", json, done ? "worked" : why.message);
    bson_destroy(parsed);
    bson_destroy(&reply);
}

static void insert(world *w, const char *json)
{
    char text[4096];
    (void)snprintf(text, sizeof text, "{\"insert\": \"locks\", \"documents\": [%s]}", json);
    command(w, text, true);
}

static int64_t count(world *w, const char *collection, const char *filter)
{
    bson_t *query = bson_new_from_json((const uint8_t *)filter, -1, NULL);
    mongoc_collection_t *c = mongoc_client_get_collection(w->client, w->db, collection);
    int64_t n = mongoc_collection_count_documents(c, query, NULL, NULL, NULL, NULL);
    mongoc_collection_destroy(c);
    bson_destroy(query);
    return n;
}

/* Is there a unique index of our name? */
static bool is_unique(world *w)
{
    mongoc_collection_t *c = mongoc_client_get_collection(w->client, w->db, "locks");
    mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(c, NULL);
    const bson_t *index;
    bool found = false;
    while (mongoc_cursor_next(cursor, &index)) {
        bson_iter_t name, unique;
        found |= bson_iter_init_find(&name, index, "name") &&
                 strcmp(bson_iter_utf8(&name, NULL), INDEX) == 0 &&
                 bson_iter_init_find(&unique, index, "unique") && bson_iter_as_bool(&unique);
    }
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    return found;
}

static bool has_collection(world *w, const char *name)
{
    mongoc_database_t *db = mongoc_client_get_database(w->client, w->db);
    bool there = mongoc_database_has_collection(db, name, NULL);
    mongoc_database_destroy(db);
    return there;
}

static void migrate(world *w, int wanted)
{
    w->verdicts = w->progress = 0;
    w->error.message[0] = '\0';
    int outcome = lh_migrate(w->store, &w->options, &w->report, &w->error);
    if (outcome != wanted)
        fail_msg("wanted %s, got %s: %s", lh_outcome_word(wanted), lh_outcome_word(outcome),
                 w->error.message);
}

static void expect_message(const world *w, const char *part)
{
    if (!strstr(w->error.message, part))
        fail_msg("no \"%s\" in: %s", part, w->error.message);
}

/* Of two documents of one key, does the one with _id "win" stay? Also with the opposite order of
 * insertion. */
static void expect_winner(world *w, const char *win, const char *lose)
{
    for (int turn = 0; turn < 2; turn++) {
        char text[1024];
        command(w, "{\"dropDatabase\": 1}", true);
        (void)snprintf(text, sizeof text,
                       "{\"workspace_id\": \"k\", %s}, {\"workspace_id\": \"k\", %s}",
                       turn ? win : lose, turn ? lose : win);
        insert(w, text);
        migrate(w, LH_OK);
        (void)snprintf(text, sizeof text, "{%s}", win);
        if (count(w, "locks", text) != 1 || count(w, "locks", "{}") != 1)
            fail_msg("{%s} should have won against {%s}: %s", win, lose, w->reason);
        assert_int_equal(w->verdicts, 1);
    }
}

/* ---- The tests: named by what they prove */

static void a_missing_collection_gets_the_index(void **state)
{
    world *w = *state;
    migrate(w, LH_OK);
    assert_int_equal(w->report.index, LH_INDEX_CREATED);
    assert_true(is_unique(w));
}

static void the_second_run_is_one_look(void **state)
{
    world *w = *state;
    migrate(w, LH_OK);
    w->report.scanned = 99;
    migrate(w, LH_OK);
    assert_int_equal(w->report.index, LH_INDEX_PRESENT);
    assert_int_equal(w->report.scanned, 0);
    assert_int_equal(w->progress, 0);
}

static void without_duplicates_the_index_is_created_at_once(void **state)
{
    world *w = *state;
    insert(w, "{\"workspace_id\": \"a\", \"expires_at\": \"soon\"}, {\"workspace_id\": \"b\"}, "
              "{\"n\": 1, "
              "\"expires_at\": 1}");
    migrate(w, LH_OK);
    assert_int_equal(w->report.index, LH_INDEX_CREATED);
    assert_int_equal(w->report.scanned, 3);
    assert_int_equal(w->report.malformed, 2);
    assert_int_equal(w->report.removed, 0);
    assert_false(has_collection(w, "locks_archive"));
}

static void ends_of_all_types_are_compared_as_instants(void **state)
{
    world *w = *state;
    expect_winner(w, "\"_id\": 1, \"expires_at\": {\"$date\": \"2026-03-01T10:00:01Z\"}",
                  "\"_id\": 2, \"expires_at\": \"2026-03-01T10:00:00Z\"");
    expect_winner(w, "\"_id\": 1, \"expires_at\": \"2026-03-01T10:00:00-05:00\"",
                  "\"_id\": 2, \"expires_at\": {\"$date\": \"2026-03-01T14:59:59Z\"}");
    expect_winner(w, "\"_id\": 1, \"expires_at\": \"2026-03-01T10:00:00.250\"",
                  "\"_id\": 2, \"expires_at\": \"2026-03-01T10:00:00.249Z\"");
    expect_winner(w, "\"_id\": 1, \"expires_at\": 1772000001",
                  "\"_id\": 2, \"expires_at\": {\"$numberLong\": \"1772000000999\"}");
    expect_winner(w, "\"_id\": 1, \"expires_at\": 1772000000999.0",
                  "\"_id\": 2, \"expires_at\": 1772000000");
}

static void no_readable_end_is_oldest(void **state)
{
    world *w = *state;
    expect_winner(w, "\"_id\": 1, \"expires_at\": 5", "\"_id\": 2, \"expires_at\": null");
    expect_winner(w, "\"_id\": 1, \"expires_at\": 5", "\"_id\": 2");
    expect_winner(w, "\"_id\": 1, \"expires_at\": 5", "\"_id\": 2, \"expires_at\": \"soon\"");
    expect_winner(w, "\"_id\": 1, \"expires_at\": 5", "\"_id\": 2, \"expires_at\": [9]");
    expect_winner(w, "\"_id\": 2, \"expires_at\": null", "\"_id\": 1, \"expires_at\": \"soon\"");
    assert_string_equal(w->reason,
                        "none of 2 documents has a readable end; it has the highest _id");
}

/* The ladder is in the server's order; each rung must win against the one below. */
static void a_tie_goes_to_the_highest_id_in_the_servers_order(void **state)
{
    world *w = *state;
    static const char *const ladder[] = {
        "null",
        "-1.5",
        "{\"$numberLong\": \"2\"}",
        "2.5",
        "3",
        "{\"$numberLong\": \"9007199254740993\"}",
        "9007199254740994.0",
        "\"\"",
        "\"A\"",
        "\"a\"",
        "\"aa\"",
        "{}",
        "{\"a\": 1}",
        "{\"b\": 1}",
        "{\"a\": \"x\"}",
        "{\"$binary\": {\"base64\": \"AQ==\", \"subType\": \"00\"}}",
        "{\"$binary\": {\"base64\": \"AAA=\", \"subType\": \"00\"}}",
        "{\"$oid\": \"000000000000000000000001\"}",
        "{\"$oid\": \"ff0000000000000000000000\"}",
        "false",
        "true",
        "{\"$date\": \"1960-01-01T00:00:00Z\"}",
        "{\"$date\": \"2026-01-01T00:00:00Z\"}"};
    for (size_t i = 0; i + 1 < sizeof ladder / sizeof *ladder; i++) {
        char high[256], low[256];
        (void)snprintf(low, sizeof low, "\"_id\": %s, \"expires_at\": 7", ladder[i]);
        (void)snprintf(high, sizeof high, "\"_id\": %s, \"expires_at\": \"1970-01-01T00:00:07Z\"",
                       ladder[i + 1]);
        expect_winner(w, high, low);
    }
}

static void losers_are_archived_whole_and_marked(void **state)
{
    world *w = *state;
    insert(w, "{\"_id\": 1, \"workspace_id\": \"k\", \"id\": \"x\", \"expires_at\": 5, "
              "\"unknown\": {\"b\": [1, {}], "
              "\"a\": null}}, "
              "{\"_id\": 2, \"workspace_id\": \"k\", \"id\": \"y\", \"expires_at\": 6}, {\"_id\": "
              "3, \"workspace_id\": "
              "\"l\"}");
    migrate(w, LH_OK);
    assert_int_equal(w->report.index, LH_INDEX_CONVERTED);
    assert_int_equal(w->report.scanned, 3);
    assert_int_equal(w->report.duplicate_keys, 1);
    assert_int_equal(w->report.removed, 1);
    assert_int_equal(w->report.archived, 1);
    assert_true(is_unique(w));
    assert_int_equal(count(w, "locks", "{\"_id\": {\"$in\": [2, 3]}}"), 2);
    assert_int_equal(count(w, "locks_archive",
                           "{\"_id.id\": 1, \"_id.hash\": {\"$gt\": \"\"}, \"reason\": "
                           "\"duplicate\", \"survivor\": 2, "
                           "\"at\": {\"$gt\": {\"$date\": \"2020-01-01T00:00:00Z\"}}, \"deleted\": "
                           "{\"$gt\": {\"$date\": "
                           "\"2020-01-01T00:00:00Z\"}}, \"document\": {\"_id\": 1, "
                           "\"workspace_id\": \"k\", \"id\": \"x\", \"expires_at\": 5, "
                           "\"unknown\": {\"b\": [1, {}], \"a\": null}}}"),
                     1);
    assert_string_equal(w->survivor, "2");
    assert_int_equal(w->losers, 1);
    assert_string_equal(w->reason, "expires_at 1970-01-01T00:00:06.000Z is the newest of 2");
}

static void the_archive_can_be_named_or_left_out(void **state)
{
    world *w = *state;
    static const char two[] = "{\"workspace_id\": \"k\"}, {\"workspace_id\": \"k\"}";
    insert(w, two);
    w->options.archive = "kept";
    migrate(w, LH_OK);
    assert_int_equal(count(w, "kept", "{}"), 1);
    command(w, "{\"drop\": \"locks\"}", true);
    insert(w, two);
    w->options.archive = NULL;
    w->options.no_archive = true;
    migrate(w, LH_OK);
    assert_int_equal(w->report.removed, 1);
    assert_int_equal(w->report.archived, 0);
    assert_false(has_collection(w, "locks_archive"));
    w->options.archive = "locks";
    migrate(w, LH_INVALID);
}

static void the_survivor_inherits_the_highest_token(void **state)
{
    world *w = *state;
    insert(w,
           "{\"_id\": 1, \"workspace_id\": \"k\", \"expires_at\": 5, \"token\": {\"$numberLong\": "
           "\"4611686018420000000\"}}, "
           "{\"_id\": 2, \"workspace_id\": \"k\", \"expires_at\": 9, \"token\": 7}, "
           "{\"_id\": 3, \"workspace_id\": \"k\", \"expires_at\": 6, \"token\": \"99\"}, "
           "{\"_id\": 4, \"workspace_id\": \"l\", \"expires_at\": 6, \"token\": 3}, "
           "{\"_id\": 5, \"workspace_id\": \"l\", \"expires_at\": 7}, "
           "{\"_id\": 6, \"workspace_id\": \"m\", \"expires_at\": 6, \"token\": 3}, "
           "{\"_id\": 7, \"workspace_id\": \"m\", \"expires_at\": 7, \"token\": 5}, "
           /* false counts as none, a double as a number; what could not be read makes nothing
               * unreadable */
           "{\"_id\": 8, \"workspace_id\": \"n\", \"expires_at\": 6, \"token\": 3}, "
           "{\"_id\": 9, \"workspace_id\": \"n\", \"expires_at\": 7, \"token\": false}, "
           "{\"_id\": 10, \"workspace_id\": \"o\", \"expires_at\": 6, \"token\": 8.0}, "
           "{\"_id\": 11, \"workspace_id\": \"o\", \"expires_at\": 7, \"token\": 5}, "
           "{\"_id\": 12, \"workspace_id\": \"p\", \"expires_at\": 6, \"token\": {\"$numberLong\": "
           "\"4611686018427387904\"}}, "
           "{\"_id\": 13, \"workspace_id\": \"p\", \"expires_at\": 7, \"token\": 5}");
    migrate(w, LH_OK);
    assert_int_equal(
        count(w, "locks", "{\"_id\": 2, \"token\": {\"$numberLong\": \"4611686018420000000\"}}"),
        1);
    assert_int_equal(count(w, "locks", "{\"_id\": 5, \"token\": 3}"), 1);
    assert_int_equal(count(w, "locks", "{\"_id\": 7, \"token\": 5}"), 1);
    assert_int_equal(count(w, "locks", "{\"_id\": 9, \"token\": 3}"), 1);
    assert_int_equal(count(w, "locks", "{\"_id\": 11, \"token\": 8}"), 1);
    assert_int_equal(count(w, "locks", "{\"_id\": 13, \"token\": 5}"), 1);
    assert_int_equal(count(w, "locks", "{}"), 6);
}

static void without_leave_to_remove_duplicates_are_reported(void **state)
{
    world *w = *state;
    insert(w, "{\"workspace_id\": \"k\"}, {\"workspace_id\": \"k\"}, {\"workspace_id\": \"k\"}, "
              "{\"workspace_id\": \"l\"}");
    w->options.remove = false;
    migrate(w, LH_CONFIG);
    expect_message(w, "1 key of");
    expect_message(w, " has 2 documents too many: run `leasehold migrate --yes`");
    assert_int_equal(w->report.index, LH_INDEX_MISSING);
    assert_int_equal(w->report.duplicate_keys, 1);
    assert_int_equal(w->report.removed, 0);
    assert_int_equal(count(w, "locks", "{}"), 4);
    assert_false(is_unique(w));
}

static void an_interrupted_conversion_is_finished_without_leave_to_remove(void **state)
{
    world *w = *state;
    insert(w, "{\"workspace_id\": \"k\"}");
    command(w,
            "{\"createIndexes\": \"locks\", \"indexes\": [{\"key\": {\"workspace_id\": 1}, "
            "\"name\": \"" INDEX "\"}]}",
            true);
    w->options.remove = false;
    migrate(w, LH_OK);
    assert_int_equal(w->report.index, LH_INDEX_CONVERTED);
    assert_true(is_unique(w));
}

static void a_dry_run_changes_nothing(void **state)
{
    world *w = *state;
    w->options.dry_run = true;
    migrate(w, LH_OK);
    assert_int_equal(w->report.index, LH_INDEX_MISSING);
    assert_false(has_collection(w, "locks"));
    insert(w, "{\"workspace_id\": \"k\", \"expires_at\": 5}, {\"workspace_id\": \"k\", "
              "\"expires_at\": {\"soon\": 1}}, "
              "{\"workspace_id\": \"k\"}, {\"workspace_id\": 7, \"expires_at\": 1}");
    migrate(w, LH_OK);
    assert_int_equal(w->report.index, LH_INDEX_MISSING);
    assert_int_equal(w->report.scanned, 4);
    assert_int_equal(w->report.duplicate_keys, 1);
    assert_int_equal(w->report.removed, 2);
    assert_int_equal(w->report.malformed, 2);
    assert_int_equal(w->verdicts, 1);
    assert_string_equal(
        w->reason,
        "expires_at 1970-01-01T00:00:05.000Z is the newest of 3 (2 without a readable end)");
    assert_int_equal(count(w, "locks", "{}"), 4);
    assert_false(has_collection(w, "locks_archive"));
    assert_false(has_collection(w, "locks_migration"));
    assert_false(is_unique(w));
}

static void a_single_key_of_each_odd_kind_may_stay(void **state)
{
    world *w = *state;
    insert(w,
           "{\"n\": 1}, {\"workspace_id\": 1}, {\"workspace_id\": {}}, {\"workspace_id\": \"k\"}, "
           "{\"workspace_id\": \"k\"}");
    migrate(w, LH_CONFIG);
    expect_message(w, "(missing 1, int 1, object 1), and 3 of them are live");
    w->options.accept_foreign_keys = true;
    migrate(w, LH_OK);
    assert_int_equal(w->report.malformed, 3);
    assert_int_equal(w->report.removed, 1);
    assert_int_equal(count(w, "locks", "{}"), 4);
}

static void odd_keys_that_block_end_in_a_clear_error(void **state)
{
    world *w = *state;
    insert(w, "{\"_id\": 1}, {\"_id\": 2, \"workspace_id\": null}, {\"_id\": 3, \"workspace_id\": "
              "\"k\"}");
    migrate(w, LH_CONFIG);
    expect_message(w, "2 documents of");
    expect_message(w, "the _id 1");
    expect_message(w, "--quarantine");
    assert_int_equal(w->report.malformed, 2);
    assert_int_equal(w->report.index, LH_INDEX_MISSING);
    assert_int_equal(count(w, "locks", "{}"), 3);
    w->options.remove = false;
    migrate(w, LH_CONFIG);
    expect_message(w, "--quarantine");
}

static void quarantine_moves_every_odd_key(void **state)
{
    world *w = *state;
    insert(w, "{\"_id\": 1}, {\"_id\": 2, \"workspace_id\": null}, {\"_id\": 3, \"workspace_id\": "
              "\"k\"}, "
              "{\"_id\": 4, \"workspace_id\": [\"k\", \"z\"]}, {\"_id\": 5, \"workspace_id\": []}, "
              "{\"_id\": 6, "
              "\"workspace_id\": 3}, "
              "{\"_id\": 7, \"workspace_id\": {\"a\": 1}}, {\"_id\": 8, \"workspace_id\": \"k\", "
              "\"expires_at\": 1}, "
              "{\"_id\": 9, \"workspace_id\": true}");
    w->options.quarantine = true;
    migrate(w, LH_CONFIG);
    expect_message(w, "7 of the 7 documents");
    expect_message(w, "--even-live");
    w->options.even_live = true;
    migrate(w, LH_CONFIG);
    expect_message(w, "7 of the 9 documents");
    expect_message(w, "--even-most");
    assert_int_equal(count(w, "locks", "{}"), 9);
    w->options.even_most = true;
    migrate(w, LH_OK);
    assert_int_equal(w->report.quarantined, 7);
    assert_int_equal(w->report.removed, 1);
    assert_int_equal(w->report.archived, 8);
    assert_int_equal(count(w, "locks", "{}"), 1);
    assert_int_equal(count(w, "locks", "{\"_id\": 8}"), 1);
    assert_int_equal(
        count(w, "locks_archive",
              "{\"reason\": \"quarantine\", \"survivor\": null, \"deleted\": {\"$gt\": {\"$date\": "
              "\"2020-01-01T00:00:00Z\"}}}"),
        7);
    assert_true(is_unique(w));
}

static void quarantine_moves_odd_keys_that_do_not_block_too(void **state)
{
    world *w = *state;
    insert(w, "{\"_id\": 1, \"expires_at\": 1}, {\"_id\": 3, \"workspace_id\": \"k\"}");
    w->options.quarantine = true;
    migrate(w, LH_OK);
    assert_int_equal(w->report.index, LH_INDEX_CREATED);
    assert_int_equal(w->report.quarantined, 1);
    assert_int_equal(count(w, "locks", "{}"), 1);
}

static void keys_differ_by_bytes(void **state)
{
    world *w = *state;
    insert(w, "{\"workspace_id\": \"A\"}, {\"workspace_id\": \"a\"}, {\"workspace_id\": \"a \"}, "
              "{\"workspace_id\": "
              "\"a\\u0000\"}, "
              "{\"workspace_id\": \"\"}, {\"workspace_id\": \"\\u00e9\"}, {\"workspace_id\": "
              "\"e\\u0301\"}");
    command(w,
            "{\"createIndexes\": \"locks\", \"indexes\": [{\"key\": {\"workspace_id\": 1}, "
            "\"name\": \"" INDEX "\"}]}",
            true);
    migrate(w, LH_OK);
    assert_int_equal(w->report.removed, 0);
    assert_int_equal(count(w, "locks", "{}"), 7);
    assert_true(is_unique(w));
}

static void a_key_with_more_documents_than_fit_in_memory_at_once(void **state)
{
    world *w = *state;
    enum { MANY = 12345 };
    mongoc_collection_t *c = mongoc_client_get_collection(w->client, w->db, "locks");
    mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(c, NULL);
    for (int i = 0; i < MANY; i++) {
        bson_t *document = BCON_NEW("_id", BCON_INT32(i), "workspace_id", "large", "expires_at",
                                    BCON_INT32((i * 7919) % MANY), "token", BCON_INT32(i));
        mongoc_bulk_operation_insert(bulk, document);
        bson_destroy(document);
    }
    assert_true(mongoc_bulk_operation_execute(bulk, NULL, NULL) != 0);
    mongoc_bulk_operation_destroy(bulk);
    mongoc_collection_destroy(c);
    insert(w, "{\"workspace_id\": \"a\"}, {\"workspace_id\": \"a\"}, {\"workspace_id\": \"z\"}, "
              "{\"workspace_id\": \"z\"}");
    migrate(w, LH_OK);
    assert_int_equal(w->report.scanned, MANY + 4);
    assert_int_equal(w->report.duplicate_keys, 3);
    assert_int_equal(w->report.removed, MANY + 1);
    assert_int_equal(w->report.archived, MANY + 1);
    assert_int_equal(w->verdicts, 3);
    char winner[96];
    (void)snprintf(winner, sizeof winner,
                   "{\"workspace_id\": \"large\", \"expires_at\": %d, \"token\": %d}", MANY - 1,
                   MANY - 1);
    assert_int_equal(count(w, "locks", winner), 1);
    assert_int_equal(count(w, "locks", "{}"), 3);
    assert_int_equal(count(w, "locks_archive", "{\"deleted\": null}"), 0);
}

static void large_documents_go_in_small_batches(void **state)
{
    world *w = *state;
    mongoc_collection_t *c = mongoc_client_get_collection(w->client, w->db, "locks");
    char *filling = malloc(1 << 20);
    assert_non_null(filling);
    memset(filling, 'x', (1 << 20) - 1);
    filling[(1 << 20) - 1] = '\0';
    for (int i = 0; i < 24; i++) {
        bson_t *document =
            BCON_NEW("_id", BCON_INT32(i), "workspace_id", "k", "filling", BCON_UTF8(filling));
        assert_true(mongoc_collection_insert_one(c, document, NULL, NULL, NULL));
        bson_destroy(document);
    }
    free(filling);
    mongoc_collection_destroy(c);
    migrate(w, LH_OK);
    assert_int_equal(w->report.removed, 23);
    assert_int_equal(count(w, "locks_archive",
                           "{\"deleted\": {\"$gt\": {\"$date\": \"2020-01-01T00:00:00Z\"}}}"),
                     23);
    assert_int_equal(count(w, "locks", "{\"_id\": 23}"), 1);
}

static void a_run_that_is_stopped_anywhere_is_finished_by_the_next(void **state)
{
    world *w = *state;
    for (int stop = 1; stop < 12; stop++) {
        command(w, "{\"dropDatabase\": 1}", true);
        insert(w, "{\"_id\": 1, \"workspace_id\": \"k\"}, {\"_id\": 2, \"workspace_id\": \"k\"}, "
                  "{\"_id\": 3, \"expires_at\": 1}");
        w->stop_at = stop;
        w->progress = 0;
        int outcome = lh_migrate(w->store, &w->options, &w->report, &w->error);
        bool stopped = outcome == LH_STOPPED;
        assert_true(stopped || outcome == LH_OK);
        w->stop_at = 0;
        migrate(w, LH_OK);
        assert_true(is_unique(w));
        assert_int_equal(count(w, "locks", "{\"_id\": {\"$in\": [2, 3]}}"), 2);
        assert_int_equal(count(w, "locks", "{}"), 2);
        assert_int_equal(count(w, "locks_archive",
                               "{\"deleted\": {\"$gt\": {\"$date\": \"2020-01-01T00:00:00Z\"}}}"),
                         1);
        assert_int_equal(count(w, "locks_migration", "{}"), 0);
        if (!stopped)
            break;
    }
}

/* What a kill between deleting and marking leaves. */
static void an_entry_that_was_not_marked_is_marked_by_the_next_run(void **state)
{
    world *w = *state;
    insert(w, "{\"_id\": 2, \"workspace_id\": \"k\"}, {\"_id\": 3, \"workspace_id\": \"k\"}");
    command(
        w,
        "{\"insert\": \"locks_archive\", \"documents\": ["
        "{\"_id\": {\"id\": 1, \"hash\": \"a\"}, \"document\": {\"_id\": 1}, \"deleted\": null}, "
        "{\"_id\": {\"id\": 3, \"hash\": \"b\"}, \"document\": {\"_id\": 3}, \"deleted\": null}]}",
        true);
    migrate(w, LH_OK);
    assert_int_equal(
        count(w, "locks_archive",
              "{\"_id.id\": 1, \"deleted\": {\"$gt\": {\"$date\": \"2020-01-01T00:00:00Z\"}}}"),
        1);
    assert_int_equal(count(w, "locks_archive", "{\"_id.id\": 3, \"deleted\": null}"), 1);
}

static void another_migrator_is_waited_for(void **state)
{
    world *w = *state;
    insert(w, "{\"workspace_id\": \"k\"}, {\"workspace_id\": \"k\"}");
    command(w,
            "{\"insert\": \"locks_migration\", \"documents\": [{\"_id\": \"locks:dedupe\", "
            "\"holder\": \"another\", "
            "\"expires_at\": {\"$date\": \"2199-01-01T00:00:00Z\"}}]}",
            true);
    w->options.timeout_ms = 1500;
    migrate(w, LH_UNREACHABLE);
    expect_message(w, "wait");
    assert_true(w->report.waited_ms > 0);
    assert_true(w->report.elapsed_ms >= w->report.waited_ms);
    assert_int_equal(count(w, "locks", "{}"), 2);
    command(w,
            "{\"update\": \"locks_migration\", \"updates\": [{\"q\": {}, \"u\": {\"$set\": "
            "{\"expires_at\": "
            "{\"$date\": \"2020-01-01T00:00:00Z\"}}}}]}",
            true);
    w->options.timeout_ms = 60000; /* the lease is free: nothing but the work takes time */
    migrate(w, LH_OK);
    assert_int_equal(w->report.index, LH_INDEX_CONVERTED);
    assert_int_equal(count(w, "locks_migration", "{}"), 0);
}

static void what_is_no_ordinary_collection_is_refused(void **state)
{
    world *w = *state;
    static const char *const kinds[][2] = {
        {"{\"create\": \"locks\", \"capped\": true, \"size\": 4096}", "capped"},
        {"{\"create\": \"locks\", \"viewOn\": \"others\", \"pipeline\": []}", "view"},
        {"{\"create\": \"locks\", \"timeseries\": {\"timeField\": \"t\"}}", "time-series"},
        {"{\"create\": \"locks\", \"collation\": {\"locale\": \"en\", \"strength\": 2}}",
         "collation"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        command(w, kinds[i][0], true);
        migrate(w, LH_CONFIG);
        expect_message(w, kinds[i][1]);
        assert_int_equal(w->report.index, LH_INDEX_MISSING);
        command(w, "{\"drop\": \"locks\"}", true);
    }
}

static void an_index_of_our_name_with_other_options_is_refused(void **state)
{
    world *w = *state;
    static const char *const indexes[] = {
        "{\"key\": {\"other\": 1}, \"name\": \"" INDEX "\"}",
        "{\"key\": {\"workspace_id\": 1}, \"name\": \"" INDEX
        "\", \"unique\": true, \"sparse\": true}",
        "{\"key\": {\"workspace_id\": 1}, \"name\": \"" INDEX
        "\", \"unique\": true, \"collation\": {\"locale\": \"en\"}}",
        "{\"key\": {\"workspace_id\": 1}, \"name\": \"" INDEX
        "\", \"unique\": true, \"partialFilterExpression\": {\"a\": 1}}",
    };
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        char text[512];
        (void)snprintf(text, sizeof text, "{\"createIndexes\": \"locks\", \"indexes\": [%s]}",
                       indexes[i]);
        command(w, text, true);
        migrate(w, LH_CONFIG);
        expect_message(w, INDEX);
        command(w, "{\"drop\": \"locks\"}", true);
    }
}

static void another_plain_index_on_the_key_does_not_hinder(void **state)
{
    world *w = *state;
    insert(w, "{\"workspace_id\": \"k\"}, {\"workspace_id\": \"k\"}");
    command(w,
            "{\"createIndexes\": \"locks\", \"indexes\": [{\"key\": {\"workspace_id\": 1}, "
            "\"name\": \"workspace_id_1\"}]}",
            true);
    migrate(w, LH_OK);
    assert_int_equal(w->report.index, LH_INDEX_CONVERTED); /* that one: two of a kind cannot be */
    assert_int_equal(w->report.removed, 1);
    migrate(w, LH_OK);
    assert_int_equal(w->report.index, LH_INDEX_PRESENT);
    command(w, "{\"drop\": \"locks\"}", true);
    insert(w, "{\"workspace_id\": \"k\"}, {\"workspace_id\": \"k\"}");
    command(w,
            "{\"createIndexes\": \"locks\", \"indexes\": [{\"key\": {\"workspace_id\": 1}, "
            "\"name\": \"mine\", "
            "\"sparse\": true}]}",
            true);
    migrate(w, LH_OK); /* the server lets this one stand beside ours */
    assert_true(is_unique(w));
}

/* As shells and drivers make it: the direction is any number, what is off is said, and others stand
 * beside it. */
static void a_plain_index_on_the_key_may_be_written_otherwise(void **state)
{
    world *w = *state;
    static const char *const indexes[] = {
        "{\"key\": {\"workspace_id\": 1.0}, \"name\": \"mine\"}",
        "{\"key\": {\"workspace_id\": {\"$numberLong\": \"1\"}}, \"name\": \"mine\"}",
        "{\"key\": {\"workspace_id\": 1}, \"name\": \"mine\", \"sparse\": false, \"hidden\": "
        "false}",
        ("{\"key\": {\"workspace_id\": 1}, \"name\": \"beside\", \"sparse\": true}, "
         "{\"key\": {\"workspace_id\": 1}, \"name\": \"mine\"}"),
    };
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        char text[512];
        insert(w, "{\"workspace_id\": \"k\"}, {\"workspace_id\": \"k\"}");
        (void)snprintf(text, sizeof text, "{\"createIndexes\": \"locks\", \"indexes\": [%s]}",
                       indexes[i]);
        command(w, text, true);
        migrate(w, LH_OK);
        assert_int_equal(w->report.index, LH_INDEX_CONVERTED);
        assert_int_equal(w->report.removed, 1);
        migrate(w, LH_OK);
        assert_int_equal(w->report.index, LH_INDEX_PRESENT);
        command(w, "{\"drop\": \"locks\"}", true);
    }
}

static void grants_are_possible_afterwards(void **state)
{
    world *w = *state;
    insert(w, "{\"workspace_id\": \"k\", \"id\": \"x\", \"expires_at\": 5}, {\"workspace_id\": "
              "\"k\", \"id\": \"y\", "
              "\"expires_at\": 4}");
    migrate(w, LH_OK);
    lh_lease *lease = NULL;
    int outcome = lh_acquire(w->store, "k", NULL, &lease, NULL, &w->error);
    if (outcome != LH_OK)
        fail_msg("%s", w->error.message);
    lh_lease_free(lease);
}

int main(void)
{
    if (!getenv("LEASEHOLD_TEST_URI")) {
        (void)fprintf(stderr, "LEASEHOLD_TEST_URI is not set\n");
        return 77;
    }
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_missing_collection_gets_the_index),
        T(the_second_run_is_one_look),
        T(without_duplicates_the_index_is_created_at_once),
        T(ends_of_all_types_are_compared_as_instants),
        T(no_readable_end_is_oldest),
        T(a_tie_goes_to_the_highest_id_in_the_servers_order),
        T(losers_are_archived_whole_and_marked),
        T(the_archive_can_be_named_or_left_out),
        T(the_survivor_inherits_the_highest_token),
        T(without_leave_to_remove_duplicates_are_reported),
        T(an_interrupted_conversion_is_finished_without_leave_to_remove),
        T(a_dry_run_changes_nothing),
        T(a_single_key_of_each_odd_kind_may_stay),
        T(odd_keys_that_block_end_in_a_clear_error),
        T(quarantine_moves_every_odd_key),
        T(quarantine_moves_odd_keys_that_do_not_block_too),
        T(keys_differ_by_bytes),
        T(a_key_with_more_documents_than_fit_in_memory_at_once),
        T(large_documents_go_in_small_batches),
        T(a_run_that_is_stopped_anywhere_is_finished_by_the_next),
        T(an_entry_that_was_not_marked_is_marked_by_the_next_run),
        T(another_migrator_is_waited_for),
        T(what_is_no_ordinary_collection_is_refused),
        T(an_index_of_our_name_with_other_options_is_refused),
        T(another_plain_index_on_the_key_does_not_hinder),
        T(a_plain_index_on_the_key_may_be_written_otherwise),
        T(grants_are_possible_afterwards),
    };
    return cmocka_run_group_tests_name("migrate", tests, NULL, NULL);
}

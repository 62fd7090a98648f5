/* SPDX-License-Identifier: Apache-2.0
 * Our field names with other programs' meanings: what counts as missing, what cannot be read, and
 * what is never read but overwritten. */
#include "live.h"

static const char *const values[] = {
    "null",
    "false",
    "true",
    "{'$undefined': true}",
    "0",
    "-1",
    "{'$numberDouble': '2.5'}",
    "{'$numberDouble': 'NaN'}",
    "{'$numberDecimal': '2.5'}",
    "''",
    "'x'",
    "'$id'",
    "{}",
    "{'a': 1}",
    "[]",
    "[{'a': 1}]",
    "{'$oid': '64b000000000000000000001'}",
    "{'$date': '2020-01-01T00:00:00Z'}",
    "{'$timestamp': {'t': 2000000000, 'i': 1}}",
    "{'$regularExpression': {'pattern': 'a', 'options': ''}}",
    "{'$minKey': 1}",
    "{'$maxKey': 1}",
};
#define VALUES (sizeof values / sizeof *values)

/* What no command decides by: whatever stands there, a grant puts ours in its place (but for
 * user_id, which is not ours). */
static const char *const never_read[] = {"owner", "user_id",     "mode",       "ttl_ms", "beat",
                                         "v",     "acquired_at", "renewed_at", "host",   "pid",
                                         "proc",  "purpose",     "wake",       "id",     "released",
                                         "now",   "more",        "maps_ok"};
#define NEVER_READ (sizeof never_read / sizeof *never_read)

static void key_of(char key[64], const char *field, size_t value)
{
    (void)snprintf(key, 64, "%s-%zu", field, value);
}

static void put_odd(ground *g, const char *field, size_t value)
{
    char key[64];
    key_of(key, field, value);
    do_command(g, g->db,
               json("{'insert': '%s', 'writeConcern': {'w': 1}, 'documents': [{'workspace_id': "
                    "'%s', 'expires_at': "
                    "{'$date': '2020-01-01T00:00:00Z'}, '%s': %s}]}",
                    LOCKS, key, field, values[value]));
}

/* All documents are as Leasehold writes them. */
static void expect_ours(ground *g)
{
    bson_error_t error;
    bson_t *odd =
        json("{'$nor': [{'$jsonSchema': {'required': ['id', 'owner', 'token', 'released', "
             "'purpose', 'proc'], 'properties': "
             "{"
             "'id': {'bsonType': 'string'}, 'owner': {'enum': ['tester']}, 'mode': {'enum': "
             "['exclusive', 'shared']},"
             "'token': {'bsonType': 'long', 'minimum': 1}, 'acquired_at': {'bsonType': 'date'},"
             "'renewed_at': {'bsonType': 'date'}, 'expires_at': {'bsonType': 'date'}, 'ttl_ms': "
             "{'bsonType': 'long'},"
             "'beat': {'bsonType': 'long'}, 'v': {'enum': [1]}, 'host': {'bsonType': 'string'}, "
             "'pid': {'bsonType': 'long'},"
             "'purpose': {'bsonType': ['null', 'string']}, 'proc': {'bsonType': 'string'}, "
             "'released': {'bsonType': "
             "'object'},"
             "'shared': {'bsonType': 'object'}, 'waiters': {'bsonType': 'object'}}}}]}");
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(g->locks, odd, NULL, NULL);
    const bson_t *document;
    bool good = true;
    while (mongoc_cursor_next(cursor, &document)) {
        char *text = bson_as_canonical_extended_json(document, NULL);
        (void)fprintf(stderr, "%s\n", text);
        bson_free(text);
        good = false;
    }
    assert_false(mongoc_cursor_error(cursor, &error));
    assert_true(good);
    mongoc_cursor_destroy(cursor);
    bson_destroy(odd);
}

static int count_held(void *arg, const lh_record *record)
{
    assert_int_equal(record->state, LH_HELD);
    assert_string_equal(lh_record_holder(record, 0)->owner, "tester");
    ++*(size_t *)arg;
    return 0;
}

static void expect_all_held(ground *g, size_t n, int mode)
{
    size_t listed = 0;
    lh_stats_report *stats = NULL;
    expect(g, LH_OK, lh_list(g->store, NULL, count_held, &listed, &g->error));
    expect(g, LH_OK, lh_stats(g->store, NULL, &stats, &g->error));
    assert_int_equal(listed, n);
    assert_int_equal(mode == LH_SHARED ? stats->shared : stats->exclusive, n);
    lh_stats_free(stats);
    expect_ours(g);
}

static void test_what_is_never_read_is_overwritten(void **state)
{
    ground *g = *state;
    for (size_t f = 0; f < NEVER_READ; f++) {
        char keys[VALUES][64];
        const char *all[VALUES];
        lh_lease *leases[VALUES] = {NULL};
        for (size_t v = 0; v < VALUES; v++) {
            put_odd(g, never_read[f], v);
            key_of(keys[v], never_read[f], v);
            all[v] = keys[v];
        }
        assert_int_equal(state_of(g, keys[f]), LH_FREE);
        lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
        o.by_hand = true;
        o.ttl_ms = HOUR_MS;
        o.mode = f % 3 ? LH_EXCLUSIVE : LH_SHARED;
        expect(g, LH_OK, lh_acquire_many(g->store, all, VALUES, &o, leases, NULL, &g->error));
        for (size_t v = 0; v < VALUES; v++)
            lh_lease_free(leases[v]);
    }
    expect_ours(g);
}

typedef struct {
    const char *field;
    size_t readable[8]; /* of `values`, so many from the first on … */
    size_t n;
} reading;

static bool is_readable(const reading *r, size_t value)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->readable[i] == value)
            return true;
    return false;
}

/* null, false and undefined are missing; a number is a token; an empty object is a map. The rest is
 * held until a break. */
static void test_what_is_read_counts_as_missing_or_is_broken(void **state)
{
    ground *g = *state;
    static const reading readings[] = {
        {"token", {0, 1, 3, 4, 6}, 5}, {"shared", {0, 1, 3, 12}, 4}, {"waiters", {0, 1, 3, 12}, 4}};
    lh_break_options breaking = LH_BREAK_OPTIONS_INIT;
    breaking.reason = "test";
    for (int mode = LH_EXCLUSIVE; mode <= LH_SHARED; mode++) {
        do_command(g, g->db, json("{'delete': '%s', 'deletes': [{'q': {}, 'limit': 0}]}", LOCKS));
        for (size_t f = 0; f < 3; f++)
            for (size_t v = 0; v < VALUES; v += mode == LH_SHARED ? 3 : 1) {
                char key[64];
                key_of(key, readings[f].field, v);
                put_odd(g, readings[f].field, v);
                if (!is_readable(&readings[f], v)) {
                    expect_busy(g, key, mode, LH_WHY_MALFORMED);
                    assert_int_equal(state_of(g, key), LH_MALFORMED);
                    expect(g, LH_OK, lh_break(g->store, key, &breaking, NULL, &g->error));
                }
                lh_lease *lease = take_as(g, key, mode, HOUR_MS, NULL);
                if (v % 4 == 0)
                    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
                lh_lease_free(lease);
            }
        expect_all_held(g, mode == LH_SHARED ? VALUES + 2 : 3 * VALUES, mode);
    }
}

/* No end that anybody could wait for: held, as with null, until a break. */
static void test_an_end_that_is_false_is_none(void **state)
{
    ground *g = *state;
    static const char *const ends[] = {"null", "false", "{'$undefined': true}"};
    for (size_t i = 0; i < 3; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%zu", i);
        put(g, json("{'workspace_id': '%s', 'id': 'x', 'expires_at': %s}", key, ends[i]));
        expect_busy(g, key, LH_EXCLUSIVE, LH_WHY_HELD);
        lh_record *record = status_of(g, key);
        assert_true(record->state == LH_HELD &&
                    lh_record_holder(record, 0)->remaining_ms == LH_NEVER);
        lh_record_free(record);
        lh_break_options breaking = LH_BREAK_OPTIONS_INIT;
        breaking.reason = "test";
        expect(g, LH_OK, lh_break(g->store, key, &breaking, NULL, &g->error));
        give(g, take(g, key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_what_is_never_read_is_overwritten),
        live_test(test_what_is_read_counts_as_missing_or_is_broken),
        live_test(test_an_end_that_is_false_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

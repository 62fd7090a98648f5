/* SPDX-License-Identifier: Apache-2.0
 * Invariant 9: no grant before the unique index was seen; what is wrong with an index or a
 * collection is said by name. */
#include "live.h"

#include "base/clock.h"
#include "store/store.h"

#define KEY "'key': {'workspace_id': 1}"

static void create_index(ground *g, const char *options)
{
    do_command(g, g->db, json("{'createIndexes': '%s', 'indexes': [{%s}]}", LOCKS, options));
}

static bool index_is_there(ground *g)
{
    bson_t *reply = run_command(g, g->db, json("{'listIndexes': '%s'}", LOCKS));
    assert_non_null(reply);
    bool there = false;
    char path[48];
    for (int i = 0; i < 10; i++) {
        (void)snprintf(path, sizeof path, "cursor.firstBatch.%d.name", i);
        if (strcmp(text_at(reply, path), "workspace_id_unique") != 0)
            continue;
        (void)snprintf(path, sizeof path, "cursor.firstBatch.%d.unique", i);
        there = has(reply, path);
    }
    bson_destroy(reply);
    return there;
}

/* The first acquire does not let it pass. */
static void expect_refused(ground *g, const char *says)
{
    lh_store_options options = store_options(g);
    lh_lease *lease = NULL;
    int64_t n = count_documents(g);
    options.at_open = LH_AT_OPEN_NOTHING;
    lh_store *store = open_store_with(g, &options);
    expect(g, LH_CONFIG, lh_acquire(store, "k", NULL, &lease, NULL, &g->error));
    expect_says(g, says);
    assert_null(lease);
    assert_true(count_documents(g) == n);
    close_later(store);
}

static void test_a_missing_collection_just_gets_it(void **state)
{
    ground *g = *state;
    g->store = open_store(g);
    give(g, take(g, "k"));
    assert_true(index_is_there(g));
}

static void test_an_empty_collection_just_gets_it(void **state)
{
    ground *g = *state;
    do_command(g, g->db, json("{'create': '%s'}", LOCKS));
    lh_store_options options = store_options(g);
    options.at_open = LH_AT_OPEN_NOTHING;
    g->store = open_store_with(g, &options);
    give(g, take(g, "k"));
    assert_true(index_is_there(g));
}

/* A migration was killed, and the documents are gone since. */
static void test_an_empty_one_with_an_index_that_is_not_unique_is_to_be_migrated(void **state)
{
    ground *g = *state;
    create_index(g, "'name': 'workspace_id_unique', " KEY);
    expect_refused(g, "migrat");
    lh_store_options options = store_options(g);
    options.at_open = LH_AT_OPEN_MIGRATE;
    g->store = open_store_with(g, &options);
    give(g, take(g, "k"));
    assert_true(index_is_there(g));
}

static void test_documents_without_the_index_keep_everybody_out(void **state)
{
    ground *g = *state;
    put(g, json("{'workspace_id': 'a', 'id': '1'}"));
    put(g, json("{'workspace_id': 'a', 'id': '2'}"));
    expect_refused(g, "migrat");
    create_index(g, "'name': 'workspace_id_unique', " KEY); /* a migration began */
    expect_refused(g, "migrat");
    lh_store_options options = store_options(g);
    /* nor does opening with a look */
    expect(g, LH_CONFIG, lh_store_open(&options, &g->store, &g->error));
    expect_says(g, "migrat");
    assert_null(g->store);
}

static void test_an_index_of_another_name_does_as_well(void **state)
{
    ground *g = *state;
    create_index(g, "'name': 'old_unique', 'unique': true, " KEY);
    put(g, json("{'workspace_id': 'a', 'id': '1', 'expires_at': null}"));
    g->store = open_store(g);
    give(g, take(g, "k"));
    assert_false(index_is_there(g));
}

static void test_wrong_options_are_refused_by_name(void **state)
{
    ground *g = *state;
    static const char *const wrong[][2] = {
        {"'unique': true, 'collation': {'locale': 'en', 'strength': 2}, " KEY, "collation"},
        {"'unique': true, 'sparse': true, " KEY, "sparse"},
        {"'unique': true, 'partialFilterExpression': {'expires_at': {'$exists': true}}, " KEY,
         "partial"},
        {"'unique': true, 'key': {'workspace_id': 1, 'id': 1}", "other fields"},
        {"'unique': true, 'key': {'id': 1}", "other fields"},
        {"'unique': true, 'key': {'workspace_id': -1}", "other fields"},
        {"'expireAfterSeconds': 60, " KEY, "expireAfterSeconds"},
        {"'unique': true, 'hidden': true, " KEY, "hidden"},
        {"'key': {'workspace_id': 'hashed'}", "other fields"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char options[256];
        (void)snprintf(options, sizeof options, "'name': 'workspace_id_unique', %s", wrong[i][0]);
        create_index(g, options);
        put(g, json("{'workspace_id': 'a', 'id': '1'}"));
        expect_refused(g, wrong[i][1]);
        expect_says(g, "workspace_id_unique");
        do_command(g, g->db, json("{'drop': '%s'}", LOCKS));
    }
}

static void test_a_view_or_capped_collection_is_refused(void **state)
{
    ground *g = *state;
    do_command(g, g->db, json("{'create': '%s', 'viewOn': 'other', 'pipeline': []}", LOCKS));
    lh_store_options options = store_options(g);
    lh_store *store = NULL;
    expect(g, LH_CONFIG, lh_store_open(&options, &store, &g->error));
    expect_says(g, "view");
    do_command(g, g->db, json("{'drop': '%s'}", LOCKS));
    do_command(g, g->db, json("{'create': '%s', 'capped': true, 'size': 100000}", LOCKS));
    options.at_open = LH_AT_OPEN_MIGRATE;
    expect(g, LH_CONFIG, lh_store_open(&options, &store, &g->error));
    expect_says(g, "capped");
    options.at_open = LH_AT_OPEN_VERIFY;
    expect(g, LH_CONFIG, lh_store_open(&options, &store, &g->error));
    expect_says(g, "capped");
    assert_null(store);
}

static void expect_two_keys(ground *g)
{
    lh_store_options options = store_options(g);
    int outcome = lh_store_open(&options, &g->store, &g->error);
    if (outcome == LH_CONFIG) {
        expect_says(g, "collation");
        return;
    }
    expect(g, LH_OK, outcome);
    lh_lease *upper = take(g, "A"), *lower = take(g, "a");
    assert_true(lh_lease_token(upper) > 0 && lh_lease_token(lower) > 0);
    expect(g, LH_OK, lh_lease_renew(lower, 0, NULL, &g->error));
    give(g, upper);
    assert_int_equal(state_of(g, "a"), LH_HELD);
    assert_int_equal(state_of(g, "A"), LH_FREE);
    give(g, lower);
}

/* With strength 2 "A" and "a" would be one key: refused, or right. */
static void test_a_collation_of_the_collection_makes_no_two_keys_one(void **state)
{
    ground *g = *state;
    do_command(g, g->db,
               json("{'create': '%s', 'collation': {'locale': 'en', 'strength': 2}}", LOCKS));
    expect_two_keys(g);
}

/* With the index made by hand, an acquire would still compare by the collection's collation. */
static void test_nor_does_one_with_the_right_index(void **state)
{
    ground *g = *state;
    do_command(g, g->db,
               json("{'create': '%s', 'collation': {'locale': 'en', 'strength': 2}}", LOCKS));
    create_index(
        g,
        "'name': 'workspace_id_unique', 'unique': true, 'collation': {'locale': 'simple'}, " KEY);
    put(g, json("{'workspace_id': 'seed', 'id': '1'}"));
    expect_two_keys(g);
}

static void test_an_index_dropped_under_a_running_store_is_noticed(void **state)
{
    ground *g = *state;
    g->store = open_store(g);
    give(g, take(g, "a"));
    do_command(g, g->db, json("{'dropIndexes': '%s', 'index': 'workspace_id_unique'}", LOCKS));
    /* As if the last look was a while ago (it is repeated once a minute). */
    atomic_store(&g->store->index_seen, lh_clock_ms() - 61000);
    lh_lease *lease = NULL;
    expect(g, LH_CONFIG, lh_acquire(g->store, "fresh", NULL, &lease, NULL, &g->error));
    assert_null(lease);
    assert_int_equal(state_of(g, "fresh"), LH_FREE); /* given back */
    expect(g, LH_OK, lh_migrate(g->store, NULL, NULL, &g->error));
    give(g, take(g, "fresh"));
}

static void test_a_collection_dropped_under_a_running_store_is_served_again(void **state)
{
    ground *g = *state;
    g->store = open_store(g);
    lh_lease *lease = take(g, "a");
    do_command(g, g->db, json("{'drop': '%s'}", LOCKS));
    expect(g, LH_LOST, lh_lease_renew(lease, 0, NULL, &g->error));
    lh_lease_free(lease);
    lease = take(g, "a"); /* `_id` is the key: two first inserts collide even now */
    expect_busy(g, "a", LH_EXCLUSIVE, LH_WHY_HELD);
    give(g, lease);
}

/* By an index with expireAfterSeconds the server deletes what is held, or only what has ended: the
 * grace decides, and a second. */
static bool is_newer_than_6(ground *g)
{
    bson_t *hello = run_command(g, "admin", json("{'hello': 1}"));
    assert_non_null(hello);
    bool newer = number_at(hello, "maxWireVersion") > 17;
    bson_destroy(hello);
    return newer;
}

static void test_an_index_that_deletes_what_is_held_lets_nobody_in(void **state)
{
    ground *g = *state;
    static const struct {
        const char *index;
        int64_t grace_ms;
        bool safe;
    } cases[] = {
        {"'key': {'acquired_at': 1}, 'expireAfterSeconds': 3600", 500, false},
        {"'key': {'renewed_at': -1}, 'expireAfterSeconds': 2147483647", 500, false},
        {"'key': {'created_at': 1}, 'expireAfterSeconds': 3600", 500, false},
        {"'key': {'released.at': 1}, 'expireAfterSeconds': 3600", 500, false},
        {"'key': {'waiters.x.beat_at': 1}, 'expireAfterSeconds': 3600", 500, false},
        {"'key': {'shared.x.expires_at': 1}, 'expireAfterSeconds': 3600", 500, false},
        {"'key': {'foreign': 1}, 'expireAfterSeconds': 3600", 500, false},
        {"'key': {'foreign': 'hashed'}, 'expireAfterSeconds': 3600", 500, false},
        {"'key': {'expires_at': 'hashed'}, 'expireAfterSeconds': 3600", 500, false},
        {"'key': {'acquired_at': 1}, 'expireAfterSeconds': 3600, 'hidden': true", 500, false},
        {"'key': {'acquired_at': 1}, 'expireAfterSeconds': 3600, 'sparse': true", 500, false},
        {"'key': {'acquired_at': 1}, 'expireAfterSeconds': 3600, 'partialFilterExpression': "
         "{'foreign': 1}",
         500, false},
        {"'key': {'workspace_id': 1}, 'expireAfterSeconds': 3600", 500, false},
        {"'key': {'expires_at': 1}, 'expireAfterSeconds': 0", 500, false},
        {"'key': {'expires_at': 1}, 'expireAfterSeconds': 0.9", 500, false},
        {"'key': {'expires_at': 1}, 'expireAfterSeconds': 0", 0, false},
        {"'key': {'expires_at': 1}, 'expireAfterSeconds': 1", 0, true},
        {"'key': {'expires_at': 1}, 'expireAfterSeconds': 1", 1000, true},
        {"'key': {'expires_at': 1}, 'expireAfterSeconds': 1.9", 1001, false},
        {"'key': {'expires_at': 1}, 'expireAfterSeconds': 2", 1001, true},
        {"'key': {'expires_at': -1}, 'expireAfterSeconds': {'$numberLong': '60'}", 60000, true},
        {"'key': {'expires_at': 1.5}, 'expireAfterSeconds': {'$numberDecimal': '59'}", 60000,
         false},
        {"'key': {'expires_at': 1}, 'expireAfterSeconds': 2147483647, 'hidden': true", 60000, true},
        {"'key': {'expires_at': 1}", 500, true},
        /* the last one: MongoDB 6.0 makes it 68 years, newer servers refuse it */
        {"'key': {'expires_at': 1}, 'expireAfterSeconds': {'$numberDouble': 'NaN'}", 500, true},
    };
    lh_store_options options = store_options(g);
    lh_lease *lease = NULL;
    options.at_open = LH_AT_OPEN_NOTHING;
    size_t n = sizeof cases / sizeof *cases - (is_newer_than_6(g) ? 1 : 0);
    for (size_t i = 0; i < n; i++) {
        char index[300];
        (void)snprintf(index, sizeof index, "'name': 'ttl', %s", cases[i].index);
        create_index(g, index);
        options.clock_skew_ms = cases[i].grace_ms;
        lh_store *store = open_store_with(g, &options);
        int migrated = lh_migrate(store, NULL, NULL, &g->error);
        int acquired = lh_acquire(store, "k", NULL, &lease, NULL, &g->error);
        int wanted = cases[i].safe ? LH_OK : LH_CONFIG;
        if (migrated != wanted || acquired != wanted)
            fail_msg("%s: %s", cases[i].index, g->error.message);
        if (!cases[i].safe)
            expect_says(g, "dropIndex(\"ttl\")");
        else
            give(g, lease);
        close_later(store);
        do_command(g, g->db, json("{'drop': '%s'}", LOCKS));
    }
}

/* It is met by the first grant that an insert makes, a minute after the last look at the latest: a
 * lease that was deleted is not granted anew. */
static void test_an_index_that_comes_later_is_met_where_a_deleted_lease_is_inserted(void **state)
{
    ground *g = *state;
    lh_lease *lease = NULL;
    g->store = open_store(g);
    lh_lease *first = take(g, "k");
    create_index(g, "'key': {'acquired_at': 1}, 'name': 'ttl', 'expireAfterSeconds': 2");
    do_command(g, g->db,
               /* as the server does */
               json("{'delete': '%s', 'deletes': [{'q': {'_id': 'k'}, 'limit': 1}]}", LOCKS));
    atomic_store(&g->store->index_seen, lh_clock_ms() - 60001);
    expect(g, LH_CONFIG, lh_acquire(g->store, "k", NULL, &lease, NULL, &g->error));
    expect_says(g, "acquired_at");
    lh_lease_free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_test(test_a_missing_collection_just_gets_it),
        bare_test(test_an_empty_collection_just_gets_it),
        bare_test(test_an_empty_one_with_an_index_that_is_not_unique_is_to_be_migrated),
        bare_test(test_documents_without_the_index_keep_everybody_out),
        bare_test(test_an_index_of_another_name_does_as_well),
        bare_test(test_wrong_options_are_refused_by_name),
        bare_test(test_a_view_or_capped_collection_is_refused),
        bare_test(test_a_collation_of_the_collection_makes_no_two_keys_one),
        bare_test(test_nor_does_one_with_the_right_index),
        bare_test(test_an_index_dropped_under_a_running_store_is_noticed),
        bare_test(test_a_collection_dropped_under_a_running_store_is_served_again),
        bare_test(test_an_index_that_deletes_what_is_held_lets_nobody_in),
        bare_test(test_an_index_that_comes_later_is_met_where_a_deleted_lease_is_inserted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

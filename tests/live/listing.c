/* SPDX-License-Identifier: Apache-2.0
 * lh_list(): the keys in order, filtered, bounded, streamed; stored garbage among them. */
#include "live.h"

#include <pthread.h>

typedef struct {
    char keys[40][64];
    int n, stop_at;
} seen;

static int see(void *arg, const lh_record *record)
{
    seen *s = arg;
    if (s->n < 40)
        (void)snprintf(s->keys[s->n], sizeof s->keys[0], "%s", record->key);
    s->n++;
    return s->n == s->stop_at;
}

static seen list(ground *g, const lh_list_options *options)
{
    seen s = {.n = 0};
    expect(g, LH_OK, lh_list(g->store, options, see, &s, &g->error));
    return s;
}

static void expect_keys(const seen *s, const char *wanted)
{
    char all[2048] = "";
    for (int i = 0; i < s->n && i < 40; i++)
        (void)snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? " " : "",
                       s->keys[i]);
    assert_string_equal(all, wanted);
}

/* a/1 held by ann, a/2 free, a/3 expired, b/1 held by ben, b/2 malformed, b/3 shared by ann and
 * ben */
static void furnish(ground *g)
{
    lh_lease_free(take_as(g, "b/1", LH_EXCLUSIVE, 30000, "ben"));
    lh_lease_free(take_as(g, "a/1", LH_EXCLUSIVE, 30000, "ann"));
    give(g, take_as(g, "a/2", LH_EXCLUSIVE, 30000, "ann"));
    lh_lease_free(take_as(g, "a/3", LH_EXCLUSIVE, 30000, "cy"));
    end_it(g, "a/3", HOUR_MS);
    put(g, json("{'workspace_id': 'b/2', 'id': 'x', 'expires_at': 'soon'}"));
    lh_lease_free(take_as(g, "b/3", LH_SHARED, 30000, "ann"));
    lh_lease_free(take_as(g, "b/3", LH_SHARED, 30000, "ben"));
}

static void test_what_is_held_comes_in_the_order_of_keys(void **state)
{
    ground *g = *state;
    furnish(g);
    seen s = list(g, NULL);
    expect_keys(&s, "a/1 b/1 b/2 b/3");
    lh_list_options options = LH_LIST_OPTIONS_INIT;
    options.free_too = true;
    s = list(g, &options);
    expect_keys(&s, "a/1 a/2 a/3 b/1 b/2 b/3");
}

static void test_filters(void **state)
{
    ground *g = *state;
    furnish(g);
    lh_list_options options = LH_LIST_OPTIONS_INIT;
    options.owner = "ann";
    seen s = list(g, &options);
    expect_keys(&s, "a/1 b/3");
    options.owner = "ben";
    s = list(g, &options);
    expect_keys(&s, "b/1 b/3");
    options = (lh_list_options)LH_LIST_OPTIONS_INIT;
    options.expired = true;
    s = list(g, &options);
    expect_keys(&s, "a/3");
    options = (lh_list_options)LH_LIST_OPTIONS_INIT;
    options.malformed = true;
    s = list(g, &options);
    expect_keys(&s, "b/2");
    options = (lh_list_options)LH_LIST_OPTIONS_INIT;
    options.prefix = "b/";
    s = list(g, &options);
    expect_keys(&s, "b/1 b/2 b/3");
    options.limit = 2;
    s = list(g, &options);
    expect_keys(&s, "b/1 b/2");
    options = (lh_list_options)LH_LIST_OPTIONS_INIT;
    options.prefix = "c";
    s = list(g, &options);
    assert_int_equal(s.n, 0);
}

static void test_some_keys(void **state)
{
    ground *g = *state;
    furnish(g);
    static const char *const keys[] = {"b/3", "a/1", "a/2", "b/2", "none"};
    lh_list_options options = LH_LIST_OPTIONS_INIT;
    options.keys = keys;
    options.n_keys = 5;
    seen s = list(g, &options);
    expect_keys(&s, "a/1 b/2 b/3");
    options.free_too = true;
    s = list(g, &options);
    expect_keys(&s, "a/1 a/2 b/2 b/3");
    options.prefix = "b";
    s = list(g, &options);
    expect_keys(&s, "b/2 b/3");
    options.n_keys = 0;
    s = list(g, &options);
    assert_int_equal(s.n, 0);
    static const char *const bad[] = {"a", "b\nc", NULL};
    for (size_t n = 2; n <= 3; n++) {
        options = (lh_list_options)LH_LIST_OPTIONS_INIT;
        options.keys = n == 2 ? bad : bad + 2;
        options.n_keys = n == 2 ? 2 : 1;
        expect(g, LH_INVALID, lh_list(g->store, &options, see, &s, &g->error));
    }
    options.keys = NULL;
    expect(g, LH_INVALID, lh_list(g->store, &options, see, &s, &g->error));
    options.keys = keys;
    options.n_keys = LH_LIST_KEYS_MAX + 1;
    expect(g, LH_INVALID, lh_list(g->store, &options, see, &s, &g->error));
}

static void test_a_prefix_is_no_pattern(void **state)
{
    ground *g = *state;
    static const char *const keys[] = {"a.c",   "abc", "a.",        "a*",       "A.c",
                                       "a.c.d", "$a",  "\xc3\xa4x", "\xc3\xa4", "\xc3\xbcx"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        lh_lease_free(take(g, keys[i]));
    lh_list_options options = LH_LIST_OPTIONS_INIT;
    options.prefix = "a.";
    seen s = list(g, &options);
    expect_keys(&s, "a. a.c a.c.d");
    options.prefix = "$";
    s = list(g, &options);
    expect_keys(&s, "$a");
    options.prefix = "\xc3\xa4";
    s = list(g, &options);
    expect_keys(&s, "\xc3\xa4 \xc3\xa4x");
    options.prefix = "\xff";
    expect(g, LH_INVALID, lh_list(g->store, &options, see, &s, &g->error));
}

static void test_the_caller_may_stop(void **state)
{
    ground *g = *state;
    furnish(g);
    seen s = {.stop_at = 2};
    expect(g, LH_STOPPED, lh_list(g->store, NULL, see, &s, &g->error));
    assert_int_equal(s.n, 2);
}

static void put_many(ground *g, int n)
{
    mongoc_bulk_operation_t *bulk =
        mongoc_collection_create_bulk_operation_with_opts(g->locks, NULL);
    bson_error_t error;
    for (int i = 0; i < n; i++) {
        bson_t *d =
            json("{'workspace_id': 'k%05d', 'id': '%d', 'user_id': 'u', 'expires_at': null}", i, i);
        assert_true(mongoc_bulk_operation_insert_with_opts(bulk, d, NULL, &error));
        bson_destroy(d);
    }
    assert_true(mongoc_bulk_operation_execute(bulk, NULL, &error));
    mongoc_bulk_operation_destroy(bulk);
}

static void test_many_keys_are_streamed(void **state)
{
    ground *g = *state;
    put_many(g, 3000);
    seen s = list(g, NULL);
    assert_int_equal(s.n, 3000);
    lh_list_options options = LH_LIST_OPTIONS_INIT;
    options.limit = 1234;
    s = list(g, &options);
    assert_int_equal(s.n, 1234);
}

/* What was given away is not given again, so there is no second attempt. */
static void test_a_list_that_breaks_off_says_so(void **state)
{
    static const struct {
        const char *what;
        int outcome;
    } cases[] = {{"'errorCode': 13", LH_DENIED},
                 {"'errorCode': 8000", LH_SERVER},
                 {"'closeConnection': true", LH_UNREACHABLE}};
    ground *g = *state;
    put_many(g, 700);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        seen s = {.n = 0};
        break_commands(g, 1, "'getMore'", cases[i].what);
        expect(g, cases[i].outcome, lh_list(g->store, NULL, see, &s, &g->error));
        assert_in_range(s.n, 1, 699);
    }
    assert_int_equal(list(g, NULL).n, 700);
}

static void *list_often(void *arg)
{
    ground *g = arg;
    int64_t failed = 0;
    for (int i = 0; i < 5; i++) {
        seen s = {.n = 0};
        lh_error error = LH_ERROR_INIT;
        if (lh_list(g->store, NULL, see, &s, &error) != LH_OK || s.n != 2000) {
            (void)fprintf(stderr, "%d listed: %s\n", s.n, error.message);
            failed++;
        }
    }
    return failed ? g : NULL;
}

/* Each needs the server's session in which it began for all of its batches. */
static void test_many_threads_list_at_once(void **state)
{
    ground *g = *state;
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    put_many(g, 2000);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, list_often, g), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

/* Without the index, as before a migration: duplicates, and keys that are no strings. */
static void test_a_collection_before_its_migration_can_be_listed(void **state)
{
    ground *g = *state;
    put(g, json("{'workspace_id': 'twice', 'id': '1', 'expires_at': null}"));
    put(g, json("{'workspace_id': 'twice', 'id': '2', 'expires_at': null}"));
    put(g, json("{'workspace_id': {'$numberInt': '5'}, 'id': '3'}"));
    put(g, json("{'id': '4'}"));
    put(g, json("{'workspace_id': ['x', {'y': 1}], 'id': '5'}"));
    lh_store_options options = store_options(g);
    options.at_open = LH_AT_OPEN_NOTHING;
    g->store = open_store_with(g, &options);
    seen s = list(g, NULL);
    assert_int_equal(s.n, 5);
    assert_int_equal(state_of(g, "twice"), LH_HELD);
    lh_list_options malformed = LH_LIST_OPTIONS_INIT;
    malformed.malformed = true;
    s = list(g, &malformed);
    assert_int_equal(s.n, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_what_is_held_comes_in_the_order_of_keys),
        live_test(test_filters),
        live_test(test_some_keys),
        live_test(test_a_prefix_is_no_pattern),
        live_test(test_the_caller_may_stop),
        live_test(test_many_keys_are_streamed),
        live_test(test_a_list_that_breaks_off_says_so),
        live_test(test_many_threads_list_at_once),
        bare_test(test_a_collection_before_its_migration_can_be_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

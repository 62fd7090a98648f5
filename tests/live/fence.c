/* SPDX-License-Identifier: Apache-2.0
 * The fence in the caller's own document: every form of an update, every answer, and writes that
 * come late (invariant 10). */
#include <pthread.h>

#include "deed.h"

#define D "{'_id': 'd'}"

/* Takes the documents. */
static int fenced_write(ground *g, lh_lease *lease, bson_t *id, bson_t *update, bson_t *ret)
{
    int outcome = lh_fenced_write(lease, us.data, id, update, ret, &g->error);
    bson_destroy(id);
    bson_destroy(update);
    return outcome;
}

static int fenced_read(ground *g, lh_lease *lease, bson_t *id, int flags, bson_t *ret)
{
    int outcome = lh_fenced_read(lease, us.data, id, flags, ret, &g->error);
    bson_destroy(id);
    return outcome;
}

static void put_data(bson_t *document)
{
    bson_error_t why;
    assert_true(mongoc_collection_insert_one(us.data, document, NULL, NULL, &why));
    bson_destroy(document);
}

static void test_a_read_raises_the_fence_and_gives_the_document(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    put_data(json("{'_id': 'd', 'n': 7, 'who': {'name': 'ann'}}"));
    bson_t found;
    expect(g, LH_OK, fenced_read(g, lease, json(D), 0, &found));
    assert_int_equal(number_at(&found, "n"), 7);
    assert_string_equal(text_at(&found, "who.name"), "ann");
    assert_int_equal(number_at(&found, LH_FENCE), lh_lease_token(lease));
    int64_t first = number_at(&found, "fence_write");
    bson_destroy(&found);
    expect(g, LH_OK, fenced_read(g, lease, json(D), 0, NULL)); /* again, and it is a write again */
    assert_int_not_equal(n_of(g, "data", "d", "fence_write"), first);
    assert_int_equal(n_of(g, "data", "d", "n"), 7);
    give(g, lease);
}

static void test_every_form_of_update_keeps_the_fence(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    put_data(json("{'_id': 'd', 'n': 1, 'old': true}"));
    static const struct {
        const char *update;
        int64_t n;
        bool old;
    } forms[] = {
        {"{'$set': {'n': 2, 'other': '$n'}}", 2, true},
        {"{'$inc': {'n': 1}}", 3, true},
        {"{'$inc': {'n': 1}, '$set': {'other': {'fence': 9}}, '$unset': {'gone': ''}}", 4, true},
        {"{'0': {'$set': {'n': {'$add': ['$n', 1]}}}}", 5, true},
        {"{'0': {'$set': {'fence': 1}}, '1': {'$set': {'n': {'$add': ['$n', 1]}}}}", 6, true},
        {"{'0': {'$replaceWith': {'n': 7}}}", 7, false},
        {"{'n': 8, 'old': true}", 8, true},
        /* as it was read, long ago */
        {"{'_id': 'd', 'n': 9, 'fence': 3, 'fence_write': 4}", 9, false},
        {"{'n': 10}", 10, false},
    };
    int64_t last = -1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        bson_t found;
        expect(g, LH_OK, fenced_write(g, lease, json(D), json("%s", forms[i].update), &found));
        assert_int_equal(number_at(&found, "n"), forms[i].n);
        assert_int_equal(number_at(&found, LH_FENCE), lh_lease_token(lease));
        assert_int_not_equal(number_at(&found, "fence_write"), last);
        last = number_at(&found, "fence_write");
        assert_int_equal(has(&found, "old"), forms[i].old);
        bson_destroy(&found);
    }
    expect(g, LH_OK, fenced_write(g, lease, json(D), json("{'n': 11}"), NULL));
    assert_int_equal(n_of(g, "data", "d", "n"), 11);
    give(g, lease);
}

static void test_arguments_are_checked(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k"), *shared = take_as(g, "s", LH_SHARED, LH_TTL_DEFAULT_MS, NULL);
    bson_t *id = json(D), *more = json("{'_id': 'd', 'n': 1}"), *other = json("{'n': 1}"),
           *empty = bson_new();
    bson_t *update = json("{'$set': {'n': 1}}");
    expect(g, LH_INVALID, lh_fenced_write(NULL, us.data, id, update, NULL, &g->error));
    expect(g, LH_INVALID, lh_fenced_write(shared, us.data, id, update, NULL, &g->error));
    expect_says(g, "shared");
    expect(g, LH_INVALID, lh_fenced_read(shared, us.data, id, 0, NULL, &g->error));
    expect(g, LH_INVALID, lh_fenced_write(lease, NULL, id, update, NULL, &g->error));
    expect(g, LH_INVALID, lh_fenced_write(lease, us.data, NULL, update, NULL, &g->error));
    expect(g, LH_INVALID, lh_fenced_write(lease, us.data, more, update, NULL, &g->error));
    expect(g, LH_INVALID, lh_fenced_write(lease, us.data, other, update, NULL, &g->error));
    expect_says(g, "_id");
    expect(g, LH_INVALID, lh_fenced_write(lease, us.data, id, NULL, NULL, &g->error));
    expect(g, LH_INVALID, lh_fenced_write(lease, us.data, id, empty, NULL, &g->error));
    expect(g, LH_INVALID, lh_fenced_read(lease, us.data, id, 2, NULL, &g->error));
    bson_destroy(id);
    bson_destroy(more);
    bson_destroy(other);
    bson_destroy(empty);
    bson_destroy(update);
    give(g, shared);
    give(g, lease);
}

static void test_an_id_is_a_value_and_no_condition(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    put_data(json("{'_id': 'd', 'n': 1}"));
    static const char *const ids[] = {
        "{'_id': {'$gt': ''}}", "{'_id': {'$regex': 'd'}}",
        "{'_id': {'$regularExpression': {'pattern': 'd', 'options': ''}}}",
        "{'_id': {'$in': ['d']}}"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        expect(g, LH_ABSENT,
               fenced_write(g, lease, json("%s", ids[i]), json("{'$set': {'n': 2}}"), NULL));
    assert_int_equal(n_of(g, "data", "d", "n"), 1);
    give(g, lease);
}

static void test_what_is_not_there_is_not_made_unless_asked(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    expect(g, LH_ABSENT, fenced_write(g, lease, json(D), json("{'$set': {'n': 1}}"), NULL));
    expect(g, LH_ABSENT, fenced_read(g, lease, json(D), 0, NULL));
    assert_null(document_in(g, "data", "d"));
    bson_t found;
    expect(g, LH_OK, fenced_read(g, lease, json(D), LH_FENCED_CREATE, &found));
    assert_int_equal(bson_count_keys(&found), 3); /* _id and ours */
    bson_destroy(&found);
    lh_lease *new = take_over(g, "k");
    expect(g, LH_OK, fenced_read(g, new, json(D), LH_FENCED_CREATE, NULL));
    /* the insert meets it */
    expect(g, LH_LOST, fenced_read(g, lease, json(D), LH_FENCED_CREATE, NULL));
    assert_int_equal(n_of(g, "data", "d", LH_FENCE), lh_lease_token(new));
    lh_lease_free(lease);
    give(g, new);
}

static void test_whoever_comes_late_changes_nothing(void **state)
{
    ground *g = *state;
    lh_lease *old = take(g, "k");
    put_data(json("{'_id': 'd', 'n': 1}"));
    expect(g, LH_OK, fenced_write(g, old, json(D), json("{'$set': {'n': 2}}"), NULL));
    lh_lease *new = take_over(g, "k");
    /* nobody newer was there yet */
    expect(g, LH_OK, fenced_write(g, old, json(D), json("{'$set': {'n': 3}}"), NULL));
    bson_t found;
    expect(g, LH_OK, fenced_read(g, new, json(D), 0, &found)); /* and the newer one sees it */
    assert_int_equal(number_at(&found, "n"), 3);
    bson_destroy(&found);
    assert_true(lh_lease_valid(old));
    expect(g, LH_LOST, fenced_write(g, old, json(D), json("{'$set': {'n': 99}}"), NULL));
    expect(g, LH_LOST, fenced_write(g, old, json(D), json("{'n': 99}"), NULL));
    expect(g, LH_LOST, fenced_write(g, old, json(D), json("{'0': {'$set': {'n': 99}}}"), NULL));
    expect(g, LH_LOST, fenced_read(g, old, json(D), 0, NULL));
    expect_says(g, "newer holder");
    expect(g, LH_OK, fenced_write(g, new, json(D), json("{'$inc': {'n': 1}}"), NULL));
    assert_int_equal(n_of(g, "data", "d", "n"), 4);
    lh_lease_free(old);
    give(g, new);
}

static void test_after_the_local_deadline_nothing_is_sent(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 1000, NULL);
    put_data(json("{'_id': 'd', 'n': 1}"));
    while (lh_lease_valid(lease))
        (void)usleep(20000);
    expect(g, LH_LOST, fenced_write(g, lease, json(D), json("{'$set': {'n': 99}}"), NULL));
    expect(g, LH_LOST, fenced_read(g, lease, json(D), LH_FENCED_CREATE, NULL));
    assert_int_equal(n_of(g, "data", "d", LH_FENCE), -1);
    lh_lease_free(lease);
}

static void test_a_field_of_that_name_that_is_somebody_elses_is_left_alone(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    static const char *const values[] = {"'wooden'", "[1]", "null", "{'token': 1}", "true"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        put_data(json("{'_id': 'd%zu', 'fence': %s}", i, values[i]));
        bson_t *before = json("{'_id': 'd%zu', 'fence': %s}", i, values[i]);
        char name[8];
        (void)snprintf(name, sizeof name, "d%zu", i);
        expect(
            g, LH_DATA,
            fenced_write(g, lease, json("{'_id': '%s'}", name), json("{'$set': {'n': 1}}"), NULL));
        expect(g, LH_DATA,
               fenced_read(g, lease, json("{'_id': '%s'}", name), LH_FENCED_CREATE, NULL));
        bson_t *after = document_in(g, "data", name);
        expect_same(before, after);
        bson_destroy(before);
        bson_destroy(after);
    }
    put_data(json("{'_id': 'float', 'fence': 1.5}")); /* a number, by some other driver */
    expect(g, LH_OK,
           fenced_write(g, lease, json("{'_id': 'float'}"), json("{'$set': {'n': 1}}"), NULL));
    put_data(json("{'_id': 'd', 'n': 1}"));
    expect(g, LH_SERVER, fenced_write(g, lease, json(D), json("{'$set': {'fence': 1}}"), NULL));
    expect(g, LH_SERVER, fenced_write(g, lease, json(D), json("{'$unset': {'fence': ''}}"), NULL));
    give(g, lease);
}

static void test_what_the_server_refuses_is_told_apart(void **state)
{
    ground *g = *state;
    bool alone = !g->set;
    const struct {
        const char *what;
        int times, outcome;
    } cases[] = {{"'closeConnection': true", 2, LH_UNKNOWN}, /* the driver tries twice, on a set */
                 {"'errorCode': 11602, 'errorLabels': []", 2, LH_UNKNOWN},
                 /* where the driver may have tried before */
                 {"'errorCode': 50", 1, alone ? LH_UNREACHABLE : LH_UNKNOWN},
                 {"'errorCode': 13", 1, LH_DENIED},
                 {"'errorCode': 8000", 1, LH_SERVER},
                 {"'errorCode': 11000, 'errorExtraInfo': {'keyPattern': {'mail': 1}, 'keyValue': "
                  "{'mail': 'x'}}",
                  1, LH_SERVER},
                 {"'writeConcernError': {'code': 64, 'errmsg': 'too few'}", 1, LH_UNKNOWN}};
    lh_lease *lease = take(g, "k");
    put_data(json("{'_id': 'd', 'n': 1}"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        break_commands(g, cases[i].times, "'findAndModify'", cases[i].what);
        expect(g, cases[i].outcome,
               fenced_write(g, lease, json(D), json("{'$inc': {'n': 1}}"), NULL));
        mend_commands(g);
    }
    break_commands(g, 2, "'find'", "'errorCode': 13"); /* only asked for the reason */
    expect(g, LH_DENIED,
           fenced_write(g, lease, json("{'_id': 'x'}"), json("{'$inc': {'n': 1}}"), NULL));
    mend_commands(g);
    expect(g, LH_OK, fenced_write(g, lease, json(D), json("{'$inc': {'n': 1}}"), NULL));
    give(g, lease);
}

/* A driver that writes again tells of its last attempt, which found no server, and not whether the
 * first was done. */
static void test_where_no_server_is_found_it_was_surely_not_done_only_if_asked_once(void **state)
{
    ground *g = *state;
    mongoc_client_t *nowhere =
        mongoc_client_new("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100");
    mongoc_collection_t *data = mongoc_client_get_collection(nowhere, g->db, "data");
    lh_lease *lease = take(g, "k");
    bson_t *id = json(D), *update = json("{'$inc': {'n': 1}}");
    expect(g, g->set ? LH_UNKNOWN : LH_UNREACHABLE,
           lh_fenced_write(lease, data, id, update, NULL, &g->error));
    expect_says(g, g->set ? "may have" : "no server can be reached");
    bson_destroy(update);
    bson_destroy(id);
    give(g, lease);
    mongoc_collection_destroy(data);
    mongoc_client_destroy(nowhere);
}

/* ---- Races ------------------------------------------------------------------------------------*/

typedef struct {
    ground *g;
    lh_lease *lease;
    int outcome;
    lh_error error;
} late;

static void *write_late(void *arg)
{
    late *l = arg;
    app other = app_on(l->g->uri, l->g->db, "late");
    bson_t *id = json(D), *update = json("{'$set': {'n': 99}}");
    l->outcome = lh_fenced_write(l->lease, other.data, id, update, NULL, &l->error);
    bson_destroy(id);
    bson_destroy(update);
    app_end(&other);
    return NULL;
}

/* Sent while the lease was valid, under way for longer than that. */
static void test_a_write_that_was_long_under_way_is_refused(void **state)
{
    ground *g = *state;
    lh_lease *old = take_as(g, "k", LH_EXCLUSIVE, 1000, NULL);
    put_data(json("{'_id': 'd', 'n': 1}"));
    await_turn(g);
    g->failing = true;
    do_command(
        g, "admin",
        json("{'configureFailPoint': 'failCommand', 'mode': {'times': 1}, 'data': {'failCommands': "
             "['findAndModify'], 'appName': 'late', 'blockConnection': true, 'blockTimeMS': "
             "2500}}"));
    late l = {.g = g, .lease = old, .error = LH_ERROR_INIT};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_late, &l), 0);
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.wait_ms = 10000;
    lh_lease *new = NULL;
    expect(g, LH_OK, lh_acquire(g->store, "k", &options, &new, NULL, &g->error));
    expect(g, LH_OK, fenced_read(g, new, json(D), 0, NULL));
    expect(g, LH_OK, fenced_write(g, new, json(D), json("{'$set': {'n': 2}}"), NULL));
    pthread_join(thread, NULL);
    expect_at(LH_LOST, l.outcome, &l.error, "the late write", __FILE__, __LINE__);
    assert_int_equal(n_of(g, "data", "d", "n"), 2);
    lh_lease_free(old);
    give(g, new);
}

/* The driver's own retry of a write whose answer was lost: the server tells what came of the first,
 * and does it once. And where the first did not arrive, the condition is the retry's: who came in
 * between is not overwritten. */
static void test_a_write_that_the_callers_driver_repeats_is_done_once(void **state)
{
    ground *g = *state;
    if (!g->set)
        skip(); /* it repeats nothing there */
    char uri[512];
    (void)snprintf(uri, sizeof uri, "%s&retryWrites=true", g->uri);
    app other = app_on(uri, g->db, g->app);
    lh_lease *lease = take(g, "k");
    put_data(json("{'_id': 'd', 'n': 0}"));
    static const char *const faults[] = {"'writeConcernError': {'code': 91, 'errmsg': 'shutting "
                                         "down'}, 'errorLabels': ['RetryableWriteError']",
                                         "'closeConnection': true"};
    bson_t *id = json(D), *update = json("{'$inc': {'n': 1}}");
    for (int i = 0; i < 2; i++) {
        break_commands(g, 1, "'findAndModify'", faults[i]);
        bson_t document = BSON_INITIALIZER;
        expect(g, LH_OK, lh_fenced_write(lease, other.data, id, update, &document, &g->error));
        assert_int_equal(number_at(&document, "n"), i + 1);
        assert_int_equal(n_of(g, "data", "d", "n"), i + 1);
        bson_destroy(&document);
        mend_commands(g);
    }
    bson_destroy(id);
    bson_destroy(update);
    app_end(&other);
    give(g, lease);
}

#define CREATORS 4
#define KEYS     20

static void *create(void *arg)
{
    late *l = arg;
    app other = app_of(l->g);
    l->outcome = LH_OK;
    for (int i = 0; i < KEYS && l->outcome == LH_OK; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "d%d", i);
        bson_t *id = json("{'_id': '%s'}", name);
        l->outcome = lh_fenced_read(l->lease, other.data, id, LH_FENCED_CREATE, NULL, &l->error);
        bson_destroy(id);
    }
    app_end(&other);
    return NULL;
}

/* Inserts that meet are no refusals: all are of the same holder. */
static void test_creating_at_once_makes_one(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    pthread_t threads[CREATORS];
    late creators[CREATORS];
    for (int i = 0; i < CREATORS; i++) {
        creators[i] = (late){.g = g, .lease = lease, .error = LH_ERROR_INIT};
        assert_int_equal(pthread_create(&threads[i], NULL, create, &creators[i]), 0);
    }
    for (int i = 0; i < CREATORS; i++) {
        pthread_join(threads[i], NULL);
        expect_at(LH_OK, creators[i].outcome, &creators[i].error, "create", __FILE__, __LINE__);
    }
    give(g, lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        app_test(test_a_read_raises_the_fence_and_gives_the_document),
        app_test(test_every_form_of_update_keeps_the_fence),
        app_test(test_arguments_are_checked),
        app_test(test_an_id_is_a_value_and_no_condition),
        app_test(test_what_is_not_there_is_not_made_unless_asked),
        app_test(test_whoever_comes_late_changes_nothing),
        app_test(test_after_the_local_deadline_nothing_is_sent),
        app_test(test_a_field_of_that_name_that_is_somebody_elses_is_left_alone),
        app_test(test_what_the_server_refuses_is_told_apart),
        app_test(test_where_no_server_is_found_it_was_surely_not_done_only_if_asked_once),
        app_test(test_a_write_that_was_long_under_way_is_refused),
        app_test(test_a_write_that_the_callers_driver_repeats_is_done_once),
        app_test(test_creating_at_once_makes_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * A document whose _id is another key's name: a workspace was renamed in place, or another program
 * chose its _ids so. The other key is granted all the same, in a document with an _id of its own,
 * and the odd one stays as it is. */
#include "live.h"

#define FAR  "{'$date': '2100-01-01T00:00:00Z'}"
#define PAST "{'$date': '2020-01-01T00:00:00Z'}"
#define OURS                                                                                       \
    "'id': '000000000000000000000000000000aa', 'owner': 'w', 'mode': 'exclusive', 'token': "       \
    "{'$numberLong': '7'}, "                                                                       \
    "'v': 1"

/* All have the _id "B", and are not the key B's. */
static const char *const odd[] = {
    "'workspace_id': 'A', 'expires_at': " FAR,
    "'workspace_id': 'A', 'expires_at': " PAST,
    "'workspace_id': 'A', 'expires_at': null",
    "'workspace_id': 'A', 'expires_at': " FAR ", " OURS,
    "'workspace_id': 'A', 'expires_at': " PAST ", " OURS,
    "'workspace_id': 'A', 'expires_at': " PAST
    ", 'released': {'id': '000000000000000000000000000000aa', 'how': 'release',"
    " 'at': " FAR "}, " OURS,
    "'workspace_id': 'A', 'expires_at': 'soon'",
    "'workspace_id': 'A', 'token': 'a-string'",
    "'workspace_id': 'A', 'shared': 7, 'waiters': []",
    "'workspace_id': 'b'",
    "'workspace_id': 'B '",
    "'workspace_id': 'B\\u0000'",
    "'workspace_id': ''",
    "'workspace_id': 42",
    "'workspace_id': null",
    "'workspace_id': {'a': 'B'}",
    "'workspace_id': ['A', 'C']",
    "'workspace_id': {'$oid': '64b000000000000000000001'}",
    "'name': 'of another program'",
};
#define ODD (sizeof odd / sizeof *odd)

static bson_t *by_id(ground *g, const char *id)
{
    bson_t *reply = run_command(
        g, g->db, json("{'find': '%s', 'filter': {'_id': '%s'}, 'singleBatch': true}", LOCKS, id));
    bson_iter_t at;
    const uint8_t *data;
    uint32_t len;
    bson_t view;
    bson_t *copy = NULL;
    assert_non_null(reply);
    if (find_at(reply, "cursor.firstBatch.0", &at)) {
        bson_iter_document(&at, &len, &data);
        assert_true(bson_init_static(&view, data, len));
        copy = bson_copy(&view);
    }
    bson_destroy(reply);
    return copy;
}

static void clear(ground *g)
{
    do_command(g, g->db, json("{'delete': '%s', 'deletes': [{'q': {}, 'limit': 0}]}", LOCKS));
}

static lh_lease *ask(ground *g, const char *key, lh_acquire_options *o)
{
    lh_lease *lease = NULL;
    o->by_hand = true;
    expect(g, LH_OK, lh_acquire(g->store, key, o, &lease, NULL, &g->error));
    return lease;
}

/* In each way in which a key is asked for. */
static lh_lease *take_in_way(ground *g, int way)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    static const char *const keys[] = {"AA", "B", "BB"};
    lh_lease *all[3] = {NULL};
    char id[LH_LEASE_ID_LEN + 1];
    switch (way) {
    case 0:
        break;
    case 1:
        o.mode = LH_SHARED;
        break;
    case 2:
        o.wait_ms = 5000;
        break;
    case 3:
        o.wait_ms = 5000;
        o.mode = LH_SHARED;
        break;
    case 4:
        o.resume = true;
        o.owner = "web-1";
        break;
    case 5:
        o.path = true;
        break;
    case 6:
        random_id(id);
        o.lease_id = id;
        return ask(g, "B", &o);
    default:
        o.by_hand = true;
        o.mode = way == 7 ? LH_EXCLUSIVE : LH_SHARED;
        expect(g, LH_OK, lh_acquire_many(g->store, keys, 3, &o, all, NULL, &g->error));
        give(g, all[0]);
        give(g, all[2]);
        return all[1];
    }
    return ask(g, "B", &o);
}
#define WAYS 9

/* Grants B in the way, uses it, and leaves the document `text` as it was. */
static void use_beside(ground *g, const char *text, int way)
{
    clear(g);
    put(g, json("{'_id': 'B', %s}", text));
    bson_t *before = by_id(g, "B");
    lh_lease *lease = take_in_way(g, way);
    int64_t token = lh_lease_token(lease);
    assert_int_equal(state_of(g, "B"), LH_HELD);
    expect_busy(g, "B", LH_EXCLUSIVE, LH_WHY_HELD);
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    give(g, lease);
    lease = take(g, "B");
    assert_true(lh_lease_token(lease) > token);
    give(g, lease);
    bson_t *after = by_id(g, "B");
    expect_same(before, after);
    bson_destroy(before);
    bson_destroy(after);
}

static void test_a_key_whose_name_is_another_documents_id_is_granted(void **state)
{
    ground *g = *state;
    for (size_t i = 0; i < ODD; i++)
        use_beside(g, odd[i], (int)i % WAYS);
    for (int way = 0; way < WAYS; way++)
        use_beside(g, odd[0], way);
}

static void expect_status(ground *g, const char *key, int as, const char *document_id,
                          const char *id_taken_by)
{
    lh_record *record = status_of(g, key);
    assert_int_equal(record->state, as);
    assert_string_equal(record->document_id, document_id);
    assert_string_equal(record->id_taken_by, id_taken_by);
    lh_record_free(record);
}

static void test_status_names_the_odd_document_from_both_sides(void **state)
{
    ground *g = *state;
    put(g, json("{'_id': 'B', 'workspace_id': 'A', 'expires_at': " FAR "}"));
    expect_status(g, "A", LH_HELD, "B", "");
    expect_status(g, "B", LH_FREE, "", "A");
    lh_lease *lease = take(g, "B");
    expect_status(g, "B", LH_HELD, "", "A");
    expect_status(g, "A", LH_HELD, "B", "");
    give(g, lease);
    put(g, json("{'_id': 'C', 'workspace_id': 42}"));
    expect_status(g, "C", LH_FREE, "", "42");
    put(g, json("{'_id': 'D', 'name': 'of another program'}"));
    expect_status(g, "D", LH_FREE, "", "(none)");
    put(g, json("{'_id': 7, 'workspace_id': 'E', 'expires_at': null}"));
    expect_status(g, "E", LH_HELD, "", "");
    give(g, take(g, "F"));
    expect_status(g, "F", LH_FREE, "", "");
    expect_status(g, "nobody's", LH_FREE, "", "");
}

static void test_a_workspace_that_was_renamed_is_granted_by_both_names(void **state)
{
    ground *g = *state;
    put(g, json("{'_id': 'old', 'workspace_id': 'new', 'expires_at': " PAST ", " OURS "}"));
    lh_lease *old = take(g, "old"), *new = take(g, "new");
    assert_true(lh_lease_token(new) > 7);
    give(g, old);
    give(g, new);
    assert_int_equal(count_documents(g), 2);
}

/* While it is held, waited for, and known to be found by its _id. */
static void test_a_workspace_that_is_renamed_under_its_holder_goes_on(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "old");
    change(g, "old", json("{'$set': {'workspace_id': 'new'}}"));
    expect(g, LH_LOST, lh_lease_renew(lease, 0, NULL, &g->error));
    lh_lease_free(lease);
    expect_busy(g, "new", LH_EXCLUSIVE, LH_WHY_HELD);
    lease = take(g, "old");
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    change(g, "old", json("{'$set': {'workspace_id': 'newer'}}")); /* its second document */
    lh_lease_free(lease);
    give(g, take(g, "old"));
    assert_int_equal(count_documents(g), 3);
}

/* Rings, swapped pairs and rows of renamed documents, all keys of which are asked for together. */
static void test_a_hundred_of_them_are_granted_together(void **state)
{
    ground *g = *state;
    enum { N = 100 };
    static char names[N][16];
    const char *keys[N];
    lh_lease *leases[N] = {NULL};
    for (int i = 0; i < N; i++) {
        (void)snprintf(names[i], sizeof names[i], "k-%03d", i);
        keys[i] = names[i];
    }
    for (int i = 0; i < N; i++) { /* a ring, pairs, and the rest renamed out of sight */
        char away[32];
        (void)snprintf(away, sizeof away, "%.16s-away", names[i]);
        const char *key = i < 40 ? names[(i + 1) % 40] : i < 80 ? names[i ^ 1] : away;
        put(g, json("{'_id': '%s', 'workspace_id': '%s', 'expires_at': " PAST "}", names[i], key));
    }
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.by_hand = true;
    expect(g, LH_OK, lh_acquire_many(g->store, keys, N, &o, leases, NULL, &g->error));
    for (int i = 0; i < N; i++)
        lh_lease_free(leases[i]);
    assert_int_equal(count_documents(g), N + 20);
}

typedef struct {
    lh_store *store;
    lh_error error;
    int outcome;
} racer;

static void *race_for_it(void *arg)
{
    racer *r = arg;
    lh_lease *lease = NULL;
    r->outcome = lh_acquire(r->store, "B", NULL, &lease, NULL, &r->error);
    lh_lease_free(lease);
    return NULL;
}

static void test_of_many_first_acquires_beside_it_one_is_granted(void **state)
{
    ground *g = *state;
    enum { RACERS = 8, ROUNDS = 5 };
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[RACERS];
        racer racers[RACERS];
        int granted = 0;
        clear(g);
        put(g, json("{'_id': 'B', 'workspace_id': 'A', 'expires_at': " FAR "}"));
        for (int i = 0; i < RACERS; i++) {
            racers[i] = (racer){.store = g->store, .error = LH_ERROR_INIT};
            assert_int_equal(pthread_create(&threads[i], NULL, race_for_it, &racers[i]), 0);
        }
        for (int i = 0; i < RACERS; i++) {
            pthread_join(threads[i], NULL);
            granted += racers[i].outcome == LH_OK;
            if (racers[i].outcome != LH_OK)
                expect_at(LH_BUSY, racers[i].outcome, &racers[i].error, "lh_acquire", __FILE__,
                          __LINE__);
        }
        assert_int_equal(granted, 1);
        assert_int_equal(count_documents(g), 2);
    }
}

/* The key as _id keeps a second first insert away even then; here nothing does, so the index is
 * looked at after the insert. */
static void test_none_is_granted_without_the_index(void **state)
{
    ground *g = *state;
    give(g, take(g, "first")); /* it has been seen */
    put(g, json("{'_id': 'B', 'workspace_id': 'A', 'expires_at': " FAR "}"));
    do_command(g, g->db, json("{'dropIndexes': '%s', 'index': 'workspace_id_unique'}", LOCKS));
    lh_lease *none = NULL;
    static const int modes[] = {LH_EXCLUSIVE, LH_SHARED};
    for (size_t i = 0; i < 2; i++) {
        lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
        o.mode = modes[i];
        delete_key(g, "workspace_id", i == 0 ? "first" : "B");
        expect(g, LH_CONFIG, lh_acquire(g->store, "B", &o, &none, NULL, &g->error));
        expect_says(g, "no unique index");
        assert_null(none);
        assert_int_equal(state_of(g, "B"), LH_FREE);
    }
}

/* The answer to the insert was lost: the repeated question is told of the grant, and the index is
 * looked at as well. */
static void test_none_is_granted_without_the_index_where_the_answer_was_lost(void **state)
{
    ground *g = *state;
    give(g, take(g, "first"));
    put(g, json("{'_id': 'B', 'workspace_id': 'A', 'expires_at': " FAR "}"));
    break_commands(g, 2, "'findAndModify'",
                   "'writeConcernError': {'code': 91, 'errmsg': 'test', 'errorLabels': "
                   "['RetryableWriteError']}");
    give(g, take(g, "B"));
    mend_commands(g);
    delete_key(g, "workspace_id", "B");
    do_command(g, g->db, json("{'dropIndexes': '%s', 'index': 'workspace_id_unique'}", LOCKS));
    break_commands(g, 2, "'findAndModify'",
                   "'writeConcernError': {'code': 91, 'errmsg': 'test', 'errorLabels': "
                   "['RetryableWriteError']}");
    lh_lease *none = NULL;
    expect(g, LH_CONFIG, lh_acquire(g->store, "B", NULL, &none, NULL, &g->error));
    mend_commands(g);
    assert_int_equal(state_of(g, "B"), LH_FREE);
}

/* Once cleanup has removed it, or the odd document is gone, all is as at the beginning. */
static void test_a_cleanup_takes_nothing_with_it(void **state)
{
    ground *g = *state;
    put(g, json("{'_id': 'B', 'workspace_id': 'A', 'expires_at': null}"));
    int64_t token = take_token(g, "B");
    end_it(g, "B", HOUR_MS);
    lh_cleanup_options options = LH_CLEANUP_OPTIONS_INIT;
    options.older_than_ms = 1000;
    lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
    while (report.removed == 0)
        expect(g, LH_OK, lh_cleanup(g->store, &options, &report, &g->error));
    assert_int_equal(count_documents(g), 1);
    int64_t next = take_token(g, "B");
    assert_true(next > token);
    delete_key(g, "workspace_id", "B");
    delete_key(g, "workspace_id", "A");
    assert_true(take_token(g, "B") > next);
    bson_t *document = document_of(g, "B");
    assert_string_equal(text_at(document, "_id"), "B");
    bson_destroy(document);
}

static void test_a_queue_beside_it_is_as_any(void **state)
{
    ground *g = *state;
    put(g, json("{'_id': 'B', 'workspace_id': 'A', 'expires_at': null}"));
    lh_lease *lease = take(g, "B");
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = 10000;
    o.by_hand = true;
    lh_waiting *waiting[2];
    for (int i = 0; i < 2; i++)
        expect(g, LH_OK, lh_acquire_start(g->store, "B", &o, &waiting[i], &g->error));
    for (int i = 0; i < 2; i++) {
        int64_t token = lh_lease_token(lease);
        give(g, lease);
        lease = NULL;
        expect(g, LH_OK, lh_waiting_finish(waiting[i], &lease, NULL, &g->error));
        assert_true(lh_lease_token(lease) > token);
    }
    char id[LH_LEASE_ID_LEN + 1];
    expect(g, LH_OK, lh_lease_transfer(lease, "heir", id, &g->error));
    lh_lease_free(lease);
    expect(g, LH_OK, lh_lease_attach(g->store, "B", id, &lease, &g->error));
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    give(g, lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_a_key_whose_name_is_another_documents_id_is_granted),
        live_test(test_status_names_the_odd_document_from_both_sides),
        live_test(test_a_workspace_that_was_renamed_is_granted_by_both_names),
        live_test(test_a_workspace_that_is_renamed_under_its_holder_goes_on),
        live_test(test_a_hundred_of_them_are_granted_together),
        live_test(test_of_many_first_acquires_beside_it_one_is_granted),
        live_test(test_none_is_granted_without_the_index),
        live_test(test_none_is_granted_without_the_index_where_the_answer_was_lost),
        live_test(test_a_cleanup_takes_nothing_with_it),
        live_test(test_a_queue_beside_it_is_as_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

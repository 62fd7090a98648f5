/* SPDX-License-Identifier: Apache-2.0
 * Documents with a field that is stored twice. A pipeline that changes such a field brings a 6.0
 * server down, so the server is the test's own. It lives on as long as we keep what we promise: a
 * command whose connection breaks here never reached it. */
#include <stdatomic.h>

#include "own.h"

#define KEY "k"

static own server;

static int start(void **state)
{
    if (!own_up(&server, "standalone"))
        return 0; /* the tests are skipped */
    *state = own_ground(&server, 5000);
    return 0;
}

static int end(void **state)
{
    if (!*state)
        return 0;
    (void)old_ground(state);
    own_down(&server);
    return 0;
}

static void replace_raw(ground *g, const char *key, bson_t *document)
{
    delete_key(g, "workspace_id", key);
    put(g, document);
}

/* Stores the document's field once more. */
static void double_field(ground *g, const char *key, const char *field)
{
    bson_t *document = document_of(g, key);
    bson_iter_t at;
    assert_non_null(document);
    if (bson_iter_init_find(&at, document, field)) {
        bson_t *twice = bson_copy(document);
        assert_true(bson_append_iter(twice, field, -1, &at));
        bson_destroy(document);
        document = twice;
    } else {
        BSON_APPEND_NULL(document, field);
        BSON_APPEND_NULL(document, field);
    }
    replace_raw(g, key, document);
}

/* The only reader's entry. */
static void double_reader(ground *g, const char *key, const char *id)
{
    bson_t *document = document_of(g, key), *changed = bson_new(), map;
    bson_iter_t entry;
    char path[64];
    (void)snprintf(path, sizeof path, "shared.%s", id);
    assert_true(find_at(document, path, &entry));
    bson_copy_to_excluding_noinit(document, changed, "shared", NULL);
    BSON_APPEND_DOCUMENT_BEGIN(changed, "shared", &map);
    for (int i = 0; i < 2; i++)
        assert_true(bson_append_iter(&map, id, -1, &entry));
    bson_append_document_end(changed, &map);
    bson_destroy(document);
    replace_raw(g, key, changed);
}

static int acquire_as(ground *g, int mode, bool resume, int64_t wait_ms)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_lease *lease = NULL;
    lh_record *busy = NULL;
    o.mode = mode;
    o.resume = resume;
    o.owner = "tester";
    o.wait_ms = wait_ms;
    o.by_hand = true;
    int outcome = lh_acquire(g->store, KEY, &o, &lease, &busy, &g->error);
    assert_null(lease);
    lh_record_free(busy);
    return outcome;
}

static int acquire(ground *g, lh_lease *held)
{
    (void)held;
    return acquire_as(g, LH_EXCLUSIVE, false, 0);
}

static int acquire_shared(ground *g, lh_lease *held)
{
    (void)held;
    return acquire_as(g, LH_SHARED, false, 0);
}

static int resume(ground *g, lh_lease *held)
{
    (void)held;
    return acquire_as(g, LH_EXCLUSIVE, true, 0);
}

static int wait_for(ground *g, lh_lease *held)
{
    (void)held;
    return acquire_as(g, LH_EXCLUSIVE, false, 20000);
}

static int acquire_many(ground *g, lh_lease *held)
{
    static const char *const keys[] = {"j", KEY, "l"};
    lh_lease *leases[3] = {NULL};
    lh_record *busy = NULL;
    (void)held;
    int outcome = lh_acquire_many(g->store, keys, 3, NULL, leases, &busy, &g->error);
    for (int i = 0; i < 3; i++)
        assert_null(leases[i]);
    lh_record_free(busy);
    return outcome;
}

static int renew(ground *g, lh_lease *held)
{
    return lh_lease_renew(held, 0, NULL, &g->error);
}

static int release(ground *g, lh_lease *held)
{
    return lh_lease_release(held, &g->error);
}

static int transfer(ground *g, lh_lease *held)
{
    char id[LH_LEASE_ID_LEN + 1];
    return lh_lease_transfer(held, "somebody", id, &g->error);
}

/* What is sent, over what, with which of its fields twice. */
static const struct {
    const char *name;
    int (*call)(ground *g, lh_lease *held);
    enum { ENDED, HELD, READ } state;
    const char *field; /* NULL: the reader's entry */
} sent[] = {
    {"acquire", acquire, ENDED, "expires_at"},
    {"acquire", acquire, ENDED, "token"},
    {"acquire", acquire, ENDED, "released"},
    {"acquire", acquire, ENDED, "host"},
    {"acquire shared", acquire_shared, ENDED, "expires_at"},
    {"resume", resume, HELD, "id"},
    {"wait", wait_for, ENDED, "owner"},
    {"wait behind a holder", wait_for, HELD, "waiters"},
    {"many", acquire_many, ENDED, "expires_at"},
    {"renew", renew, HELD, "expires_at"},
    {"renew", renew, HELD, "renewed_at"},
    {"release", release, HELD, "expires_at"},
    {"transfer", transfer, HELD, "token"},
    {"renew a reader's", renew, READ, NULL},
    {"release a reader's", release, READ, NULL},
    {"share", acquire_shared, READ, NULL},
};

static void expect_refused(ground *g, size_t i, lh_lease *held, const bson_t *before)
{
    int outcome = sent[i].call(g, held);
    if (outcome != LH_DATA || g->error.reason != LH_REASON_DOUBLED ||
        !strstr(g->error.message, "stored twice") || !strstr(g->error.message, "\"" KEY "\""))
        fail_msg("%s with %s twice: %s: %s", sent[i].name,
                 sent[i].field ? sent[i].field : "an entry", lh_outcome_word(outcome),
                 g->error.message);
    bson_t *after = document_of(g, KEY);
    expect_same(before, after);
    bson_destroy(after);
}

/* The connection breaks at the first command; from then on the store looks before it sends. */
static void test_what_a_server_may_have_died_of_is_not_sent_again(void **state)
{
    ground *g = *state;
    if (!g)
        skip();
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        lh_lease *held =
            take_as(g, KEY, sent[i].state == READ ? LH_SHARED : LH_EXCLUSIVE, 600000, "tester");
        if (sent[i].state == ENDED)
            end_it(g, KEY, 60000);
        if (sent[i].field)
            double_field(g, KEY, sent[i].field);
        else
            double_reader(g, KEY, lh_lease_id(held));
        bson_t *before = document_of(g, KEY);
        if (i == 0)
            break_commands(g, 1, "'findAndModify', 'update'", "'closeConnection': true");
        expect_refused(g, i, held, before);
        bson_destroy(before);
        lh_lease_free(held);
        delete_key(g, "workspace_id", KEY);
    }
}

/* Of a batch, too. */
static void test_a_batch_that_a_server_may_have_died_of_is_not_sent_again(void **state)
{
    ground *g = *state;
    if (!g)
        skip();
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri; /* … by a store that has not met such a document yet */
    reopen_store(g, &options);
    lh_lease_free(take(g, KEY));
    end_it(g, KEY, 60000);
    double_field(g, KEY, "expires_at");
    break_commands(g, 1, "'update'", "'closeConnection': true");
    expect(g, LH_DATA, acquire_many(g, NULL));
    delete_key(g, "workspace_id", KEY);
}

/* Nothing is twice: sent again, and done. */
static void test_a_broken_connection_alone_changes_nothing(void **state)
{
    ground *g = *state;
    if (!g)
        skip();
    break_commands(g, 1, "'findAndModify', 'update'", "'closeConnection': true");
    lh_lease *lease = take(g, "other");
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    give(g, lease);
}

static atomic_int losses;

static void count_loss(void *arg, const char *key, const char *lease_id)
{
    (void)lease_id;
    if (strcmp(key, arg) == 0)
        atomic_fetch_add(&losses, 1);
    else
        fail_msg("%s is lost", key);
}

/* The keeper renews all in one command; the one document spoils it for none but itself. */
static void test_the_other_leases_of_a_batch_are_kept(void **state)
{
    enum { LEASES = 9, TTL_MS = 5000 };
    ground *g = *state;
    if (!g)
        skip();
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri;
    options.on_lost = count_loss;
    options.on_lost_arg = (void *)(uintptr_t) "kept 4";
    reopen_store(g, &options);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_lease *leases[LEASES];
    o.ttl_ms = TTL_MS;
    for (int i = 0; i < LEASES; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "kept %d", i);
        expect(g, LH_OK, lh_acquire(g->store, key, &o, &leases[i], NULL, &g->error));
    }
    double_field(g, "kept 4", "expires_at");
    break_commands(g, 1, "'update'", "'closeConnection': true");
    for (int ms = 0; ms < TTL_MS + 1000; ms += 100) {
        for (int i = 0; i < LEASES; i++)
            assert_true(i == 4 || lh_lease_valid(leases[i]));
        (void)usleep(100000);
    }
    assert_false(lh_lease_valid(leases[4]));
    assert_int_equal(atomic_load(&losses), 1);
    for (int i = 0; i < LEASES; i++)
        lh_lease_free(leases[i]);
    delete_key(g, "workspace_id", "kept 4");
}

static int count_malformed(void *arg, const lh_record *record)
{
    if (record->state == LH_MALFORMED && strstr(record->problem, "stored twice"))
        ++*(int *)arg;
    return 0;
}

/* Held by the first of its ends, ended by it, or with the entry of a reader twice. */
static void test_it_is_shown_and_left_as_it_is(void **state)
{
    ground *g = *state;
    if (!g)
        skip();
    static const char *const keys[] = {"held", "ended", "freed", "read"};
    lh_store_options options = store_options(g);
    reopen_store(g, &options); /* one that is not wary */
    for (int i = 0; i < 4; i++) {
        lh_lease *lease = take_as(g, keys[i], i == 3 ? LH_SHARED : LH_EXCLUSIVE, 600000, NULL);
        if (i == 2)
            expect(g, LH_OK, lh_lease_release(lease, &g->error));
        if (i == 1 || i == 2)
            end_it(g, keys[i], 3600000);
        if (i == 3)
            double_reader(g, keys[i], lh_lease_id(lease));
        else
            double_field(g, keys[i], i == 0 ? "expires_at" : i == 1 ? "released" : "v");
        lh_lease_free(lease);
    }
    bson_t *before[4];
    for (int i = 0; i < 4; i++)
        before[i] = document_of(g, keys[i]);
    lh_cleanup_options cleanup = LH_CLEANUP_OPTIONS_INIT;
    lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
    cleanup.older_than_ms = 1000;
    expect(g, LH_OK, lh_cleanup(g->store, &cleanup, &report, &g->error));
    assert_int_equal(report.holders_dropped + report.waiters_dropped, 0);
    expect_busy(g, "held", LH_EXCLUSIVE, LH_WHY_MALFORMED);
    lh_break_options o = LH_BREAK_OPTIONS_INIT;
    o.reason = "a test";
    for (int i = 0; i < 4; i++) {
        assert_int_equal(state_of(g, keys[i]), LH_MALFORMED);
        expect(g, LH_DATA, lh_break(g->store, keys[i], &o, NULL, &g->error));
        assert_non_null(strstr(g->error.message, "leasehold status"));
        bson_t *after = document_of(g, keys[i]);
        expect_same(before[i], after);
        bson_destroy(after);
        bson_destroy(before[i]);
    }
    int listed = 0;
    expect(g, LH_OK, lh_list(g->store, NULL, count_malformed, &listed, &g->error));
    assert_int_equal(listed, 4);
    for (int i = 0; i < 4; i++) {
        delete_key(g, "_id", keys[i]);
        give(g, take(g, keys[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_server_may_have_died_of_is_not_sent_again),
        cmocka_unit_test(test_a_batch_that_a_server_may_have_died_of_is_not_sent_again),
        cmocka_unit_test(test_a_broken_connection_alone_changes_nothing),
        cmocka_unit_test(test_the_other_leases_of_a_batch_are_kept),
        cmocka_unit_test(test_it_is_shown_and_left_as_it_is),
    };
    const char *uri = getenv("LEASEHOLD_TEST_URI");
    if (uri && strstr(uri, "replicaSet="))
        return 0; /* once is enough: the server is our own */
    (void)alarm(200);
    return cmocka_run_group_tests(tests, start, end);
}

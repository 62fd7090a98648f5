/* SPDX-License-Identifier: Apache-2.0
 * The guard: who may commit, and who may not any more (invariant 10). A standalone says that it has
 * no transactions. */
#include <pthread.h>

#include "deed.h"

#define FENCES "workspace_fences"

#define needs_set(g)                                                                               \
    if (!(g)->set)                                                                                 \
    skip()

static void test_a_standalone_has_no_transactions_and_it_is_said(void **state)
{
    ground *g = *state;
    if (g->set)
        skip();
    lh_lease *lease = take(g, "k");
    begin(&us);
    expect(g, LH_CONFIG, lh_lease_guard(lease, us.session, NULL, &g->error));
    expect_says(g, "standalone");
    expect_says(g, "lh_fenced_write");
    rollback(&us);
    give(g, lease);
}

static void test_the_holder_commits_and_its_token_is_on_the_fence(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take(g, "k");
    for (int round = 1; round <= 2; round++) {
        bson_t *reply = NULL;
        begin(&us);
        expect(g, LH_OK, lh_lease_guard(lease, us.session, &reply, &g->error));
        assert_null(reply);
        assert_true(set_n(&us, "d", round, NULL));
        assert_true(commit(&us));
        assert_int_equal(n_of(g, "data", "d", "n"), round);
        assert_int_equal(n_of(g, FENCES, "k", "token"), lh_lease_token(lease));
        assert_int_equal(n_of(g, FENCES, "k", "n"), round);
    }
    begin(&us); /* twice in a transaction */
    expect(g, LH_OK, lh_lease_guard(lease, us.session, NULL, &g->error));
    expect(g, LH_OK, lh_lease_guard(lease, us.session, NULL, &g->error));
    assert_true(commit(&us));
    give(g, lease);
}

static void test_arguments_are_checked(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take(g, "k"), *attached = NULL;
    expect(g, LH_INVALID, lh_lease_guard(NULL, us.session, NULL, &g->error));
    expect(g, LH_INVALID, lh_lease_guard(lease, NULL, NULL, &g->error));
    bson_t *reply = NULL;
    expect(g, LH_INVALID, lh_lease_guard(lease, us.session, &reply, &g->error));
    expect_says(g, "no open transaction");
    assert_non_null(reply); /* as a callback of the driver's loop has to give it */
    assert_true(bson_empty(reply));
    bson_destroy(reply);
    lh_lease *shared = take_as(g, "s", LH_SHARED, LH_TTL_DEFAULT_MS, NULL);
    begin(&us);
    expect(g, LH_INVALID, lh_lease_guard(shared, us.session, NULL, &g->error));
    expect_says(g, "shared");
    expect(g, LH_OK, lh_lease_attach(g->store, "k", lh_lease_id(lease), &attached, &g->error));
    expect(g, LH_INVALID, lh_lease_guard(attached, us.session, NULL, &g->error));
    expect_says(g, "renew");
    rollback(&us);
    expect(g, LH_OK, lh_lease_renew(attached, 0, NULL, &g->error));
    guard(g, &us, attached);
    assert_true(commit(&us));
    lh_lease_free(attached);
    give(g, shared);
    give(g, lease);
}

static void test_a_weak_write_concern_is_refused(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take(g, "k");
    mongoc_transaction_opt_t *options = mongoc_transaction_opts_new();
    mongoc_write_concern_t *one = mongoc_write_concern_new();
    mongoc_write_concern_set_w(one, 1);
    mongoc_transaction_opts_set_write_concern(options, one);
    assert_true(mongoc_client_session_start_transaction(us.session, options, NULL));
    expect(g, LH_CONFIG, lh_lease_guard(lease, us.session, NULL, &g->error));
    expect_says(g, "w=majority");
    rollback(&us);
    mongoc_write_concern_destroy(one);
    mongoc_transaction_opts_destroy(options);
    give(g, lease);
}

static void test_after_the_local_deadline_nothing_is_sent(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 1000, NULL);
    begin(&us);
    while (lh_lease_valid(lease))
        (void)usleep(20000);
    expect(g, LH_LOST, lh_lease_guard(lease, us.session, NULL, &g->error));
    assert_int_equal(mongoc_client_session_get_transaction_state(us.session),
                     MONGOC_TRANSACTION_STARTING);
    rollback(&us);
    lh_lease_free(lease);
}

/* ---- Who lost the key does not commit, even if it goes on -------------------------------------*/

/* It believes in its lease still; the server knows better. */
static void expect_no_way(ground *g, lh_lease *lease, int outcome)
{
    assert_true(lh_lease_valid(lease));
    begin(&us);
    bson_t *reply = NULL;
    expect(g, outcome, lh_lease_guard(lease, us.session, &reply, &g->error));
    /* not worth another attempt */
    assert_false(mongoc_error_has_label(reply, "TransientTransactionError"));
    bson_destroy(reply);
    assert_false(set_n(&us, "d", 99, NULL));
    assert_false(commit(&us));
    begin(&us); /* the same for who only commits */
    expect(g, outcome, lh_lease_guard(lease, us.session, NULL, &g->error));
    assert_false(commit(&us));
    assert_int_equal(n_of(g, "data", "d", "n"), -1);
}

static void expect_shut_out(ground *g, lh_lease *lease)
{
    expect_no_way(g, lease, LH_LOST);
}

static void test_whoever_was_taken_over_is_shut_out(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *old = take(g, "k"), *new = take_over(g, "k");
    expect_shut_out(g, old);
    lh_lease_free(old);
    give(g, new);
}

static void test_whoever_was_broken_or_released_or_deleted_is_shut_out(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take(g, "broken");
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "a test";
    lh_record *record = NULL;
    expect(g, LH_OK, lh_break(g->store, "broken", &options, &record, &g->error));
    lh_record_free(record);
    expect_shut_out(g, lease);
    lh_lease_free(lease);

    lease = take(g, "released");
    lh_lease *twin = NULL;
    expect(g, LH_OK, lh_lease_attach(g->store, "released", lh_lease_id(lease), &twin, &g->error));
    expect(g, LH_OK, lh_lease_release(twin, &g->error));
    expect_shut_out(g, lease);
    lh_lease_free(twin);
    lh_lease_free(lease);

    lease = take(g, "deleted");
    delete_key(g, "workspace_id", "deleted");
    expect_shut_out(g, lease);
    lh_lease_free(lease);
}

static void test_past_its_end_it_commits_as_long_as_nobody_took_over(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take(g, "k");
    end_it(g, "k", MINUTE_MS);
    guard(g, &us, lease);
    assert_true(set_n(&us, "d", 1, NULL));
    assert_true(commit(&us));
    lh_lease_free(lease);
}

/* ---- Paused in the middle ---------------------------------------------------------------------*/

/* Opens the snapshot, as a transaction's first statement does. */
static void look_at_data(void)
{
    bson_t *filter = BCON_NEW("_id", BCON_UTF8("d")), *options = bson_new();
    bson_error_t why;
    const bson_t *ignored;
    assert_true(mongoc_client_session_append(us.session, options, &why));
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(us.data, filter, options, NULL);
    (void)mongoc_cursor_next(cursor, &ignored);
    assert_false(mongoc_cursor_error(cursor, &why));
    mongoc_cursor_destroy(cursor);
    bson_destroy(options);
    bson_destroy(filter);
}

/* What was read before the guard belongs to the old transaction: it cannot be begun again behind
 * its caller's back. */
static void test_a_keys_first_guard_after_a_read_begins_again(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take(g, "k");
    begin(&us);
    look_at_data();
    bson_t *reply = NULL;
    expect(g, LH_AGAIN, lh_lease_guard(lease, us.session, &reply, &g->error));
    assert_true(mongoc_error_has_label(reply, "TransientTransactionError"));
    bson_destroy(reply);
    assert_false(set_n(&us, "d", 99, NULL));
    assert_false(commit(&us));
    begin(&us);
    look_at_data();
    expect(g, LH_OK, lh_lease_guard(lease, us.session, NULL, &g->error));
    assert_true(commit(&us));
    give(g, lease);
}

static void guard_and_set(ground *g, lh_lease *lease, int n)
{
    app other = app_of(g);
    guard(g, &other, lease);
    assert_true(set_n(&other, "d", n, NULL));
    assert_true(commit(&other));
    app_end(&other);
}

/* Its snapshot is from before the takeover: it reads that the lease is its own. The successor's
 * fence stops it. */
static void test_an_old_snapshot_does_not_pass_the_successors_fence(void **state)
{
    ground *g = *state;
    needs_set(g);
    static const char *const before[] = {"nobody has guarded", "somebody has guarded"};
    for (int round = 0; round < 2; round++) {
        lh_lease *old = take(g, before[round]);
        if (round == 1)
            guard_and_set(g, old, 5);
        begin(&us);
        look_at_data();
        lh_lease *new = take_over(g, before[round]);
        guard_and_set(g, new, 7);
        bson_t *reply = NULL;
        int outcome = lh_lease_guard(old, us.session, &reply, &g->error);
        if (round == 0 &&
            outcome ==
                /* servers from 7.0 on read a collection of fences that is younger than the
                 * snapshot */
                LH_LOST) {
            rollback(&us);
        } else {
            expect(g, LH_AGAIN, outcome);
            assert_true(mongoc_error_has_label(reply, "TransientTransactionError"));
            assert_false(set_n(&us, "d", 99, NULL));
            assert_false(commit(&us));
        }
        bson_destroy(reply);
        begin(&us); /* and again, as it was told */
        expect(g, LH_LOST, lh_lease_guard(old, us.session, NULL, &g->error));
        rollback(&us);
        assert_int_equal(n_of(g, "data", "d", "n"), 7);
        lh_lease_free(old);
        give(g, new);
    }
}

/* The same when somebody removed the fence meanwhile, or the whole collection. */
static void test_a_removed_fence_lets_nobody_pass(void **state)
{
    ground *g = *state;
    needs_set(g);
    for (int round = 0; round < 3; round++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", round);
        lh_lease *old = take(g, key);
        if (round == 0)
            guard_and_set(g, old, 5);
        begin(&us);
        look_at_data();
        lh_lease *new = take_over(g, key);
        guard_and_set(g, new, 7);
        if (round < 2)
            do_command(g, g->db,
                       json("{'delete': '" FENCES
                            "', 'deletes': [{'q': {'_id': '%s'}, 'limit': 1}]}",
                            key));
        else
            do_command(g, g->db, json("{'drop': '" FENCES "'}"));
        expect(g, LH_AGAIN, lh_lease_guard(old, us.session, NULL, &g->error));
        assert_false(commit(&us));
        rollback(&us);
        begin(&us);
        expect(g, LH_LOST, lh_lease_guard(old, us.session, NULL, &g->error));
        rollback(&us);
        guard_and_set(g, new, 8); /* it is made again */
        lh_lease_free(old);
        give(g, new);
    }
}

/* A successor that has not guarded yet has read nothing: what comes before its guard it will
 * see. */
static void test_a_paused_holder_commits_before_its_successor_reads(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *old = take(g, "k");
    guard(g, &us, old);
    lh_lease *new = take_over(g, "k");
    app successor = app_of(g);
    begin(&successor);
    bson_t *reply = NULL;
    /* while it is open */
    expect(g, LH_AGAIN, lh_lease_guard(new, successor.session, &reply, &g->error));
    assert_true(mongoc_error_has_label(reply, "TransientTransactionError"));
    bson_destroy(reply);
    rollback(&successor);
    assert_true(set_n(&us, "d", 1, NULL));
    assert_true(commit(&us));
    begin(&successor);
    expect(g, LH_OK, lh_lease_guard(new, successor.session, NULL, &g->error));
    assert_true(set_n(&successor, "d", 2, NULL));
    assert_true(commit(&successor));
    app_end(&successor);
    expect_says(g, "cannot guard");
    begin(&us);
    expect(g, LH_LOST, lh_lease_guard(old, us.session, NULL, &g->error));
    rollback(&us);
    assert_int_equal(n_of(g, "data", "d", "n"), 2);
    lh_lease_free(old);
    give(g, new);
}

static void put_fence(ground *g, bson_t *fence)
{
    mongoc_collection_t *fences = mongoc_client_get_collection(g->client, g->db, FENCES);
    bson_error_t why;
    assert_true(mongoc_collection_insert_one(fences, fence, NULL, NULL, &why));
    mongoc_collection_destroy(fences);
    bson_destroy(fence);
}

/* Two documents of a key (its index was dropped), or a fence that cannot be read: fail closed. */
static void test_a_greater_or_unreadable_fence_is_not_passed(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take(g, "k"), *other = take(g, "other");
    put_fence(g, json("{'_id': 'k', 'token': {'$numberLong': '%lld'}, 'n': 1}",
                      (long long)lh_lease_token(lease) + 1));
    expect_shut_out(g, lease);
    expect_says(g, "newer holder");
    put_fence(g, json("{'_id': 'other', 'token': 'seven', 'n': 1}"));
    expect_no_way(g, other, LH_DATA);
    give(g, lease);
    give(g, other);
}

static void test_other_collections_have_fences_of_their_own(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_store_options options = store_options(g);
    options.collection = "jobs";
    options.at_open = LH_AT_OPEN_MIGRATE;
    reopen_store(g, &options);
    lh_lease *lease = take(g, "k");
    guard(g, &us, lease);
    assert_true(commit(&us));
    assert_int_equal(n_of(g, "jobs.fences", "k", "token"), lh_lease_token(lease));
    assert_int_equal(n_of(g, FENCES, "k", "token"), -1);
    give(g, lease);
}

/* ---- What goes wrong --------------------------------------------------------------------------*/

static void test_what_the_server_refuses_is_told_apart(void **state)
{
    ground *g = *state;
    needs_set(g);
    static const struct {
        const char *what;
        int outcome, server_code;
    } cases[] = {{"'errorCode': 112", LH_AGAIN, 112},     {"'closeConnection': true", LH_AGAIN, 0},
                 {"'errorCode': 11602", LH_AGAIN, 11602}, {"'errorCode': 13", LH_DENIED, 13},
                 {"'errorCode': 8000", LH_SERVER, 8000},  {"'errorCode': 20", LH_CONFIG, 20},
                 {"'errorCode': 50", LH_UNREACHABLE, 50}};
    lh_lease *lease = take(g, "k");
    guard_and_set(g, lease, 1); /* the fences are there */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int second = 0; second < 2; second++) {
            break_commands(g, 1, second ? "'findAndModify'" : "'find'", cases[i].what);
            begin(&us);
            expect(g, cases[i].outcome, lh_lease_guard(lease, us.session, NULL, &g->error));
            assert_int_equal(g->error.server_code, cases[i].server_code);
            mend_commands(g);
            rollback(&us);
        }
    }
    guard_and_set(g, lease, 2);
    give(g, lease);
}

static void test_a_client_of_another_deployment_finds_no_lease(void **state)
{
    ground *g = *state;
    needs_set(g);
    const char *standalone = getenv("LEASEHOLD_TEST_STANDALONE");
    if (!standalone || !*standalone)
        skip();
    lh_lease *lease = take(g, "k");
    app other = app_on(standalone, g->db, g->app);
    begin(&other);
    expect(g, LH_CONFIG, lh_lease_guard(lease, other.session, NULL, &g->error));
    app_end(&other);
    give(g, lease);
}

/* ---- From beginning to end --------------------------------------------------------------------*/

typedef struct {
    app *app;
    /* how often it fails for good, and as one that is worth another attempt */
    int n, calls, fail, conflicts;
} deed;

static bool do_it(mongoc_client_session_t *session, void *arg, bson_t **reply, bson_error_t *why)
{
    deed *d = arg;
    d->calls++;
    assert_ptr_equal(session, d->app->session);
    bson_t said;
    if (!set_n(d->app, "d", d->n, &said)) {
        *reply = bson_copy(&said);
        bson_destroy(&said);
        return false;
    }
    bson_destroy(&said);
    if (d->fail > 0) {
        d->fail--;
        bson_set_error(why, MONGOC_ERROR_CLIENT, 1, "the account is closed");
        return false;
    }
    if (d->conflicts > 0) {
        d->conflicts--;
        *reply = BCON_NEW("errorLabels", "[", "TransientTransactionError", "]");
        return false;
    }
    return true;
}

static void test_with_guard_commits(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take(g, "k");
    deed d = {.app = &us, .n = 3, .conflicts = 2};
    expect(g, LH_OK, lh_with_guard(lease, us.session, do_it, &d, &g->error));
    assert_int_equal(d.calls, 3);
    assert_int_equal(n_of(g, "data", "d", "n"), 3);
    assert_int_equal(n_of(g, FENCES, "k", "n"), 1);
    break_commands(g, 1, "'commitTransaction'", "'closeConnection': true");
    d = (deed){.app = &us, .n = 4};
    /* the driver asks again */
    expect(g, LH_OK, lh_with_guard(lease, us.session, do_it, &d, &g->error));
    assert_int_equal(n_of(g, "data", "d", "n"), 4);
    give(g, lease);
}

static void test_with_guard_tells_what_was_in_the_way(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take(g, "k");
    deed d = {.app = &us, .n = 1, .fail = 1};
    expect(g, LH_INVALID, lh_with_guard(lease, NULL, do_it, &d, &g->error));
    expect(g, LH_INVALID, lh_with_guard(lease, us.session, NULL, &d, &g->error));
    expect(g, LH_STOPPED, lh_with_guard(lease, us.session, do_it, &d, &g->error));
    expect_says(g, "the account is closed");
    begin(&us);
    expect(g, LH_INVALID, lh_with_guard(lease, us.session, do_it, &d, &g->error));
    expect_says(g, "open transaction");
    rollback(&us);
    assert_int_equal(n_of(g, "data", "d", "n"), -1);
    assert_int_equal(d.calls, 1);
    lh_lease *new = take_over(g, "k");
    expect(g, LH_LOST, lh_with_guard(lease, us.session, do_it, &d, &g->error));
    assert_int_equal(d.calls, 1);
    break_commands(g, 1, "'commitTransaction'", "'errorCode': 50");
    expect(g, LH_UNKNOWN, lh_with_guard(new, us.session, do_it, &d, &g->error));
    break_commands(
        g, 1, "'commitTransaction'",
        "'writeConcernError': {'code': 100, 'errmsg': 'not enough of them', 'codeName': 'x'}");
    expect(g, LH_UNKNOWN, lh_with_guard(new, us.session, do_it, &d, &g->error));
    break_commands(g, 1, "'commitTransaction'", "'errorCode': 8000");
    expect(g, LH_SERVER, lh_with_guard(new, us.session, do_it, &d, &g->error));
    /* ends what is open on the server still */
    expect(g, LH_OK, lh_with_guard(new, us.session, do_it, &d, &g->error));
    lh_lease_free(lease);
    give(g, new);
}

static bool find_no_server(mongoc_client_session_t *session, void *arg, bson_t **reply,
                           bson_error_t *why)
{
    (void)session, (void)arg, (void)reply;
    bson_set_error(why, MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE,
                   "none is there");
    return false;
}

/* Though it is the commit that is told of: it was not sent. */
static void test_work_that_found_no_server_is_surely_not_committed(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take(g, "k");
    expect(g, LH_UNREACHABLE, lh_with_guard(lease, us.session, find_no_server, NULL, &g->error));
    give(g, lease);
}

static void *end_later(void *arg)
{
    app *other = arg;
    (void)usleep(300000);
    return commit(other) ? other : NULL;
}

static void test_with_guard_waits_for_the_one_that_is_open(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take(g, "k");
    app other = app_of(g);
    guard(g, &other, lease);
    assert_true(set_n(&other, "d", 1, NULL));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, end_later, &other), 0);
    deed d = {.app = &us, .n = 2};
    expect(g, LH_OK, lh_with_guard(lease, us.session, do_it, &d, &g->error));
    void *good;
    pthread_join(thread, &good);
    assert_non_null(good);
    assert_int_equal(n_of(g, "data", "d", "n"), 2);
    assert_int_equal(n_of(g, FENCES, "k", "n"), 2);
    app_end(&other);
    give(g, lease);
}

/* Nothing is endless: while another one stays open, the lease's end is what ends it. */
static void test_with_guard_gives_up_with_the_lease(void **state)
{
    ground *g = *state;
    needs_set(g);
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 1000, NULL);
    app other = app_of(g);
    guard(g, &other, lease);
    deed d = {.app = &us, .n = 2};
    expect(g, LH_LOST, lh_with_guard(lease, us.session, do_it, &d, &g->error));
    assert_int_equal(d.calls, 0);
    rollback(&other);
    app_end(&other);
    lh_lease_free(lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        app_test(test_a_standalone_has_no_transactions_and_it_is_said),
        app_test(test_the_holder_commits_and_its_token_is_on_the_fence),
        app_test(test_arguments_are_checked),
        app_test(test_a_weak_write_concern_is_refused),
        app_test(test_after_the_local_deadline_nothing_is_sent),
        app_test(test_whoever_was_taken_over_is_shut_out),
        app_test(test_whoever_was_broken_or_released_or_deleted_is_shut_out),
        app_test(test_past_its_end_it_commits_as_long_as_nobody_took_over),
        app_test(test_a_keys_first_guard_after_a_read_begins_again),
        app_test(test_an_old_snapshot_does_not_pass_the_successors_fence),
        app_test(test_a_removed_fence_lets_nobody_pass),
        app_test(test_a_paused_holder_commits_before_its_successor_reads),
        app_test(test_a_greater_or_unreadable_fence_is_not_passed),
        app_test(test_other_collections_have_fences_of_their_own),
        app_test(test_what_the_server_refuses_is_told_apart),
        app_test(test_a_client_of_another_deployment_finds_no_lease),
        app_test(test_with_guard_commits),
        app_test(test_with_guard_tells_what_was_in_the_way),
        app_test(test_work_that_found_no_server_is_surely_not_committed),
        app_test(test_with_guard_waits_for_the_one_that_is_open),
        app_test(test_with_guard_gives_up_with_the_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * The trail where answers get lost, where there are many, without a thread, and at the end: each
 * acknowledged grant has one line, and what could not get one is not held. */
#include "live.h"

#include <pthread.h>

#define TRAIL "trail"
#define NO_MAJORITY                                                                                \
    "'writeConcernError': {'code': 64, 'errmsg': 'waiting for replication timed out'}"

static lh_store *trail_store(ground *g, int64_t timeout_ms)
{
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri;
    options.audit = TRAIL;
    options.timeout_ms = timeout_ms;
    return open_store_with(g, &options);
}

/* How many lines of this event, of this key (NULL: of any). */
static int64_t lines_of(ground *g, const char *event, const char *key)
{
    bson_t *filter = BCON_NEW("event", BCON_UTF8(event));
    if (key)
        BSON_APPEND_UTF8(filter, "key", key);
    bson_error_t error;
    mongoc_collection_t *trail = mongoc_client_get_collection(g->client, g->db, TRAIL);
    int64_t n = mongoc_collection_count_documents(trail, filter, NULL, NULL, NULL, &error);
    mongoc_collection_destroy(trail);
    bson_destroy(filter);
    return n;
}

static void test_a_lost_answer_gives_one_line(void **state)
{
    ground *g = *state;
    static const char *const faults[] = {NO_MAJORITY, "'closeConnection': true", "'errorCode': 91",
                                         "'errorCode': 10107"};
    char key[16];
    g->store = trail_store(g, 10000);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        (void)snprintf(key, sizeof key, "k%zu", i);
        break_commands(g, 1, "'insert'", faults[i]);
        lh_lease *lease = take(g, key);
        assert_int_equal(lines_of(g, "granted", key), 1);
        break_commands(g, 1, "'insert'", faults[i]);
        give(g, lease);
        assert_string_equal(g->error.message, "");
        assert_int_equal(lines_of(g, "released", key), 1);
    }
}

/* Not granted, and free: at once, or (on a machine that is too slow for the release too) when the
 * keeper has settled it. */
static void expect_given_back(ground *g, int outcome, const char *key)
{
    if (outcome != LH_UNREACHABLE)
        expect(g, LH_UNKNOWN, outcome);
    for (int i = 0; i < 100 && outcome == LH_UNKNOWN && state_of(g, key) != LH_FREE; i++)
        usleep(50000);
    assert_int_equal(state_of(g, key), LH_FREE);
}

static void test_what_gets_no_line_in_time_is_given_back(void **state)
{
    ground *g = *state;
    static const char *const faults[] = {NO_MAJORITY,
                                         "'blockConnection': true, 'blockTimeMS': 1200"};
    lh_lease *lease = NULL, *leases[3] = {NULL};
    lh_waiting *waiting = NULL;
    const char *keys[] = {"a", "k", "c"};
    g->store = trail_store(g, 1000);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        break_commands(g, 0, "'insert'", faults[i]);
        expect_given_back(g, lh_acquire(g->store, "k", NULL, &lease, NULL, &g->error), "k");
    }
    break_commands(g, 0, "'insert'", "'errorCode': 91");
    expect(g, LH_OK, lh_acquire_start(g->store, "k", NULL, &waiting, &g->error));
    expect_given_back(g, lh_waiting_finish(waiting, &lease, NULL, &g->error), "k");
    int outcome = lh_acquire_many(g->store, keys, 3, NULL, leases, NULL, &g->error);
    assert_null(lease);
    for (int i = 0; i < 3; i++) {
        expect_given_back(g, outcome, keys[i]);
        assert_null(leases[i]);
    }
    assert_int_equal(lines_of(g, "released", NULL), 0);
    mend_commands(g);
    give(g, take(g, "k"));
}

/* Neither the line nor the release is answered: the lease is in doubt, and named; the keeper
 * settles it. */
static void test_what_cannot_be_given_back_is_unknown(void **state)
{
    ground *g = *state;
    lh_lease *lease = NULL;
    g->store = trail_store(g, 800);
    give(g, take(g, "other"));
    break_commands(g, 0, "'insert','find'", "'errorCode': 91");
    expect(g, LH_UNREACHABLE, lh_acquire(g->store, "k", NULL, &lease, NULL, &g->error));
    /* The grant is the first findAndModify; what fails comes behind it. */
    do_command(
        g, "admin",
        json("{'configureFailPoint': 'failCommand', 'mode': {'skip': 1}, 'data': {'failCommands': "
             "['findAndModify', 'insert'], 'appName': '%s', 'errorCode': 91}}",
             g->app));
    expect(g, LH_UNKNOWN, lh_acquire(g->store, "k", NULL, &lease, NULL, &g->error));
    assert_null(lease);
    assert_int_equal(g->error.reason, LH_REASON_NOT_GIVEN_BACK);
    assert_int_equal(strlen(g->error.lease_id), LH_LEASE_ID_LEN);
    mend_commands(g);
    for (int i = 0; i < 100 && state_of(g, "k") != LH_FREE; i++)
        usleep(50000);
    assert_int_equal(state_of(g, "k"), LH_FREE);
}

static void test_many_have_a_line_each(void **state)
{
    ground *g = *state;
    enum { N = 150 };
    static char names[N][16];
    const char *keys[N];
    lh_lease *leases[N];
    g->store = trail_store(g, 10000);
    for (int i = 0; i < N; i++) {
        (void)snprintf(names[i], sizeof names[i], "k%03d", i);
        keys[i] = names[i];
    }
    take_token(g, "k007");
    end_it(g, "k007", 60000);
    expect(g, LH_OK, lh_acquire_many(g->store, keys, N, NULL, leases, NULL, &g->error));
    assert_int_equal(lines_of(g, "granted", NULL), N);
    assert_int_equal(lines_of(g, "taken_over", "k007"), 1);
    for (int i = 0; i < 20; i++)
        give(g, leases[i]);
    for (int i = 20; i < N; i++)
        assert_true(lh_lease_valid(leases[i]));
    lh_store_close(g->store); /* which releases the others */
    g->store = NULL;
    for (int i = 20; i < N; i++)
        lh_lease_free(leases[i]);
    assert_int_equal(lines_of(g, "released", NULL), N);
}

static void test_a_wait_without_a_thread_has_its_line_when_it_is_finished(void **state)
{
    ground *g = *state;
    lh_waiting *waiting = NULL, *other = NULL;
    lh_lease *lease = NULL;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = 60000;
    g->store = trail_store(g, 10000);
    lh_lease *first = take(g, "k");
    expect(g, LH_OK, lh_acquire_start(g->store, "k", &o, &waiting, &g->error));
    expect(g, LH_OK, lh_acquire_start(g->store, "k", &o, &other, &g->error));
    give(g, first);
    expect(g, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &g->error));
    assert_int_equal(lines_of(g, "granted", "k"), 2);
    give(g, lease);
    /* granted by then, or not: nobody was told */
    expect(g, LH_OK, lh_waiting_cancel(other, &g->error));
    assert_int_equal(lines_of(g, "granted", "k"), 2);
    expect(g, LH_OK, lh_acquire_start(g->store, "k", NULL, &waiting, &g->error));
    lh_store_close(g->store);
    g->store = NULL;
    expect(g, LH_CLOSED, lh_waiting_finish(waiting, &lease, NULL, &g->error));
    assert_int_equal(lines_of(g, "granted", "k"), 2);
    g->store = open_store(g);
    assert_int_equal(state_of(g, "k"), LH_FREE);
}

static void test_what_nobody_was_told_of_has_no_lines(void **state)
{
    ground *g = *state;
    lh_waiting *waiting = NULL;
    g->store = trail_store(g, 10000);
    expect(g, LH_OK, lh_acquire_start(g->store, "k", NULL, &waiting, &g->error));
    expect(g, LH_OK, lh_waiting_cancel(waiting, &g->error));
    assert_int_equal(state_of(g, "k"), LH_FREE);
    expect(g, LH_OK, lh_acquire_start(g->store, "k", NULL, &waiting, &g->error));
    lh_store_close(g->store);
    g->store = NULL;
    expect(g, LH_OK, lh_waiting_cancel(waiting, &g->error));
    assert_int_equal(lines_of(g, "granted", NULL), 0);
    assert_int_equal(lines_of(g, "released", NULL), 0);
}

/* Nothing of what it could not release; and no owner where it does not know whose it was. */
static void test_closing_tells_what_it_released(void **state)
{
    ground *g = *state;
    lh_lease *leases[3] = {NULL}, *attached = NULL;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.owner = "alice";
    o.by_hand = true;
    g->store = trail_store(g, 10000);
    expect(g, LH_OK, lh_acquire(g->store, "kept", &o, &leases[0], NULL, &g->error));
    o.by_hand = false;
    lh_store *other = trail_store(g, 10000);
    expect(g, LH_OK, lh_lease_attach(other, "kept", lh_lease_id(leases[0]), &attached, &g->error));
    lh_lease_free(leases[0]);
    expect(g, LH_OK, lh_lease_renew(attached, 0, NULL, &g->error));
    expect(g, LH_OK, lh_lease_keep(attached, &g->error));
    lh_store_close(other);
    lh_lease_free(attached);
    assert_int_equal(lines_of(g, "released", "kept"), 1);
    bson_t *filter = json("{'event': 'released', 'key': 'kept', 'owner': {'$exists': true}}");
    mongoc_collection_t *trail = mongoc_client_get_collection(g->client, g->db, TRAIL);
    bson_error_t error;
    assert_int_equal(mongoc_collection_count_documents(trail, filter, NULL, NULL, NULL, &error), 0);
    mongoc_collection_destroy(trail);
    bson_destroy(filter);
    expect(g, LH_OK, lh_acquire(g->store, "a", &o, &leases[0], NULL, &g->error));
    expect(g, LH_OK, lh_acquire(g->store, "b", &o, &leases[1], NULL, &g->error));
    o.mode = LH_SHARED;
    expect(g, LH_OK, lh_acquire(g->store, "c", &o, &leases[2], NULL, &g->error));
    break_commands(g, 0, "'findAndModify','update'", "'errorCode': 13");
    lh_store_close(g->store);
    g->store = NULL;
    mend_commands(g);
    for (int i = 0; i < 3; i++)
        lh_lease_free(leases[i]);
    assert_int_equal(lines_of(g, "granted", NULL), 4);
    assert_int_equal(lines_of(g, "released", NULL), 1);
}

typedef struct {
    ground *g;
    int outcome;
    lh_lease *lease;
    lh_error error;
} asker;

static void *ask(void *arg)
{
    asker *a = arg;
    a->outcome = lh_acquire(a->g->store, "k", NULL, &a->lease, NULL, &a->error);
    return NULL;
}

static void test_closing_waits_for_a_line_that_is_on_its_way(void **state)
{
    ground *g = *state;
    asker a = {.g = g, .error = LH_ERROR_INIT};
    pthread_t thread;
    g->store = trail_store(g, 10000);
    break_commands(g, 1, "'insert'", "'blockConnection': true, 'blockTimeMS': 700");
    assert_int_equal(pthread_create(&thread, NULL, ask, &a), 0);
    usleep(350000);
    lh_store_close(g->store);
    g->store = NULL;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(a.outcome, LH_OK);
    assert_false(lh_lease_valid(a.lease));
    lh_lease_free(a.lease);
    mend_commands(g);
    assert_int_equal(lines_of(g, "granted", "k"), 1);
    assert_int_equal(lines_of(g, "released", "k"), 1);
}

static int stop_at_once(void *arg, const lh_audit_entry *entry)
{
    (void)entry;
    ++*(int *)arg;
    return 1;
}

static void test_reading_stops_is_checked_and_needs_a_trail(void **state)
{
    ground *g = *state;
    int n = 0;
    lh_audit_options o = LH_AUDIT_OPTIONS_INIT;
    g->store = trail_store(g, 10000);
    give(g, take(g, "k"));
    expect(g, LH_STOPPED, lh_audit(g->store, NULL, stop_at_once, &n, &g->error));
    assert_int_equal(n, 1);
    expect(g, LH_INVALID, lh_audit(g->store, NULL, NULL, NULL, &g->error));
    o.since_ms = -1;
    expect(g, LH_INVALID, lh_audit(g->store, &o, stop_at_once, &n, &g->error));
    o.since_ms = 0;
    o.key = "";
    expect(g, LH_INVALID, lh_audit(g->store, &o, stop_at_once, &n, &g->error));
    lh_store_options without = store_options(g);
    reopen_store(g, &without);
    expect(g, LH_INVALID, lh_audit(g->store, NULL, stop_at_once, &n, &g->error));
}

typedef struct {
    ground *g;
    lh_cancel *cancel;
    const char *what; /* what the next look meets */
    int64_t tokens[2];
    int n;
} reader;

static int note(void *arg, const lh_audit_entry *entry)
{
    reader *r = arg;
    if (strcmp(entry->event, "granted") != 0 || r->n == 2)
        return 0;
    r->tokens[r->n++] = entry->token;
    if (r->n == 2) {
        lh_cancel_now(r->cancel);
        return 0;
    }
    lh_lease_free(take(r->g, "later"));
    break_commands(r->g, 1, "'find'", r->what);
    return 0;
}

/* Each line once. */
static void test_who_follows_bears_a_look_that_is_refused(void **state)
{
    ground *g = *state;
    g->store = trail_store(g, 10000);
    lh_lease_free(take(g, "k"));
    reader r = {.g = g, .what = "'errorCode': 8000"};
    expect(g, LH_OK, lh_cancel_new(&r.cancel, &g->error));
    lh_audit_options o = LH_AUDIT_OPTIONS_INIT;
    o.follow = true;
    o.cancel = r.cancel;
    expect(g, LH_CANCELLED, lh_audit(g->store, &o, note, &r, &g->error));
    assert_int_equal(r.n, 2);
    assert_true(r.tokens[0] != r.tokens[1]);
    lh_cancel_free(r.cancel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_test(test_a_lost_answer_gives_one_line),
        bare_test(test_what_gets_no_line_in_time_is_given_back),
        bare_test(test_what_cannot_be_given_back_is_unknown),
        bare_test(test_many_have_a_line_each),
        bare_test(test_a_wait_without_a_thread_has_its_line_when_it_is_finished),
        bare_test(test_what_nobody_was_told_of_has_no_lines),
        bare_test(test_closing_tells_what_it_released),
        bare_test(test_closing_waits_for_a_line_that_is_on_its_way),
        bare_test(test_reading_stops_is_checked_and_needs_a_trail),
        bare_test(test_who_follows_bears_a_look_that_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Waiting while something is in the way: a transaction on the key's document, a change stream that
 * ends for good, fails again and again, or falls silent. Somebody waits until the end; nobody
 * believes anything wrong meanwhile. */
#include <poll.h>

#include "own.h"

static bool is_settled(lh_waiting *waiting, int ms)
{
    struct pollfd poller = {.fd = lh_waiting_fd(waiting), .events = POLLIN};
    return poll(&poller, 1, ms) == 1;
}

/* A second store, which no failpoint is aimed at. */
static lh_store *another(ground *g)
{
    lh_store_options options = store_options(g);
    options.app_name = "beside";
    return open_store_with(g, &options);
}

static lh_lease *take_by(ground *g, lh_store *store)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_lease *lease = NULL;
    o.ttl_ms = 120000;
    expect(g, LH_OK, lh_acquire(store, "k", &o, &lease, NULL, &g->error));
    return lease;
}

static lh_waiting *await(ground *g)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_waiting *waiting = NULL;
    o.wait_ms = 60000;
    expect(g, LH_OK, lh_acquire_start(g->store, "k", &o, &waiting, &g->error));
    return waiting;
}

/* It is granted, believed, and really the holder. */
static void expect_served(ground *g, lh_waiting *waiting, int64_t within_ms)
{
    lh_lease *lease = NULL;
    int64_t start = now_ms();
    assert_true(is_settled(waiting, (int)within_ms));
    expect(g, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &g->error));
    print_message("served after %d ms\n", (int)(now_ms() - start));
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), lh_lease_id(lease));
    assert_int_equal(number_at(document, "token"), lh_lease_token(lease));
    bson_destroy(document);
    assert_true(lh_lease_valid(lease));
    give(g, lease);
    assert_int_equal(state_of(g, "k"), LH_FREE);
}

/* ---- A transaction on the document ------------------------------------------------------------*/

static mongoc_client_session_t *lock_document(ground *g)
{
    bson_error_t error = {0};
    mongoc_client_session_t *session = mongoc_client_start_session(g->client, NULL, &error);
    assert_non_null(session);
    assert_true(mongoc_client_session_start_transaction(session, NULL, &error));
    bson_t options = BSON_INITIALIZER, *filter = BCON_NEW("workspace_id", "k"),
           *update = json("{'$set': {'touched': true}}");
    assert_true(mongoc_client_session_append(session, &options, &error));
    bool good = mongoc_collection_update_one(g->locks, filter, update, &options, NULL, &error);
    if (!good)
        print_error("%s\n", error.message);
    assert_true(good);
    bson_destroy(&options);
    bson_destroy(filter);
    bson_destroy(update);
    return session;
}

typedef struct {
    lh_lease *lease;
    int outcome;
    lh_error error;
} releasing;

static void *release(void *arg)
{
    releasing *r = arg;
    r->outcome = lh_lease_release(r->lease, &r->error);
    return NULL;
}

static void wait_behind_a_transaction(ground *g, int64_t ms)
{
    lh_store *other = another(g);
    releasing r = {.lease = take_by(g, other), .error = LH_ERROR_INIT};
    lh_waiting *waiting = await(g);
    mongoc_client_session_t *session = lock_document(g);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release, &r), 0);
    assert_false(is_settled(waiting, (int)ms));
    assert_true(mongoc_client_session_abort_transaction(session, NULL));
    mongoc_client_session_destroy(session);
    expect_served(g, waiting, 20000);
    pthread_join(thread, NULL);
    if (r.outcome != LH_OK)
        print_error("%s\n", r.error.message);
    assert_int_equal(r.outcome, LH_OK);
    assert_false(lh_lease_valid(r.lease));
    lh_lease_free(r.lease);
    close_later(other);
}

static void test_a_release_behind_a_transaction_grants_after_it(void **state)
{
    ground *g = *state;
    if (!g->set)
        skip();
    wait_behind_a_transaction(g, 1500);
}

/* Longer than the claim: the grant names a beat that is too old to be believed, or finds nobody
 * alive. */
static void test_a_grant_that_comes_too_late_is_asked_for_again(void **state)
{
    ground *g = *state;
    if (!g->set)
        skip();
    wait_behind_a_transaction(g, 6500);
}

/* ---- The stream -------------------------------------------------------------------------------*/

static void wait_with_broken_stream(ground *g, int times, const char *what, int64_t within_ms)
{
    lh_store *other = another(g);
    for (int round = 0; round < 2; round++) {
        lh_lease *lease = take_by(g, other);
        lh_waiting *waiting = await(g);
        if (round == 0) {
            assert_false(is_settled(waiting, 1200)); /* the stream is open by now */
            break_commands(g, times, "'getMore'", what);
        }
        assert_false(is_settled(waiting, 700));
        give(g, lease);
        expect_served(g, waiting, within_ms);
    }
    close_later(other);
}

static void test_a_stream_whose_history_is_lost_is_opened_again(void **state)
{
    ground *g = *state;
    if (g->set)
        wait_with_broken_stream(g, 1, "'errorCode': 286", 10000);
}

static void test_a_stream_that_fails_for_ever_is_made_up_for_by_timers(void **state)
{
    ground *g = *state;
    if (g->set)
        wait_with_broken_stream(g, 0, "'errorCode': 286", 10000);
}

static void test_a_stream_that_falls_silent_is_made_up_for_by_timers(void **state)
{
    ground *g = *state;
    if (g->set)
        wait_with_broken_stream(g, 0, "'blockConnection': true, 'blockTimeMS': 4000", 10000);
}

/* ---- The oplog --------------------------------------------------------------------------------*/

/* Another process that waits for "k", and ends when it has it. */
static int be_waiter(char **argv)
{
    lh_store_options so = LH_STORE_OPTIONS_INIT;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_store *store = NULL;
    lh_lease *lease = NULL;
    lh_error error = LH_ERROR_INIT;
    so.uri = argv[1];
    so.db = argv[2];
    o.wait_ms = LH_FOREVER;
    o.claim_ms = 60000;
    if (lh_store_open(&so, &store, &error) == LH_OK &&
        lh_acquire(store, "k", &o, &lease, NULL, &error) == LH_OK)
        return 0;
    (void)fprintf(stderr, "%s\n", error.message);
    return 1;
}

/* "o": it watches, "g": it may have missed something; it ends at the release behind that. */
static int tell(void *arg, const lh_event *event)
{
    bool *gap = arg;
    bool now = event->kind == LH_EVENT_GAP, opened = event->kind == LH_EVENT_OPENED;
    if ((now || opened) && write(STDOUT_FILENO, now ? "g" : "o", 1) != 1)
        return -1;
    *gap = *gap || now;
    return *gap && event->kind == LH_EVENT_RELEASED;
}

/* Another process that watches, and ends when it was told of a release behind a gap. */
static int be_watcher(char **argv)
{
    lh_store_options so = LH_STORE_OPTIONS_INIT;
    lh_store *store = NULL;
    lh_error error = LH_ERROR_INIT;
    bool gap = false;
    so.uri = argv[1];
    so.db = argv[2];
    bool good = lh_store_open(&so, &store, &error) == LH_OK &&
                lh_watch(store, NULL, tell, &gap, &error) == LH_STOPPED;
    if (!good)
        (void)fprintf(stderr, "%s\n", error.message);
    lh_store_close(store);
    return good ? 0 : 1;
}

/* Another process of this program; what it writes can be read from *ret_out. */
static pid_t start_as(const ground *g, const char *what, int *ret_out)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execl("/proc/self/exe", what, g->uri, g->db, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    *ret_out = ends[0];
    return pid;
}

static void expect_told(int out, char what)
{
    char told = '\0';
    assert_int_equal(read(out, &told, 1), 1);
    assert_int_equal(told, what);
}

static void expect_end(pid_t pid, int64_t give_up)
{
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && now_ms() < give_up)
        usleep(2000);
    if (ended == 0)
        (void)kill(pid, SIGKILL);
    assert_int_equal(ended, pid);
    assert_int_equal(status, 0);
}

static bool has_waiters(ground *g)
{
    bson_t *document = document_of(g, "k");
    bool there = document && has(document, "waiters");
    bson_destroy(document);
    return there;
}

static int64_t oldest_in_oplog(ground *g)
{
    bson_t *reply =
        run_command(g, "local", json("{'find': 'oplog.rs', 'sort': {'$natural': 1}, 'limit': 1}"));
    assert_non_null(reply);
    bson_iter_t value;
    uint32_t seconds, increment;
    assert_true(find_at(reply, "cursor.firstBatch.0.ts", &value));
    bson_iter_timestamp(&value, &seconds, &increment);
    bson_destroy(reply);
    return seconds;
}

/* Writes until the oplog of a megabyte begins after `then`. */
static void roll_over(ground *g, int64_t then)
{
    static char filling[200001];
    memset(filling, 'x', sizeof filling - 1);
    int64_t until = now_ms() + 60000;
    while (oldest_in_oplog(g) <= then && now_ms() < until) {
        for (int i = 0; i < 10; i++)
            do_command(g, g->db,
                       BCON_NEW("update", "filling", "updates", "[", "{", "q", "{", "_id",
                                BCON_INT32(i), "}", "u", "{", "text", BCON_UTF8(filling), "n",
                                BCON_INT64(now_ms()), "}", "upsert", BCON_BOOL(true), "}", "]"));
        usleep(200000);
    }
    assert_true(oldest_in_oplog(g) > then);
}

/* Processes that slept until nothing is left of where their streams were. */
static void test_a_waiter_and_a_watcher_go_on_where_the_oplog_rolled_over(void **state)
{
    (void)state;
    own set;
    if (!strstr(getenv("LEASEHOLD_TEST_URI"), "replicaSet=") ||
        !own_up_with(&set, "set", "--oplog-mb 1"))
        skip();
    ground *g = own_ground(&set, 10000);
    lh_lease *lease = take_by(g, g->store);
    int out, told;
    pid_t waiter = start_as(g, "waiter", &out), watcher = start_as(g, "watcher", &told);
    expect_told(told, 'o');
    while (!has_waiters(g))
        usleep(5000);
    usleep(1500000); /* its stream is open by now */
    assert_int_equal(kill(waiter, SIGSTOP), 0);
    assert_int_equal(kill(watcher, SIGSTOP), 0);
    usleep(1500000); /* the server may go on reading for them */
    int64_t start = now_ms();
    roll_over(g, server_ms(g) / 1000);
    print_message("rolled over in %d ms\n", (int)(now_ms() - start));
    assert_int_equal(kill(waiter, SIGCONT), 0);
    assert_int_equal(kill(watcher, SIGCONT), 0);
    expect_told(told, 'g');
    start = now_ms();
    give(g, lease);
    expect_end(waiter, start + 20000);
    print_message("served after %d ms\n", (int)(now_ms() - start));
    expect_end(watcher, start + 20000);
    (void)close(out);
    (void)close(told);
    void *made = g;
    (void)old_ground(&made);
    own_down(&set);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return strcmp(argv[0], "watcher") == 0 ? be_watcher(argv) : be_waiter(argv);
    const struct CMUnitTest tests[] = {
        live_test(test_a_release_behind_a_transaction_grants_after_it),
        live_test(test_a_grant_that_comes_too_late_is_asked_for_again),
        live_test(test_a_stream_whose_history_is_lost_is_opened_again),
        live_test(test_a_stream_that_fails_for_ever_is_made_up_for_by_timers),
        live_test(test_a_stream_that_falls_silent_is_made_up_for_by_timers),
        cmocka_unit_test(test_a_waiter_and_a_watcher_go_on_where_the_oplog_rolled_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

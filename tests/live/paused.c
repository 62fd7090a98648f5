/* SPDX-License-Identifier: Apache-2.0
 * Holders that are stopped past the end of their leases and then go on, as in Jepsen's set test:
 * each process adds an element to a set by reading it, and writing it back with one more. Lost is
 * what was acknowledged and is not there in the end.
 *
 * The control, without guard and fence, loses updates though each holder looks at lh_lease_valid()
 * before it writes. With them, none is.
 *
 * Each key has a holder, a process of its own that stops itself (SIGSTOP) between its read and its
 * write, and a successor, a thread that takes over: either it writes before the holder goes on, or
 * it reads before and writes after. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "deed.h"

#define TTL_MS       2000
#define STOPPED_MS   5000
#define KEYS         3 /* of each way and order */
#define HOLDERS_MARK 1
#define SUCCESSORS   2

typedef enum { UNFENCED, FENCED, GUARDED, WAYS } way;
static const char *const way_words[] = {"unfenced", "fenced", "guarded"};

enum { ADDED = 0, REFUSED = 1, BROKEN = 2 }; /* also the holder's exit status */

typedef struct {
    way how;
    app *app;
    lh_lease *lease;
    const char *name; /* of the set's document */
    int element;
    void (*pause)(void *arg); /* between read and write */
    void *arg;
    lh_error error;
} addition;

/* The set that was read, with one more, as an update. */
static bson_t *one_more(const bson_t *document, int element)
{
    bson_t *update = bson_new(), set, array;
    bson_iter_t at, value;
    uint32_t n = 0;
    char room[16];
    const char *index;
    BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &set);
    BSON_APPEND_ARRAY_BEGIN(&set, "elements", &array);
    if (document && bson_iter_init_find(&at, document, "elements") &&
        bson_iter_recurse(&at, &value)) {
        for (; bson_iter_next(&value); n++) {
            bson_uint32_to_string(n, &index, room, sizeof room);
            BSON_APPEND_INT32(&array, index, bson_iter_int32(&value));
        }
    }
    bson_uint32_to_string(n, &index, room, sizeof room);
    BSON_APPEND_INT32(&array, index, element);
    bson_append_array_end(&set, &array);
    bson_append_document_end(update, &set);
    return update;
}

/* Reads, pauses, writes; with the session if there is one. */
static bool add_plainly(addition *a, mongoc_client_session_t *session, bson_t **ret_reply,
                        bson_error_t *why)
{
    bson_t *id = BCON_NEW("_id", BCON_UTF8(a->name)), *options = bson_new(), reply;
    if (session && !mongoc_client_session_append(session, options, why))
        return false;
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(a->app->data, id, options, NULL);
    const bson_t *document = NULL;
    (void)mongoc_cursor_next(cursor, &document);
    bson_t *update = one_more(document, a->element);
    mongoc_cursor_destroy(cursor);
    bool good = session || lh_lease_valid(a->lease);
    a->pause(a->arg);
    good = good && mongoc_collection_update_one(a->app->data, id, update, options, &reply, why);
    if (good || session) {
        if (!good && ret_reply)
            *ret_reply = bson_copy(&reply);
        bson_destroy(&reply);
    }
    bson_destroy(update);
    bson_destroy(options);
    bson_destroy(id);
    return good;
}

static bool add_in_transaction(mongoc_client_session_t *session, void *arg, bson_t **reply,
                               bson_error_t *why)
{
    return add_plainly(arg, session, reply, why);
}

static int add_fenced(addition *a)
{
    bson_t *id = BCON_NEW("_id", BCON_UTF8(a->name)), document;
    int outcome = lh_fenced_read(a->lease, a->app->data, id, 0, &document, &a->error);
    if (outcome == LH_OK) {
        bson_t *update = one_more(&document, a->element);
        a->pause(a->arg);
        outcome = lh_fenced_write(a->lease, a->app->data, id, update, NULL, &a->error);
        bson_destroy(update);
        bson_destroy(&document);
    }
    bson_destroy(id);
    return outcome;
}

static int add(addition *a)
{
    bson_error_t why = {0};
    int outcome = a->how == FENCED ? add_fenced(a)
                  : a->how == GUARDED
                      ? lh_with_guard(a->lease, a->app->session, add_in_transaction, a, &a->error)
                  : add_plainly(a, NULL, NULL, &why) ? LH_OK
                                                     : LH_SERVER;
    return outcome == LH_OK ? ADDED : outcome == LH_LOST ? REFUSED : BROKEN;
}

/* ---- The holder: this program again -----------------------------------------------------------*/

static void stop_here(void *arg)
{
    bool *stopped = arg;
    if (!*stopped) /* a transaction that begins again does not */
        (void)raise(SIGSTOP);
    *stopped = true;
}

/* holder WAY EARLY URI DB KEY: acquires, adds, and says by its exit status what came of it. EARLY:
 * it is stopped before it looks at anything but its lease. */
static int hold(char **args)
{
    bool early = atoi(args[1]), stopped = false;
    mongoc_init();
    mongoc_log_set_handler(NULL, NULL);
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = args[2];
    options.db = args[3];
    options.at_open = LH_AT_OPEN_NOTHING;
    lh_acquire_options how = LH_ACQUIRE_OPTIONS_INIT;
    how.ttl_ms = TTL_MS;
    lh_store *store;
    addition a = {.how = (way)atoi(args[0]),
                  .name = args[4],
                  .element = HOLDERS_MARK,
                  .pause = stop_here,
                  .arg = &stopped,
                  .error = LH_ERROR_INIT};
    if (lh_store_open(&options, &store, &a.error) != LH_OK ||
        lh_acquire(store, args[4], &how, &a.lease, NULL, &a.error) != LH_OK) {
        (void)fprintf(stderr, "holder: %s\n", a.error.message);
        return BROKEN;
    }
    app own = app_on(args[2], args[3], "holder");
    a.app = &own;
    if (early)
        stop_here(&stopped);
    int result = add(&a);
    if (result == BROKEN)
        (void)fprintf(stderr, "holder, %s: %s\n", way_words[a.how], a.error.message);
    app_end(&own);
    lh_lease_free(a.lease);
    lh_store_close(store);
    return result;
}

/* ---- The successor ----------------------------------------------------------------------------*/

typedef struct {
    ground *g;
    way how;
    /* how the holder is stopped; the successor writes after the holder went on */
    bool early, after;
    char name[24];
    pid_t holder;
    int64_t stopped_at; /* on CLOCK_MONOTONIC */
    pthread_t thread;
    int held, succeeded; /* what came of both */
} match;

static int64_t clock_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int end_of(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : BROKEN;
}

/* The holder goes on, when it has been stopped for long enough, and ends. */
static void let_go_on(void *arg)
{
    match *m = arg;
    if (m->holder == 0)
        return;
    while (clock_ms() < m->stopped_at + STOPPED_MS)
        (void)usleep(10000);
    (void)kill(m->holder, SIGCONT);
    m->held = end_of(m->holder);
    m->holder = 0;
}

/* Within an open transaction of the holder's a successor cannot get through: it goes on beside
 * it. */
static void *let_go_on_beside(void *arg)
{
    let_go_on(arg);
    return NULL;
}

static void no_pause(void *arg)
{
    (void)arg;
}

static void *succeed(void *arg)
{
    match *m = arg;
    app own = app_of(m->g);
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.wait_ms = 20000;
    addition a = {.how = m->how,
                  .app = &own,
                  .name = m->name,
                  .element = SUCCESSORS,
                  .pause = m->after ? let_go_on : no_pause,
                  .arg = m,
                  .error = LH_ERROR_INIT};
    pthread_t beside;
    m->succeeded = BROKEN;
    if (lh_acquire(m->g->store, m->name, &options, &a.lease, NULL, &a.error) == LH_OK) {
        bool open = m->how == GUARDED && !m->early;
        bool started = open && pthread_create(&beside, NULL, let_go_on_beside, m) == 0;
        if (started)
            a.pause = no_pause;
        m->succeeded = add(&a);
        if (started)
            pthread_join(beside, NULL);
        (void)lh_lease_release(a.lease, NULL);
        lh_lease_free(a.lease);
    }
    if (m->succeeded != ADDED)
        print_error("the %s successor: %s\n", way_words[m->how], a.error.message);
    let_go_on(m);
    app_end(&own);
    return NULL;
}

/* ---- The matches ------------------------------------------------------------------------------*/

/* Starts the holder, and returns when it has stopped itself. */
static void start(match *m)
{
    char how[8], early[8], self[] = "/proc/self/exe", word[] = "holder", uri[512], db[40];
    (void)snprintf(how, sizeof how, "%d", (int)m->how);
    (void)snprintf(early, sizeof early, "%d", m->early);
    (void)snprintf(uri, sizeof uri, "%s", m->g->uri);
    (void)snprintf(db, sizeof db, "%s", m->g->db);
    char *const args[] = {self, word, how, early, uri, db, m->name, NULL};
    m->holder = fork();
    assert_true(m->holder >= 0);
    if (m->holder == 0) {
        (void)execv(self, args);
        _exit(127);
    }
}

static void await_stop(match *m)
{
    int status;
    assert_int_equal(waitpid(m->holder, &status, WUNTRACED), m->holder);
    assert_true(WIFSTOPPED(status));
    m->stopped_at = clock_ms();
}

static int lost_of(ground *g, const match *m)
{
    bson_t *document = document_in(g, "data", m->name);
    assert_non_null(document);
    bool is_there[3] = {false, false, false};
    bson_iter_t at, value;
    if (bson_iter_init_find(&at, document, "elements") && bson_iter_recurse(&at, &value))
        while (bson_iter_next(&value))
            is_there[bson_iter_int32(&value)] = true;
    bson_destroy(document);
    return (m->held == ADDED && !is_there[HOLDERS_MARK]) +
           (m->succeeded == ADDED && !is_there[SUCCESSORS]);
}

static void test_stopped_holders_lose_nobodys_updates(void **state)
{
    ground *g = *state;
    static match matches[WAYS * 4 * KEYS];
    size_t n = 0;
    app observer = app_of(g);
    for (int how = UNFENCED; how < (g->set ? WAYS : GUARDED); how++) {
        for (int i = 0; i < 3 * KEYS; i++) {
            match *m = &matches[n++];
            *m = (match){.g = g,
                         .how = (way)how,
                         .early = i % 3 == 2 && how == GUARDED,
                         .after = i % 3 == 1};
            (void)snprintf(m->name, sizeof m->name, "%s-%d", way_words[how], i);
            assert_true(set_n(&observer, m->name, 0, NULL));
            start(m);
        }
    }
    for (size_t i = 0; i < n; i++)
        await_stop(&matches[i]);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pthread_create(&matches[i].thread, NULL, succeed, &matches[i]), 0);
    int lost[WAYS] = {0}, acknowledged[WAYS] = {0}, refused[WAYS] = {0}, broken = 0;
    for (size_t i = 0; i < n; i++) {
        match *m = &matches[i];
        pthread_join(m->thread, NULL);
        lost[m->how] += lost_of(g, m);
        acknowledged[m->how] += (m->held == ADDED) + (m->succeeded == ADDED);
        refused[m->how] += m->held == REFUSED;
        broken += m->held == BROKEN || m->succeeded != ADDED;
    }
    for (int how = UNFENCED; how < (g->set ? WAYS : GUARDED); how++)
        print_message("  %-8s  lost %d of %d acknowledged updates, %d refused\n", way_words[how],
                      lost[how], acknowledged[how], refused[how]);
    app_end(&observer);
    assert_int_equal(broken, 0);
    assert_int_equal(lost[UNFENCED], 3 * KEYS); /* each one: the test is able to see a loss */
    assert_int_equal(lost[FENCED], 0);
    assert_int_equal(lost[GUARDED], 0);
    assert_int_equal(refused[FENCED], 3 * KEYS);
    /* an open transaction may commit before its successor's; who was stopped before it is
     * refused */
    if (g->set)
        assert_true(refused[GUARDED] >= KEYS);
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "holder") == 0)
        return hold(argv + 2);
    const struct CMUnitTest tests[] = {
        live_test(test_stopped_holders_lose_nobodys_updates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

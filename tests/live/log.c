/* SPDX-License-Identifier: Apache-2.0
 * The log of a store, and its metrics: which events a script of calls gives, in which threads, what
 * their callback may do, and that no event contains a secret. */
#include <ctype.h>

#include "waiting.h"

#define EVENTS_MAX 512

/* What the callback was given. The strings are copies. */
typedef struct {
    lh_log_event is;
    char key[64], lease[64], command[64], message[512];
    pthread_t thread;
} entry;

typedef struct {
    pthread_mutex_t lock;
    entry entries[EVENTS_MAX];
    size_t n, looked_at;
    void (*also)(void *arg, const lh_log_event *event);
    void *also_arg;
} journal;

static void copy(char *to, size_t size, const char *text)
{
    (void)snprintf(to, size, "%s", text ? text : "");
}

static void note(void *arg, const lh_log_event *event)
{
    journal *j = arg;
    pthread_mutex_lock(&j->lock);
    assert_true(j->n < EVENTS_MAX);
    entry *e = &j->entries[j->n++];
    e->is = *event;
    e->thread = pthread_self();
    copy(e->key, sizeof e->key, event->key);
    copy(e->lease, sizeof e->lease, event->lease);
    copy(e->command, sizeof e->command, event->command);
    copy(e->message, sizeof e->message, event->message);
    pthread_mutex_unlock(&j->lock);
    if (j->also)
        j->also(j->also_arg, event);
}

/* One that nobody has written into. It stays: a store that is closed later still writes. */
static journal *begin(void)
{
    static journal journals[8];
    static size_t n;
    assert_true(n < sizeof journals / sizeof *journals);
    journal *j = &journals[n++];
    pthread_mutex_init(&j->lock, NULL);
    return j;
}

static lh_store *open_logged(ground *g, journal *j, int level)
{
    lh_store_options options = store_options(g);
    options.log = note;
    options.log_arg = j;
    options.log_level = level;
    return open_store_with(g, &options);
}

static bool is_secret(const char *text)
{
    size_t run = 0;
    for (; *text; text++) {
        run = isxdigit((unsigned char)*text) ? run + 1 : 0;
        if (run >= LH_LEASE_ID_LEN)
            return true;
    }
    return false;
}

static void end(journal *j)
{
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < j->n; i++) {
        const entry *e = &j->entries[i];
        const char *const texts[] = {e->key, e->lease, e->command, e->message};
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            if (strstr(texts[t], "s3cret") || strstr(texts[t], "mongodb://") || is_secret(texts[t]))
                fail_msg("the event \"%s\" shows: %s", lh_log_word(e->is.event), texts[t]);
        assert_true(strlen(e->lease) <= 8);
        assert_int_equal(e->is.size, sizeof(lh_log_event));
        assert_true((e->is.outcome == LH_OK) == (e->message[0] == '\0') ||
                    e->is.event == LH_LOG_LOST);
    }
    pthread_mutex_unlock(&j->lock);
}

/* The first one of this kind, from the last that was found on. */
static bool find(journal *j, int event, int outcome, entry *ret)
{
    bool found = false;
    pthread_mutex_lock(&j->lock);
    for (size_t i = j->looked_at; i < j->n && !found; i++) {
        found = j->entries[i].is.event == event && j->entries[i].is.outcome == outcome;
        if (found) {
            *ret = j->entries[i];
            j->looked_at = i + 1;
        }
    }
    pthread_mutex_unlock(&j->lock);
    return found;
}

static entry next(journal *j, int event, int outcome)
{
    entry found;
    within(5000, find(j, event, outcome, &found));
    return found;
}

static lh_metrics metrics_of(ground *g, lh_store *store)
{
    lh_metrics metrics = LH_METRICS_INIT;
    expect(g, LH_OK, lh_store_metrics(store, &metrics, &g->error));
    return metrics;
}

/* ---- Which events -----------------------------------------------------------------------------*/

static void tells_the_life_of_a_lease(void **state)
{
    ground *g = *state;
    journal *j = begin();
    lh_store *store = open_logged(g, j, LH_LEVEL_DEBUG);
    (void)next(j, LH_LOG_COMMAND, LH_OK);
    (void)next(j, LH_LOG_OPENED, LH_OK);

    lh_lease *lease = take_on(g, store, "k", LH_EXCLUSIVE, MINUTE_MS), *none = NULL;
    entry e = next(j, LH_LOG_COMMAND, LH_OK);
    assert_string_equal(e.key, "k");
    assert_string_equal(e.command, "acquire the lease");
    assert_int_equal(e.is.attempt, 1);
    assert_true(e.is.duration_us > 0);
    e = next(j, LH_LOG_ACQUIRE, LH_OK);
    assert_string_equal(e.key, "k");
    assert_memory_equal(e.lease, lh_lease_id(lease), 8);
    assert_int_equal(e.is.token, lh_lease_token(lease));
    assert_int_equal(e.is.level, LH_LEVEL_INFO);
    assert_int_equal(e.is.count, 1);
    assert_true(pthread_equal(e.thread, pthread_self()));

    expect(g, LH_BUSY, lh_acquire(store, "k", NULL, &none, NULL, NULL));
    e = next(j, LH_LOG_ACQUIRE, LH_BUSY);
    assert_int_equal(e.is.reason, LH_REASON_HELD);
    assert_int_equal(metrics_of(g, store).holding, 1);

    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    (void)next(j, LH_LOG_RENEW, LH_OK);
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    (void)next(j, LH_LOG_RELEASE, LH_OK);
    lh_lease_free(lease);

    lease = take_on(g, store, "gone", LH_EXCLUSIVE, MINUTE_MS);
    delete_key(g, "_id", "gone");
    expect(g, LH_LOST, lh_lease_renew(lease, 0, NULL, NULL));
    e = next(j, LH_LOG_LOST, LH_LOST);
    assert_string_equal(e.key, "gone");
    assert_int_equal(next(j, LH_LOG_RENEW, LH_LOST).is.reason, LH_REASON_GONE);
    lh_lease_free(lease);

    lease = take_on(g, store, "k", LH_EXCLUSIVE, MINUTE_MS);
    lh_metrics m = metrics_of(g, store);
    assert_int_equal(m.acquired, 3);
    assert_int_equal(m.busy, 1);
    assert_int_equal(m.renewed, 1);
    assert_int_equal(m.renewals_failed, 1);
    assert_int_equal(m.lost, 1);
    assert_int_equal(m.released, 1);
    assert_true(m.commands_ok[LH_OPERATION_ACQUIRE] >= 4 && m.round_trips_us > 0);
    lh_store_close(store);
    e = next(j, LH_LOG_RELEASE, LH_OK);
    assert_int_equal(e.is.count, 1);
    (void)next(j, LH_LOG_CLOSED, LH_OK);
    lh_lease_free(lease);
    end(j);
}

static void tells_the_life_of_a_waiter(void **state)
{
    ground *g = *state;
    journal *j = begin();
    lh_store *store = open_logged(g, j, LH_LEVEL_DEBUG);
    lh_lease *lease = take(g, "k"), *granted = NULL; /* another client's */
    lh_waiting *waiting = await(g, store, "k", LH_EXCLUSIVE, MINUTE_MS);
    assert_string_equal(next(j, LH_LOG_QUEUED, LH_OK).key, "k");
    assert_int_equal(metrics_of(g, store).waiting, 1);
    j->looked_at = 0; /* the watcher's thread may have been sooner */
    if (g->set)
        (void)next(j, LH_LOG_STREAM_OPENED, LH_OK);
    give(g, lease);
    assert_true(is_settled(waiting, 5000));
    entry e = next(j, LH_LOG_GRANTED, LH_OK);
    assert_string_equal(e.key, "k");
    expect(g, LH_OK, lh_waiting_finish(waiting, &granted, NULL, &g->error));
    assert_int_equal(e.is.token, lh_lease_token(granted));
    e = next(j, LH_LOG_ACQUIRE, LH_OK);
    assert_int_equal(e.is.token, lh_lease_token(granted));
    lh_metrics m = metrics_of(g, store);
    assert_int_equal(m.queued, 1);
    assert_int_equal(m.granted, 1);
    assert_int_equal(m.waiting, 0);
    assert_int_equal(m.acquired, 1);
    give(g, granted);
    close_later(store);
    end(j);
}

static void tells_what_is_kept(void **state)
{
    ground *g = *state;
    journal *j = begin();
    lh_store *store = open_logged(g, j, LH_LEVEL_DEBUG);
    lh_lease *one = take_on(g, store, "one", LH_EXCLUSIVE, 1000),
             *two = take_on(g, store, "two", LH_EXCLUSIVE, 1000);
    uint64_t renewed = 0;
    while (renewed < 3)
        renewed += next(j, LH_LOG_RENEW, LH_OK).is.count;
    assert_true(metrics_of(g, store).renewed >= 3);
    give(g, one);
    delete_key(g, "_id", "two");
    assert_string_equal(next(j, LH_LOG_LOST, LH_LOST).key, "two");
    lh_lease_free(two);
    close_later(store);
    end(j);
}

static void tells_what_is_repeated(void **state)
{
    ground *g = *state;
    journal *j = begin();
    lh_store *store = open_logged(g, j, 0);
    break_commands(g, 2, "'findAndModify'", "'errorCode': 462");
    lh_lease *lease = take_on(g, store, "k", LH_EXCLUSIVE, MINUTE_MS);
    entry e = next(j, LH_LOG_REPEAT, LH_UNREACHABLE);
    assert_int_equal(e.is.attempt, 1);
    assert_int_equal(e.is.server_code, 462);
    assert_int_equal(e.is.reason, LH_REASON_OVERLOADED);
    assert_string_equal(e.key, "k");
    mend_commands(g);
    (void)next(j, LH_LOG_ACQUIRE, LH_OK);
    assert_true(metrics_of(g, store).repeats >= 1);
    give(g, lease);
    close_later(store);
    for (size_t i = 0; i < j->n; i++)
        assert_true(j->entries[i].is.level <= LH_LEVEL_INFO);
    end(j);
}

static void keeps_the_password(void **state)
{
    ground *g = *state;
    journal *j = begin();
    char uri[600];
    (void)snprintf(uri, sizeof uri, "mongodb://nobody:s3cret@%s", g->uri + strlen("mongodb://"));
    lh_store_options options = store_options(g);
    options.uri = uri;
    options.log = note;
    options.log_arg = j;
    options.log_level = LH_LEVEL_DEBUG;
    lh_store *store = NULL;
    expect(g, LH_DENIED, lh_store_open(&options, &store, &g->error));
    entry e = next(j, LH_LOG_OPENED, LH_DENIED);
    assert_int_equal(e.is.reason, LH_REASON_CREDENTIALS);
    assert_int_equal(e.is.level, LH_LEVEL_ERROR);
    end(j);
}

/* ---- Its callback -----------------------------------------------------------------------------*/

typedef struct {
    pthread_mutex_t lock; /* of what follows */
    lh_store *store;      /* NULL: nothing is tried */
    lh_lease *lease;
    lh_waiting *waiting;
    int called, refused;
} caller;

/* Functions that take locks of the library, and calls that would send commands. */
static void call_back(void *arg, const lh_log_event *event)
{
    caller *c = arg;
    lh_lease *lease = NULL;
    (void)event;
    pthread_mutex_lock(&c->lock);
    if (c->store) {
        (void)lh_lease_remaining_ms(c->lease);
        if (c->waiting)
            (void)lh_waiting_fd(c->waiting);
        int outcome = lh_acquire(c->store, "another", NULL, &lease, NULL, NULL);
        int renewed = lh_lease_renew(c->lease, 0, NULL, NULL);
        c->called++;
        c->refused += outcome == LH_INVALID && renewed == LH_INVALID && !lease;
    }
    pthread_mutex_unlock(&c->lock);
}

static void use(caller *c, lh_store *store, lh_lease *lease, lh_waiting *waiting)
{
    pthread_mutex_lock(&c->lock);
    c->store = store;
    c->lease = lease;
    c->waiting = waiting;
    pthread_mutex_unlock(&c->lock);
}

static void holds_no_lock_and_lets_no_call_in(void **state)
{
    ground *g = *state;
    journal *j = begin();
    static caller c = {.lock = PTHREAD_MUTEX_INITIALIZER}; /* the store is closed later */
    j->also = call_back;
    j->also_arg = &c;
    lh_store *store = open_logged(g, j, LH_LEVEL_DEBUG);
    lh_lease *lease = take_on(g, store, "kept", LH_EXCLUSIVE, 1000), *other = take(g, "k"),
             *granted = NULL;
    lh_waiting *waiting = await(g, store, "k", LH_EXCLUSIVE, MINUTE_MS);
    use(&c, store, lease, waiting);
    (void)next(j, LH_LOG_RENEW, LH_OK);
    give(g, other);
    (void)next(j, LH_LOG_GRANTED, LH_OK);
    use(&c, store, lease, NULL);
    expect(g, LH_OK, lh_waiting_finish(waiting, &granted, NULL, &g->error));
    give(g, granted);
    use(&c, NULL, NULL, NULL);
    assert_true(c.called >= 3);
    assert_int_equal(c.called, c.refused);
    assert_int_equal(count_documents(g), 2); /* "another" was never asked for */
    close_later(store);
    lh_lease_free(lease);
    end(j);
}

enum { THREADS = 8, ROUNDS = 10 };

typedef struct {
    lh_store *store;
    int number;
} worker;

static void *work(void *arg)
{
    const worker *w = arg;
    char key[16];
    (void)snprintf(key, sizeof key, "k%d", w->number);
    for (int i = 0; i < ROUNDS; i++) {
        lh_lease *lease = NULL;
        if (lh_acquire(w->store, key, NULL, &lease, NULL, NULL) == LH_OK)
            (void)lh_lease_release(lease, NULL);
        lh_lease_free(lease);
    }
    return NULL;
}

static void comes_from_many_threads(void **state)
{
    ground *g = *state;
    journal *j = begin();
    lh_store *store = open_logged(g, j, LH_LEVEL_INFO);
    pthread_t threads[THREADS];
    worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){store, i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    int acquired = 0, released = 0;
    for (size_t i = 0; i < j->n; i++) {
        acquired += j->entries[i].is.event == LH_LOG_ACQUIRE && j->entries[i].is.outcome == LH_OK;
        released += j->entries[i].is.event == LH_LOG_RELEASE && j->entries[i].is.outcome == LH_OK;
    }
    assert_int_equal(acquired, THREADS * ROUNDS);
    assert_int_equal(released, THREADS * ROUNDS);
    assert_int_equal(metrics_of(g, store).acquired, THREADS * ROUNDS);
    assert_int_equal(metrics_of(g, store).holding, 0);
    close_later(store);
    end(j);
}

static void *wait_for_key(void *store)
{
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    lh_lease *lease = NULL;
    options.wait_ms = MINUTE_MS;
    assert_int_equal(lh_acquire(store, "k", &options, &lease, NULL, NULL), LH_CLOSED);
    return NULL;
}

/* The thread whose wait it ended may have its last event later. */
static void is_not_called_after_the_store_was_closed(void **state)
{
    ground *g = *state;
    journal *j = begin();
    lh_store *store = open_logged(g, j, LH_LEVEL_DEBUG);
    lh_lease *lease = take(g, "k");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_key, store), 0);
    (void)next(j, LH_LOG_QUEUED, LH_OK);
    lh_store_close(store);
    size_t n = j->n;
    (void)next(j, LH_LOG_CLOSED, LH_OK);
    (void)pthread_join(thread, NULL);
    assert_int_equal(j->n, n);
    give(g, lease);
    end(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(tells_the_life_of_a_lease), live_test(tells_the_life_of_a_waiter),
        live_test(tells_what_is_kept),        live_test(tells_what_is_repeated),
        bare_test(keeps_the_password),        live_test(holds_no_lock_and_lets_no_call_in),
        live_test(comes_from_many_threads),   live_test(is_not_called_after_the_store_was_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

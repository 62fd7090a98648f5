/* SPDX-License-Identifier: Apache-2.0
 * Paths: a lease shuts out those above and below it, whoever asks first, in races of threads and
 * processes too. */
#include "live.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

static lh_acquire_options path_options(int mode, const char *owner)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.path = true;
    o.mode = mode;
    o.owner = owner;
    o.by_hand = true;
    return o;
}

static lh_lease *take_path(ground *g, const char *key, int mode)
{
    lh_acquire_options o = path_options(mode, "alice");
    lh_lease *lease = NULL;
    expect(g, LH_OK, lh_acquire(g->store, key, &o, &lease, NULL, &g->error));
    assert_true(lh_lease_valid(lease));
    assert_string_equal(lh_lease_key(lease), key);
    return lease;
}

static void expect_shut_out(ground *g, const char *key, int mode, const char *by)
{
    lh_acquire_options o = path_options(mode, "bob");
    lh_lease *lease = NULL;
    lh_record *busy = NULL;
    expect(g, LH_BUSY, lh_acquire(g->store, key, &o, &lease, &busy, &g->error));
    assert_null(lease);
    assert_non_null(busy);
    assert_string_equal(busy->key, by);
    assert_int_equal(busy->why, LH_WHY_PATH);
    assert_true(busy->retry_after_ms > 0);
    expect_says(g, by);
    lh_record_free(busy);
    assert_int_equal(state_of(g, key), LH_FREE); /* its own key is given back */
}

static void expect_granted(ground *g, const char *key, int mode)
{
    give(g, take_path(g, key, mode));
}

static void test_above_and_below_and_beside(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_path(g, "org/project", LH_EXCLUSIVE);
    static const char *const shut_out[] = {"org", "org/project/file", "org/project/a/b/c",
                                           "org/project/ä"};
    static const char *const beside[] = {
        "or",           "organ",        "org/projec", "org/projects", "org/project0",
        "org/project.", "org/project:", "org/other",  "project",      "other/org/project"};
    for (size_t i = 0; i < sizeof shut_out / sizeof *shut_out; i++)
        expect_shut_out(g, shut_out[i], LH_EXCLUSIVE, "org/project");
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        expect_granted(g, beside[i], LH_EXCLUSIVE);
    give(g, lease);
    for (size_t i = 0; i < sizeof shut_out / sizeof *shut_out; i++)
        expect_granted(g, shut_out[i], LH_EXCLUSIVE);
}

static void test_readers_shut_out_writers_only(void **state)
{
    ground *g = *state;
    lh_lease *reader = take_path(g, "a/b", LH_SHARED);
    expect_granted(g, "a", LH_SHARED);
    expect_granted(g, "a/b/c", LH_SHARED);
    expect_granted(g, "a/b", LH_SHARED);
    expect_shut_out(g, "a", LH_EXCLUSIVE, "a/b");
    expect_shut_out(g, "a/b/c", LH_EXCLUSIVE, "a/b");
    give(g, reader);
    lh_lease *writer = take_path(g, "a/b", LH_EXCLUSIVE);
    expect_shut_out(g, "a", LH_SHARED, "a/b");
    expect_shut_out(g, "a/b/c", LH_SHARED, "a/b");
    give(g, writer);
}

static void test_what_counts_as_held(void **state)
{
    ground *g = *state;
    /* an ordinary lease shuts out paths, and asks nobody itself */
    lh_lease *lease = take(g, "a/b");
    expect_shut_out(g, "a", LH_EXCLUSIVE, "a/b");
    lh_lease *above = take(g, "a");
    give(g, above);
    end_it(g, "a/b", 100); /* past its end, within the grace */
    expect_shut_out(g, "a", LH_EXCLUSIVE, "a/b");
    end_it(g, "a/b", 60000);
    expect_granted(g, "a", LH_EXCLUSIVE);
    lh_lease_free(lease);
    /* no end */
    put(g, json("{'workspace_id': 'x/old', 'id': 'o', 'user_id': 'u', 'expires_at': null}"));
    expect_shut_out(g, "x", LH_EXCLUSIVE, "x/old");
    expect_shut_out(g, "x", LH_SHARED, "x/old");
    expect_granted(g, "x/other", LH_EXCLUSIVE);
    put(g, json("{'workspace_id': 'y', 'id': 'o', 'expires_at': [1]}")); /* cannot be read */
    expect_shut_out(g, "y/z", LH_EXCLUSIVE, "y");
    put(g, json("{'workspace_id': 'z/1', 'id': 'o', 'expires_at': '2020-01-01'}"));
    expect_granted(g, "z", LH_EXCLUSIVE);
}

static void test_a_held_key_itself_is_busy_as_ever(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_path(g, "a/b", LH_EXCLUSIVE);
    lh_acquire_options o = path_options(LH_EXCLUSIVE, "bob");
    lh_lease *other = NULL;
    lh_record *busy = NULL;
    expect(g, LH_BUSY, lh_acquire(g->store, "a/b", &o, &other, &busy, &g->error));
    assert_int_equal(busy->why, LH_WHY_HELD);
    lh_record_free(busy);
    give(g, lease);
}

static void test_bad_paths_and_options_are_refused(void **state)
{
    ground *g = *state;
    static const char *const bad[] = {"/", "/a", "a/", "a//b", "//", "a/b/", "a/b//c"};
    lh_lease *lease = NULL;
    lh_waiting *waiting = NULL;
    lh_acquire_options o = path_options(LH_EXCLUSIVE, "bob");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect(g, LH_INVALID, lh_acquire(g->store, bad[i], &o, &lease, NULL, &g->error));
        expect_says(g, "path");
    }
    expect(g, LH_INVALID, lh_acquire_start(g->store, "a", &o, &waiting, &g->error));
    o.lease_id = "0123456789abcdef0123456789abcdef";
    o.wait_ms = 1;
    expect(g, LH_INVALID, lh_acquire(g->store, "a", &o, &lease, NULL, &g->error));
    assert_int_equal(count_documents(g), 0);
    o.wait_ms = 0;
    expect(g, LH_OK, lh_acquire(g->store, "a", &o, &lease, NULL, &g->error));
    assert_string_equal(lh_lease_id(lease), o.lease_id);
    give(g, lease);
    char deep[LH_KEY_MAX + 1]; /* as deep as a key can be */
    for (size_t i = 0; i < LH_KEY_MAX; i++)
        deep[i] = i % 2 ? '/' : 'a';
    deep[LH_KEY_MAX - 1] = '\0';
    lease = take_path(g, deep, LH_EXCLUSIVE);
    o.lease_id = NULL;
    lh_lease *other = NULL;
    expect(g, LH_BUSY, lh_acquire(g->store, "a/a/a", &o, &other, NULL, &g->error));
    give(g, lease);
}

static void test_many_paths_at_once(void **state)
{
    ground *g = *state;
    /* they do not shut out each other */
    static const char *const keys[] = {"a/b", "c", "a/d", "a/b/e"};
    lh_lease *leases[4] = {NULL}, *other = take_path(g, "c/x", LH_EXCLUSIVE);
    lh_acquire_options o = path_options(LH_EXCLUSIVE, "bob");
    lh_record *busy = NULL;
    expect(g, LH_BUSY, lh_acquire_many(g->store, keys, 4, &o, leases, &busy, &g->error));
    assert_string_equal(busy->key, "c/x");
    assert_int_equal(busy->why, LH_WHY_PATH);
    lh_record_free(busy);
    assert_int_equal(state_of(g, "a/b"), LH_FREE);
    give(g, other);
    expect(g, LH_OK, lh_acquire_many(g->store, keys, 4, &o, leases, NULL, &g->error));
    expect_shut_out(g, "a", LH_EXCLUSIVE, "a/b");
    for (int i = 0; i < 4; i++)
        give(g, leases[i]);
    char texts[60][16];
    const char *most[60];
    lh_lease *all[60];
    for (int i = 0; i < 60; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "d%d/f", 59 - i);
        most[i] = texts[i];
    }
    other = take_path(g, "d7", LH_EXCLUSIVE);
    expect(g, LH_BUSY, lh_acquire_many(g->store, most, 60, &o, all, &busy, &g->error));
    assert_string_equal(busy->key, "d7");
    lh_record_free(busy);
    give(g, other);
    expect(g, LH_OK, lh_acquire_many(g->store, most, 60, &o, all, NULL, &g->error));
    expect_shut_out(g, "d0", LH_EXCLUSIVE, "d0/f");
    for (int i = 0; i < 60; i++)
        lh_lease_free(all[i]);
}

/* ---- Waiting ----------------------------------------------------------------------------------*/

typedef struct {
    lh_store *store;
    const char *key;
    lh_acquire_options o;
    lh_lease *lease;
    lh_record *busy;
    lh_error error;
    int outcome;
    atomic_bool done;
    atomic_int told;
    pthread_t thread;
} call;

static void *run_call(void *arg)
{
    call *c = arg;
    c->outcome = lh_acquire(c->store, c->key, &c->o, &c->lease, &c->busy, &c->error);
    c->done = true;
    return NULL;
}

static void count_feedback(void *arg, const lh_record *record, uint32_t place)
{
    (void)record;
    (void)place;
    ((call *)arg)->told++;
}

static void start_call(call *c, lh_store *store, const char *key, int64_t wait_ms,
                       lh_cancel *cancel)
{
    *c = (call){
        .store = store, .key = key, .o = path_options(LH_EXCLUSIVE, "bob"), .error = LH_ERROR_INIT};
    c->o.by_hand = false;
    c->o.wait_ms = wait_ms;
    c->o.cancel = cancel;
    c->o.feedback = count_feedback;
    c->o.feedback_arg = c;
    assert_int_equal(pthread_create(&c->thread, NULL, run_call, c), 0);
}

static void await_told(call *c)
{
    for (int i = 0; i < 2000 && c->told == 0; i++)
        usleep(5000);
    assert_true(c->told > 0);
}

static void expect_done(call *c, int outcome)
{
    pthread_join(c->thread, NULL);
    expect_at(outcome, c->outcome, &c->error, "lh_acquire of a path", __FILE__, __LINE__);
}

static void test_who_is_below_waits_without_its_key(void **state)
{
    ground *g = *state;
    lh_lease *above = take_path(g, "a", LH_EXCLUSIVE);
    call c;
    start_call(&c, g->store, "a/b/c", LH_FOREVER, NULL);
    await_told(&c);
    for (int i = 0; i < 400 && state_of(g, "a/b/c") != LH_FREE; i++)
        usleep(5000);
    assert_int_equal(state_of(g, "a/b/c"), LH_FREE);
    assert_false(c.done);
    give(g, above);
    expect_done(&c, LH_OK);
    expect_shut_out(g, "a", LH_EXCLUSIVE, "a/b/c");
    give(g, c.lease);
}

static void test_who_is_above_waits_with_it_and_nothing_new_begins_below(void **state)
{
    ground *g = *state;
    lh_lease *below = take_path(g, "a/b", LH_EXCLUSIVE);
    call c;
    start_call(&c, g->store, "a", LH_FOREVER, NULL);
    await_told(&c);
    expect_shut_out(g, "a/c", LH_EXCLUSIVE, "a");
    call d; /* between them: it lets go when it sees the one above, whatever it waits for below */
    start_call(&d, g->store, "a/b", LH_FOREVER, NULL);
    usleep(100000);
    assert_false(c.done);
    give(g, below);
    expect_done(&c, LH_OK);
    usleep(300000);
    assert_false(d.done);
    give(g, c.lease);
    expect_done(&d, LH_OK);
    give(g, d.lease);
}

static void test_the_wait_ends_by_time_by_cancelling_and_by_closing(void **state)
{
    ground *g = *state;
    static const char *const keys[] = {"a", "a/b/c"};
    lh_lease *lease = take_path(g, "a/b", LH_EXCLUSIVE);
    for (int i = 0; i < 2; i++) {
        call c;
        start_call(&c, g->store, keys[i], 300, NULL);
        expect_done(&c, LH_BUSY);
        assert_string_equal(c.busy->key, "a/b");
        assert_int_equal(c.busy->why, LH_WHY_PATH);
        lh_record_free(c.busy);
        assert_int_equal(state_of(g, keys[i]), LH_FREE);
        lh_cancel *cancel = NULL;
        expect(g, LH_OK, lh_cancel_new(&cancel, &g->error));
        start_call(&c, g->store, keys[i], LH_FOREVER, cancel);
        await_told(&c);
        lh_cancel_now(cancel);
        expect_done(&c, LH_CANCELLED);
        lh_cancel_free(cancel);
        assert_int_equal(state_of(g, keys[i]), LH_FREE);
        lh_store *store = open_store(g);
        start_call(&c, store, keys[i], LH_FOREVER, NULL);
        await_told(&c);
        lh_store_close(store);
        expect_done(&c, LH_CLOSED);
        assert_int_equal(state_of(g, keys[i]), LH_FREE);
    }
    give(g, lease);
}

/* What it holds while it waits is renewed; when it was lost, it begins again. */
static void test_a_key_that_is_lost_during_the_wait_is_taken_again(void **state)
{
    ground *g = *state;
    lh_lease *below = take_path(g, "a/b", LH_EXCLUSIVE);
    call c;
    start_call(&c, g->store, "a", LH_FOREVER, NULL);
    await_told(&c);
    int64_t token = take_token(g, "other");
    lh_break_options o = LH_BREAK_OPTIONS_INIT;
    lh_record *broken = NULL;
    o.reason = "test";
    expect(g, LH_OK, lh_break(g->store, "a", &o, &broken, &g->error));
    lh_record_free(broken);
    give(g, below);
    /* it may believe its first grant until its deadline, as whoever is broken */
    expect_done(&c, LH_OK);
    assert_true(lh_lease_token(c.lease) > 0 && token > 0);
    (void)lh_lease_release(c.lease, &g->error);
    lh_lease_free(c.lease);
}

/* Its own key was granted by the holder's release: the keeper claims it, though the caller renews
 * from then on. */
static void test_a_grant_is_claimed_before_it_is_left_to_the_caller(void **state)
{
    ground *g = *state;
    lh_lease *same = take_path(g, "a/b", LH_EXCLUSIVE);
    call c = {.store = g->store,
              .key = "a/b",
              .o = path_options(LH_EXCLUSIVE, "bob"),
              .error = LH_ERROR_INIT};
    c.o.wait_ms = LH_FOREVER;
    assert_int_equal(pthread_create(&c.thread, NULL, run_call, &c), 0);
    for (int waiters = 0; waiters == 0; usleep(5000)) {
        lh_record *record = status_of(g, "a/b");
        waiters = (int)record->waiters;
        lh_record_free(record);
    }
    give(g, same);
    expect_done(&c, LH_OK);
    for (int i = 0; i < 400 && lh_lease_remaining_ms(c.lease) <= c.o.claim_ms; i++)
        usleep(5000);
    assert_true(lh_lease_remaining_ms(c.lease) > c.o.claim_ms);
    give(g, c.lease);
}

/* ---- Faults -----------------------------------------------------------------------------------*/

static void test_when_the_look_fails_nothing_is_held(void **state)
{
    ground *g = *state;
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri;
    options.timeout_ms = 500;
    g->store = open_store_with(g, &options);
    lh_acquire_options o = path_options(LH_EXCLUSIVE, "bob");
    lh_lease *lease = NULL;
    break_commands(g, 0, "'find'", "'errorCode': 50");
    expect(g, LH_UNREACHABLE, lh_acquire(g->store, "a/b", &o, &lease, NULL, &g->error));
    mend_commands(g);
    assert_int_equal(state_of(g, "a/b"), LH_FREE);
    /* after it the driver does not send the release in time */
    break_commands(g, 0, "'find'", "'errorCode': 91");
    int outcome = lh_acquire(g->store, "a/b", &o, &lease, NULL, &g->error);
    assert_true(outcome == LH_UNREACHABLE || outcome == LH_UNKNOWN);
    mend_commands(g);
    assert_null(lease);
    lh_store_close(g->store);
    g->store = NULL;
    g->store = open_store(g);
    assert_int_equal(state_of(g, "a/b"), LH_FREE);
    static const char *const once[] = {"'errorCode': 122", "'errorCode': 189",
                                       "'closeConnection': true"};
    for (size_t i = 0; i < sizeof once / sizeof *once; i++) {
        break_commands(g, 1, "'find'", once[i]);
        expect_granted(g, "a/b", LH_EXCLUSIVE);
    }
}

/* The look takes longer than the lease: somebody else may have been granted above meanwhile. */
static void test_a_look_that_takes_longer_than_the_lease_grants_nothing(void **state)
{
    ground *g = *state;
    lh_acquire_options o = path_options(LH_EXCLUSIVE, "bob");
    lh_lease *lease = NULL;
    o.ttl_ms = 1000;
    break_commands(g, 1, "'find'", "'blockConnection': true, 'blockTimeMS': 1400");
    expect(g, LH_LOST, lh_acquire(g->store, "a/b", &o, &lease, NULL, &g->error));
    assert_null(lease);
}

/* ---- Races ------------------------------------------------------------------------------------*/

#define PROCESSES 5
#define THREADS   2
#define ROUNDS    60
#define RACE_MS   2000
static const char *const tree[] = {"a", "a/b", "a/b/c", "a/d"};
#define N_TREE (sizeof tree / sizeof *tree)

typedef struct {
    atomic_int writers[N_TREE], readers[N_TREE]; /* who holds each now, in all processes */
    atomic_int granted[N_TREE], overlaps, failures;
    pthread_barrier_t start;
    int outcome[ROUNDS][PROCESSES];
    char why[sizeof(((lh_error *)0)->message)];
} field;

static bool conflict(size_t a, size_t b)
{
    size_t a_len = strlen(tree[a]), b_len = strlen(tree[b]);
    size_t len = a_len < b_len ? a_len : b_len;
    const char *longer = a_len < b_len ? tree[b] : tree[a];
    return strncmp(tree[a], tree[b], len) == 0 && (longer[len] == '/' || longer[len] == '\0');
}

/* Says that it holds, and then looks whether another does: of two at once, one sees the other. */
static void hold(field *f, size_t at, int mode)
{
    atomic_int *mine = mode == LH_SHARED ? &f->readers[at] : &f->writers[at];
    atomic_fetch_add(mine, 1);
    for (size_t i = 0; i < N_TREE; i++) {
        int writers = f->writers[i] - (i == at && mode == LH_EXCLUSIVE), readers = f->readers[i];
        if (conflict(at, i) && (writers > 0 || (mode == LH_EXCLUSIVE && readers > 0)))
            atomic_fetch_add(&f->overlaps, 1);
    }
    usleep(500);
    atomic_fetch_add(&f->granted[at], 1);
    atomic_fetch_sub(mine, 1);
}

typedef struct {
    field *f;
    lh_store *store;
    uint64_t seed;
} racer;

static bool had_everyone(const field *f)
{
    for (size_t i = 0; i < N_TREE; i++)
        if (f->granted[i] == 0)
            return false;
    return true;
}

/* Until every key was granted: nobody is kept out for ever (an alarm ends it). */
static void *race(void *arg)
{
    racer *r = arg;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t end = now.tv_sec * 1000 + now.tv_nsec / 1000000 + RACE_MS;
    while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < end || !had_everyone(r->f)) {
        size_t at = roll(&r->seed, N_TREE);
        lh_acquire_options o =
            path_options(roll(&r->seed, 4) == 0 ? LH_SHARED : LH_EXCLUSIVE, "racer");
        o.wait_ms = roll(&r->seed, 2) ? 2000 : 0;
        lh_lease *lease = NULL;
        lh_error error = LH_ERROR_INIT;
        int outcome = lh_acquire(r->store, tree[at], &o, &lease, NULL, &error);
        if (outcome == LH_OK) {
            hold(r->f, at, o.mode);
            (void)lh_lease_release(lease, NULL);
            lh_lease_free(lease);
        } else if (outcome != LH_BUSY && atomic_fetch_add(&r->f->failures, 1) == 0) {
            (void)snprintf(r->f->why, sizeof r->f->why, "%s", error.message);
        }
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    }
    return NULL;
}

/* All at once for fresh keys, each process for another in its mode, without waiting; who is granted
 * keeps it until the end. */
static const struct {
    const char *below;
    int mode;
} sides[PROCESSES] = {{"", LH_EXCLUSIVE},
                      {"/x", LH_EXCLUSIVE},
                      {"/x/y", LH_EXCLUSIVE},
                      {"/x/y/z", LH_SHARED},
                      {"/x", LH_SHARED}};

static void start_at_once(field *f, lh_store *store, unsigned me)
{
    for (int round = 0; round < ROUNDS; round++) {
        char key[32];
        lh_lease *lease = NULL;
        lh_error error = LH_ERROR_INIT;
        lh_acquire_options o = path_options(sides[me].mode, "racer");
        (void)snprintf(key, sizeof key, "round-%d%s", round, sides[me].below);
        pthread_barrier_wait(&f->start);
        f->outcome[round][me] = lh_acquire(store, key, &o, &lease, NULL, &error);
        if (f->outcome[round][me] != LH_OK && f->outcome[round][me] != LH_BUSY)
            (void)snprintf(f->why, sizeof f->why, "%s", error.message);
        lh_lease_free(lease);
    }
}

static void expect_at_most_one(const field *f, int round)
{
    int writers = 0, readers = 0;
    for (int i = 0; i < PROCESSES; i++) {
        int outcome = f->outcome[round][i];
        if (outcome != LH_OK && outcome != LH_BUSY)
            fail_msg("round %d: %s: %s", round, lh_outcome_word(outcome), f->why);
        writers += outcome == LH_OK && sides[i].mode == LH_EXCLUSIVE;
        readers += outcome == LH_OK && sides[i].mode == LH_SHARED;
    }
    if (writers > 1 || (writers == 1 && readers > 0))
        fail_msg("round %d: %d writers and %d readers of one path", round, writers, readers);
}

static void race_in_process(field *f, const char *uri, const char *db, unsigned me)
{
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = uri;
    options.db = db;
    options.at_open = LH_AT_OPEN_MIGRATE;
    lh_store *store = NULL;
    lh_error error = LH_ERROR_INIT;
    if (lh_store_open(&options, &store, &error) != LH_OK)
        _exit(1);
    racer racers[THREADS];
    pthread_t threads[THREADS];
    start_at_once(f, store, me);
    for (unsigned i = 0; i < THREADS; i++) {
        racers[i] = (racer){.f = f, .store = store, .seed = me * THREADS + i};
        if (pthread_create(&threads[i], NULL, race, &racers[i]) != 0)
            _exit(2);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    lh_store_close(store);
    _exit(0);
}

static void test_two_that_conflict_never_both_hold(void **state)
{
    (void)state;
    const char *uri = getenv("LEASEHOLD_TEST_URI");
    assert_non_null(uri);
    char id[LH_LEASE_ID_LEN + 1], db[40];
    random_id(id);
    (void)snprintf(db, sizeof db, "path_%.16s", id);
    field *f = mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(f != MAP_FAILED);
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    assert_int_equal(pthread_barrier_init(&f->start, &shared, PROCESSES), 0);
    pid_t pids[PROCESSES]; /* forked before the driver is started: it does not survive that */
    for (unsigned i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            (void)alarm(120);
            race_in_process(f, uri, db, i);
        }
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    void *ground_state;
    (void)ground_on(&ground_state, uri);
    (void)snprintf(((ground *)ground_state)->db, sizeof db, "%s", db); /* to be dropped */
    for (int round = 0; round < ROUNDS; round++)
        expect_at_most_one(f, round);
    if (f->failures)
        fail_msg("%d failed: %s", f->failures, f->why);
    assert_int_equal(f->overlaps, 0);
    (void)old_ground(&ground_state);
    munmap(f, sizeof *f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_that_conflict_never_both_hold), /* it forks: first */
        live_test(test_above_and_below_and_beside),
        live_test(test_readers_shut_out_writers_only),
        live_test(test_what_counts_as_held),
        live_test(test_a_held_key_itself_is_busy_as_ever),
        live_test(test_bad_paths_and_options_are_refused),
        live_test(test_many_paths_at_once),
        live_test(test_who_is_below_waits_without_its_key),
        live_test(test_who_is_above_waits_with_it_and_nothing_new_begins_below),
        live_test(test_the_wait_ends_by_time_by_cancelling_and_by_closing),
        live_test(test_a_key_that_is_lost_during_the_wait_is_taken_again),
        live_test(test_a_grant_is_claimed_before_it_is_left_to_the_caller),
        bare_test(test_when_the_look_fails_nothing_is_held),
        live_test(test_a_look_that_takes_longer_than_the_lease_grants_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

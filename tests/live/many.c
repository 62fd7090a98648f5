/* SPDX-License-Identifier: Apache-2.0
 * Many keys at once: all or nothing, in any order that callers give, without waiting in a
 * circle. */
#include "live.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define N 210 /* three batches */

typedef struct {
    char text[N][16];
    const char *keys[N];
    lh_lease *leases[N];
} bunch;

/* In an order that is not theirs. */
static bunch *bunch_of(size_t n)
{
    bunch *b = calloc(1, sizeof *b);
    assert_non_null(b);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(b->text[i], sizeof b->text[i], "k%03zu", i * 101 % n);
        b->keys[i] = b->text[i];
    }
    return b;
}

static lh_acquire_options by_hand(void)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.by_hand = true;
    return o;
}

static void expect_none_left(ground *g)
{
    bson_t *held = json("{'$expr': {'$and': [{'$gt': ['$expires_at', '$$NOW']}, {'$ne': ['$id', "
                        "'$released.id']}]}}");
    bson_error_t error;
    assert_int_equal(mongoc_collection_count_documents(g->locks, held, NULL, NULL, NULL, &error),
                     0);
    bson_destroy(held);
}

static void release_all(ground *g, lh_lease **leases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        expect(g, LH_OK, lh_lease_release(leases[i], &g->error));
        lh_lease_free(leases[i]);
        leases[i] = NULL;
    }
}

static void take_all(ground *g, size_t n, int mode)
{
    bunch *b = bunch_of(n);
    lh_acquire_options o = by_hand();
    o.mode = mode;
    expect(g, LH_OK, lh_acquire_many(g->store, b->keys, n, &o, b->leases, NULL, &g->error));
    for (size_t i = 0; i < n; i += 1 + n / 50) {
        assert_string_equal(lh_lease_key(b->leases[i]), b->keys[i]); /* in the caller's order */
        assert_true(lh_lease_valid(b->leases[i]));
        assert_int_equal(lh_lease_mode(b->leases[i]), mode);
        bson_t *document = document_of(g, b->keys[i]);
        assert_int_equal(number_at(document, "token"), lh_lease_token(b->leases[i]));
        assert_true(lh_lease_token(b->leases[i]) > 0);
        assert_string_equal(text_at(document, "owner"), "tester");
        assert_int_equal(number_at(document, "expires_at"), lh_lease_expires_at_ms(b->leases[i]));
        bson_destroy(document);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(lh_lease_id(b->leases[i]), lh_lease_id(b->leases[j]));
    }
    expect(g, LH_OK, lh_lease_renew(b->leases[n / 2], 0, NULL, &g->error));
    release_all(g, b->leases, n);
    free(b);
}

static void take_and_release(ground *g, size_t n, int mode)
{
    take_all(g, n, mode);
    expect_none_left(g);
}

static void test_all_are_granted_in_the_callers_order(void **state)
{
    take_and_release(*state, N, LH_EXCLUSIVE);
    take_and_release(*state, N, LH_EXCLUSIVE); /* again: the documents are there now */
    take_and_release(*state, 1, LH_EXCLUSIVE);
}

static void test_shared_ones_too(void **state)
{
    ground *g = *state;
    lh_lease *other = take_as(g, "k005", LH_SHARED, 30000, "other");
    take_all(g, 20, LH_SHARED);
    give(g, other);
    expect_none_left(g);
}

static void test_one_that_is_held_keeps_all(void **state)
{
    ground *g = *state;
    bunch *b = bunch_of(N);
    static const char *const held[] = {"k000", "k001", "k099", "k100", "k177", "k209"};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        lh_lease *other = take_as(g, held[i], LH_EXCLUSIVE, 30000, "alice");
        for (int mode = LH_EXCLUSIVE; mode <= LH_SHARED; mode++) {
            lh_acquire_options o = by_hand();
            o.mode = mode;
            lh_record *busy = NULL;
            size_t n = mode == LH_SHARED && i > 0 ? 0 : N; /* the whole form takes its time: once */
            if (n == 0)
                continue;
            expect(g, LH_BUSY,
                   lh_acquire_many(g->store, b->keys, n, &o, b->leases, &busy, &g->error));
            assert_non_null(busy);
            assert_string_equal(busy->key, held[i]);
            assert_int_equal(busy->why, LH_WHY_HELD);
            assert_string_equal(lh_record_holder(busy, 0)->owner, "alice");
            expect_says(g, held[i]);
            lh_record_free(busy);
            assert_null(b->leases[0]);
        }
        assert_true(lh_lease_valid(other));
        give(g, other);
        expect_none_left(g);
    }
    free(b);
}

/* A document that the short form leaves alone is no reason to say no. */
static void test_unusual_documents_among_them(void **state)
{
    ground *g = *state;
    bunch *b = bunch_of(30);
    lh_acquire_options o = by_hand();
    put(g, json("{'workspace_id': 'k003', 'id': 'x', 'user_id': 'u', 'expires_at': "
                "'2020-01-01T00:00:00'}"));
    put(g, json("{'workspace_id': 'k007', 'id': 'x', 'user_id': 'u', 'expires_at': 1577836800}"));
    put(g, json("{'workspace_id': 'k008', 'id': 'x', 'token': 7, 'expires_at': {'$date': "
                "'2020-01-01T00:00:00Z'}}"));
    lh_lease *reader = take_as(g, "k029", LH_SHARED, 30000, "alice");
    lh_record *busy = NULL;
    expect(g, LH_BUSY, lh_acquire_many(g->store, b->keys, 30, &o, b->leases, &busy, &g->error));
    assert_string_equal(busy->key, "k029");
    lh_record_free(busy);
    give(g, reader);
    expect(g, LH_OK, lh_acquire_many(g->store, b->keys, 30, &o, b->leases, NULL, &g->error));
    for (size_t i = 0; i < 30; i++)
        assert_true(lh_lease_valid(b->leases[i]));
    release_all(g, b->leases, 30);
    put(g, json("{'workspace_id': 'odd', 'id': 'x', 'expires_at': [1]}"));
    const char *two[] = {"odd", "even"};
    expect(g, LH_BUSY, lh_acquire_many(g->store, two, 2, &o, b->leases, &busy, &g->error));
    assert_int_equal(busy->why, LH_WHY_MALFORMED);
    lh_record_free(busy);
    expect_none_left(g);
    free(b);
}

static void expect_refused(ground *g, const char *const *keys, size_t n,
                           const lh_acquire_options *o, const char *says)
{
    lh_lease *leases[4] = {NULL};
    expect(g, LH_INVALID, lh_acquire_many(g->store, keys, n, o, leases, NULL, &g->error));
    expect_says(g, says);
    assert_null(leases[0]);
}

static void test_bad_lists_are_refused(void **state)
{
    ground *g = *state;
    const char *twice[] = {"b", "a", "b"}, *bad[] = {"a", "x\ny"}, *empty[] = {"a", ""},
               *none[] = {"a", NULL};
    const char *paths[] = {"a/b", "/a"};
    const char **too_many = calloc(LH_MANY_MAX + 1, sizeof *too_many);
    for (size_t i = 0; i <= LH_MANY_MAX; i++)
        too_many[i] = "k";
    expect_refused(g, twice, 3, NULL, "\"b\" is given twice");
    expect_refused(g, bad, 2, NULL, "key 2 of 2");
    expect_refused(g, empty, 2, NULL, "key 2 of 2");
    expect_refused(g, none, 2, NULL, "key 2 of 2");
    expect_refused(g, twice, 0, NULL, "0 keys");
    expect_refused(g, NULL, 2, NULL, "0 keys");
    expect_refused(g, too_many, LH_MANY_MAX + 1, NULL, "1 to 1000");
    free(too_many);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.lease_id = "0123456789abcdef0123456789abcdef";
    expect_refused(g, twice, 2, &o, "lease_id");
    o = (lh_acquire_options)LH_ACQUIRE_OPTIONS_INIT;
    o.ttl_ms = 1;
    expect_refused(g, twice, 2, &o, "ttl_ms");
    o = (lh_acquire_options)LH_ACQUIRE_OPTIONS_INIT;
    o.path = true;
    expect_refused(g, paths, 2, &o, "key 2 of 2");
    o.wait_ms = 1;
    expect_refused(g, twice, 2, &o, "wait_ms");
    assert_int_equal(count_documents(g), 0);
}

/* ---- Waiting ----------------------------------------------------------------------------------*/

typedef struct {
    ground *g;
    const char *keys[8];
    size_t n;
    lh_acquire_options o;
    lh_lease *leases[8];
    lh_record *busy;
    lh_error error;
    int outcome;
    pthread_t thread;
    lh_store *store;
} call;

static void *run_call(void *arg)
{
    call *c = arg;
    c->outcome = lh_acquire_many(c->store, c->keys, c->n, &c->o, c->leases, &c->busy, &c->error);
    return NULL;
}

static call start_call(ground *g, size_t n, const char *const *keys, int64_t wait_ms)
{
    call c = {
        .g = g, .n = n, .o = LH_ACQUIRE_OPTIONS_INIT, .store = g->store, .error = LH_ERROR_INIT};
    memcpy(c.keys, keys, n * sizeof *keys);
    c.o.wait_ms = wait_ms;
    return c;
}

static bool is_queued(ground *g, const char *key)
{
    lh_record *record = status_of(g, key);
    bool queued = record->waiters > 0;
    lh_record_free(record);
    return queued;
}

static void await_queued(ground *g, const char *key)
{
    for (int i = 0; i < 2000 && !is_queued(g, key); i++)
        usleep(5000);
    assert_true(is_queued(g, key));
}

static const char *const abc[] = {"c", "a", "b"};

/* What it holds while it waits comes before what it waits for; it is renewed, also when the caller
 * will do that itself later. */
static void test_it_waits_in_order_and_keeps_what_it_has(void **state)
{
    ground *g = *state;
    lh_lease *b = take(g, "b");
    call c = start_call(g, 3, abc, LH_FOREVER);
    c.o.ttl_ms = 1000;
    c.o.by_hand = true;
    pthread_create(&c.thread, NULL, run_call, &c);
    await_queued(g, "b");
    assert_int_equal(state_of(g, "a"), LH_HELD);
    assert_int_equal(state_of(g, "c"), LH_FREE);
    usleep(1800000);
    assert_int_equal(state_of(g, "a"), LH_HELD);
    give(g, b);
    pthread_join(c.thread, NULL);
    expect_at(LH_OK, c.outcome, &c.error, "lh_acquire_many", __FILE__, __LINE__);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(lh_lease_key(c.leases[i]), abc[i]);
    usleep(1400000); /* nobody renews now: once more at most, what was under way */
    assert_false(lh_lease_valid(c.leases[0]));
    for (size_t i = 0; i < 3; i++)
        lh_lease_free(c.leases[i]);
}

/* The last one was granted by its holder's release: the keeper claims it, though the caller renews
 * from then on. */
static void test_a_grant_is_claimed_before_it_is_left_to_the_caller(void **state)
{
    ground *g = *state;
    lh_lease *b = take(g, "b");
    static const char *const ab[] = {"a", "b"};
    call c = start_call(g, 2, ab, LH_FOREVER);
    c.o.by_hand = true;
    pthread_create(&c.thread, NULL, run_call, &c);
    await_queued(g, "b");
    give(g, b);
    pthread_join(c.thread, NULL);
    expect_at(LH_OK, c.outcome, &c.error, "lh_acquire_many", __FILE__, __LINE__);
    for (int i = 0; i < 400 && lh_lease_remaining_ms(c.leases[1]) <= c.o.claim_ms; i++)
        usleep(5000);
    assert_true(lh_lease_remaining_ms(c.leases[1]) > c.o.claim_ms);
    release_all(g, c.leases, 2);
}

static void expect_ended(ground *g, call *c, int outcome)
{
    pthread_join(c->thread, NULL);
    expect_at(outcome, c->outcome, &c->error, "lh_acquire_many", __FILE__, __LINE__);
    assert_null(c->leases[0]);
    assert_int_equal(state_of(g, "a"), LH_FREE);
    assert_int_equal(state_of(g, "c"), LH_FREE);
    assert_false(is_queued(g, "b"));
}

static void test_the_wait_ends_by_time_or_by_cancelling(void **state)
{
    ground *g = *state;
    lh_lease *b = take_as(g, "b", LH_EXCLUSIVE, 30000, "alice");
    call c = start_call(g, 3, abc, 300);
    pthread_create(&c.thread, NULL, run_call, &c);
    expect_ended(g, &c, LH_BUSY);
    assert_string_equal(c.busy->key, "b");
    assert_string_equal(lh_record_holder(c.busy, 0)->owner, "alice");
    lh_record_free(c.busy);
    c = start_call(g, 3, abc, LH_FOREVER);
    expect(g, LH_OK, lh_cancel_new(&c.o.cancel, &g->error));
    pthread_create(&c.thread, NULL, run_call, &c);
    await_queued(g, "b");
    lh_cancel_now(c.o.cancel);
    expect_ended(g, &c, LH_CANCELLED);
    lh_cancel_free(c.o.cancel);
    give(g, b);
}

static void test_closing_the_store_ends_it_and_nothing_is_held(void **state)
{
    ground *g = *state;
    lh_lease *b = take(g, "b");
    call c = start_call(g, 3, abc, LH_FOREVER);
    c.store = open_store(g);
    pthread_create(&c.thread, NULL, run_call, &c);
    await_queued(g, "b");
    lh_store_close(c.store);
    expect_ended(g, &c, LH_CLOSED);
    give(g, b);
}

/* Rings of callers in all orders: no key has two holders. Who waits gets through; of those who ask
 * at once, one does. */
#define CALLERS 6
#define ROUNDS  8
typedef struct {
    ground *g;
    unsigned me;
    bool waits;
    atomic_int *owners;  /* of each key */
    atomic_int *granted; /* in each round */
    pthread_barrier_t *start;
    int outcome;
    lh_error error;
} ring;

static void *go_round(void *arg)
{
    ring *r = arg;
    uint64_t seed = r->me;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = r->waits ? 60000 : 0;
    for (int round = 0; round < ROUNDS; round++) {
        static const char *const keys[] = {"a", "b", "c", "d", "e"};
        const char *mine[3];
        unsigned from = roll(&seed, 5), step = 1 + roll(&seed, 4), at[3];
        for (unsigned i = 0; i < 3; i++) {
            at[i] = (from + i * step) % 5;
            mine[i] = keys[at[i]];
        }
        lh_lease *leases[3];
        pthread_barrier_wait(r->start);
        int outcome = lh_acquire_many(r->g->store, mine, 3, &o, leases, NULL, &r->error);
        if (outcome == LH_BUSY && !r->waits)
            continue;
        if (outcome != LH_OK)
            r->outcome = outcome;
        for (unsigned i = 0; outcome == LH_OK && i < 3; i++)
            if (atomic_fetch_add(&r->owners[at[i]], 1) != 0)
                r->outcome = LH_BUG;
        usleep(1000);
        for (unsigned i = 0; outcome == LH_OK && i < 3; i++) {
            atomic_fetch_sub(&r->owners[at[i]], 1);
            if (lh_lease_release(leases[i], &r->error) != LH_OK)
                r->outcome = LH_LOST;
            lh_lease_free(leases[i]);
        }
        atomic_fetch_add(&r->granted[round], outcome == LH_OK);
    }
    return NULL;
}

static void run_ring(ground *g, bool waits)
{
    atomic_int owners[5] = {0}, granted[ROUNDS] = {0};
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, CALLERS);
    ring rings[CALLERS];
    pthread_t threads[CALLERS];
    for (unsigned i = 0; i < CALLERS; i++) {
        rings[i] = (ring){.g = g,
                          .me = i,
                          .waits = waits,
                          .owners = owners,
                          .granted = granted,
                          .start = &start,
                          .error = LH_ERROR_INIT};
        assert_int_equal(pthread_create(&threads[i], NULL, go_round, &rings[i]), 0);
    }
    for (unsigned i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < CALLERS; i++)
        expect_at(LH_OK, rings[i].outcome, &rings[i].error, "lh_acquire_many in a ring", __FILE__,
                  __LINE__);
    expect_none_left(g);
    for (int round = 0; round < ROUNDS; round++)
        assert_in_range(granted[round], waits ? CALLERS : 1, CALLERS);
    pthread_barrier_destroy(&start);
}

static void test_rings_of_callers_get_through(void **state)
{
    run_ring(*state, true);
    run_ring(*state, false);
}

/* A caller is killed while it holds "a" and waits for "b": what it holds ends with its ttl, and its
 * place is passed over. */
static void wait_and_be_killed(int ready, const char *uri, const char *db)
{
    static const char *const keys[] = {"a", "b"};
    char go;
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_store *store = NULL;
    lh_lease *leases[2];
    options.uri = uri;
    options.db = db;
    o.ttl_ms = 1500;
    o.claim_ms = 1000;
    o.wait_ms = LH_FOREVER;
    (void)alarm(60);
    if (read(ready, &go, 1) == 1 && lh_store_open(&options, &store, NULL) == LH_OK)
        (void)lh_acquire_many(store, keys, 2, &o, leases, NULL, NULL);
    _exit(1);
}

static void test_half_of_a_killed_caller_ends_with_its_ttl(void **state)
{
    const char *uri = getenv("LEASEHOLD_TEST_URI");
    int ready[2];
    char id[LH_LEASE_ID_LEN + 1], db[40];
    assert_non_null(uri);
    random_id(id);
    (void)snprintf(db, sizeof db, "killed_%.16s", id);
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork(); /* before the driver is started: it does not survive that */
    assert_true(child >= 0);
    if (child == 0)
        wait_and_be_killed(ready[0], uri, db);
    (void)ground_on(state, uri);
    ground *g = *state;
    (void)snprintf(g->db, sizeof g->db, "%s", db);
    mongoc_collection_destroy(g->locks);
    g->locks = mongoc_client_get_collection(g->client, g->db, LOCKS);
    g->store = open_store(g);
    lh_lease *b = take(g, "b"), *leases[2];
    assert_int_equal(write(ready[1], "x", 1), 1);
    await_queued(g, "b");
    assert_int_equal(state_of(g, "a"), LH_HELD);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    give(g, b);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = 30000;
    static const char *const keys[] = {"b", "a"};
    expect(g, LH_OK, lh_acquire_many(g->store, keys, 2, &o, leases, NULL, &g->error));
    release_all(g, leases, 2);
    (void)old_ground(state);
    *state = NULL;
    (void)close(ready[0]);
    (void)close(ready[1]);
}

/* ---- Faults -----------------------------------------------------------------------------------*/

static lh_store *hasty_store(ground *g, int64_t timeout_ms)
{
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri;
    options.timeout_ms = timeout_ms;
    return open_store_with(g, &options);
}

static void test_a_lost_answer_changes_nothing(void **state)
{
    ground *g = *state;
    static const char *const faults[] = {
        "'writeConcernError': {'code': 64, 'errmsg': 'waiting for replication timed out'}",
        "'closeConnection': true", "'errorCode': 11602", "'errorCode': 112"};
    static const char *const commands[] = {"'update'", "'find'"};
    g->store = hasty_store(g, 10000);
    lh_acquire_options o = by_hand();
    for (size_t i = 0; i < 8; i++) {
        bunch *b = bunch_of(10);
        if (i % 2 == 1 && i / 2 == 0) {
            free(b);
            continue; /* a read has no write concern */
        }
        break_commands(g, 1, commands[i % 2], faults[i / 2]);
        expect(g, LH_OK, lh_acquire_many(g->store, b->keys, 10, &o, b->leases, NULL, &g->error));
        for (size_t j = 0; j < 10; j++) {
            bson_t *document = document_of(g, b->keys[j]);
            assert_string_equal(text_at(document, "id"), lh_lease_id(b->leases[j]));
            assert_int_equal(number_at(document, "token"), lh_lease_token(b->leases[j]));
            bson_destroy(document);
        }
        release_all(g, b->leases, 10);
        free(b);
    }
}

/* Applied, and never acknowledged: nothing is believed, and closing the store frees all. */
static void test_without_a_majority_it_is_unknown_and_released_at_close(void **state)
{
    ground *g = *state;
    bunch *b = bunch_of(10);
    g->store = hasty_store(g, 500);
    break_commands(g, 0, "'update'", "'writeConcernError': {'code': 64, 'errmsg': 'no'}");
    expect(g, LH_UNKNOWN, lh_acquire_many(g->store, b->keys, 10, NULL, b->leases, NULL, &g->error));
    assert_null(b->leases[0]);
    assert_int_equal(state_of(g, "k003"), LH_HELD);
    mend_commands(g);
    lh_store_close(g->store);
    g->store = NULL;
    expect_none_left(g);
    free(b);
}

/* The update is answered, and then nothing is any more: the first batch is given back, or in
 * doubt. */
static void test_a_read_that_is_not_answered_grants_nothing(void **state)
{
    ground *g = *state;
    bunch *b = bunch_of(10);
    g->store = hasty_store(g, 500);
    break_commands(g, 0, "'find'", "'errorCode': 50");
    expect(g, LH_UNREACHABLE,
           lh_acquire_many(g->store, b->keys, 10, NULL, b->leases, NULL, &g->error));
    mend_commands(g);
    expect_none_left(g); /* the release was answered */
    break_commands(g, 0, "'find','update'",
                   "'errorCode': 10107"); /* of an update of several: perhaps after some of them */
    expect(g, LH_UNKNOWN, lh_acquire_many(g->store, b->keys, 10, NULL, b->leases, NULL, &g->error));
    mend_commands(g);
    expect_none_left(g);
    assert_null(b->leases[0]);
    free(b);
}

/* A batch that takes longer than a first grant may is not believed; those keys are asked for one by
 * one. */
static void test_a_slow_first_grant_is_given_back_and_asked_for_again(void **state)
{
    ground *g = *state;
    bunch *b = bunch_of(3);
    lh_acquire_options o = by_hand();
    break_commands(g, 1, "'update'", "'blockConnection': true, 'blockTimeMS': 1300");
    expect(g, LH_OK, lh_acquire_many(g->store, b->keys, 3, &o, b->leases, NULL, &g->error));
    for (size_t i = 0; i < 3; i++) {
        bson_t *document = document_of(g, b->keys[i]);
        assert_string_equal(text_at(document, "id"), lh_lease_id(b->leases[i]));
        assert_true(has(document, "released"));
        bson_destroy(document);
    }
    release_all(g, b->leases, 3);
    /* no first grants any more */
    break_commands(g, 1, "'update'", "'blockConnection': true, 'blockTimeMS': 600");
    expect(g, LH_OK, lh_acquire_many(g->store, b->keys, 3, &o, b->leases, NULL, &g->error));
    for (size_t i = 0; i < 3; i++) /* believed from before the send */
        assert_true(lh_lease_remaining_ms(b->leases[i]) <= o.ttl_ms - 600);
    release_all(g, b->leases, 3);
    free(b);
}

/* One that ends while another is asked for, because nobody renews it, is no success; with a keeper
 * it is. */
static void test_one_that_ended_meanwhile_is_told(void **state)
{
    ground *g = *state;
    static const char *const keys[] = {"a", "b"};
    lh_lease *leases[2] = {NULL};
    lh_acquire_options o = by_hand();
    o.ttl_ms = 1000;
    for (int kept = 0; kept < 2; kept++) {
        put(g, json("{'workspace_id': 'b', 'id': 'x', 'expires_at': '2020-01-01T00:00:00'}"));
        break_commands(g, 1, "'findAndModify'", "'blockConnection': true, 'blockTimeMS': 1300");
        o.by_hand = !kept;
        expect(g, kept ? LH_OK : LH_LOST,
               lh_acquire_many(g->store, keys, 2, &o, leases, NULL, &g->error));
        if (kept)
            release_all(g, leases, 2);
        else
            expect_says(g, "\"a\" ended");
        expect_none_left(g);
        delete_key(g, "workspace_id", "b");
    }
}

/* The server's time was over in the middle of the batch: what it did before that stays done. */
static void test_a_batch_that_was_cut_short_leaves_nothing_held(void **state)
{
    ground *g = *state;
    if (!g->set)
        skip(); /* no transactions */
    const char *keys[] = {"a", "b", "c"};
    lh_lease *leases[3] = {0};
    lh_acquire_options o = by_hand();
    o.timeout_ms = 800;
    o.ttl_ms = HOUR_MS;
    give(g, take(g, "c"));
    bson_error_t error;
    mongoc_client_session_t *session = mongoc_client_start_session(g->client, NULL, NULL);
    bson_t *options = bson_new(), *filter = BCON_NEW("workspace_id", "c"),
           *update = json("{'$set': {'mine': 1}}");
    assert_true(mongoc_client_session_start_transaction(session, NULL, &error));
    assert_true(mongoc_client_session_append(session, options, &error));
    assert_true(mongoc_collection_update_one(g->locks, filter, update, options, NULL, &error));
    int outcome = lh_acquire_many(g->store, keys, 3, &o, leases, NULL, &g->error);
    print_message("%s: %s\n", lh_outcome_word(outcome), g->error.message);
    assert_true(mongoc_client_session_abort_transaction(session, &error));
    assert_int_not_equal(outcome, LH_OK);
    for (int i = 0; i < 400 && (state_of(g, "a") != LH_FREE || state_of(g, "b") != LH_FREE); i++)
        usleep(20000); /* the keeper's part, where it is unknown */
    assert_int_equal(state_of(g, "a"), LH_FREE);
    assert_int_equal(state_of(g, "b"), LH_FREE);
    bson_destroy(options);
    bson_destroy(filter);
    bson_destroy(update);
    mongoc_client_session_destroy(session);
}

/* However many there are, giving them back takes no longer than the timeout. */
static void test_giving_many_back_is_bounded(void **state)
{
    ground *g = *state;
    enum { MANY = 600, TIMEOUT_MS = 1500 };
    static char names[MANY][16];
    const char *keys[MANY];
    lh_lease *leases[MANY] = {0};
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof names[i], "k%04d", i);
        keys[i] = names[i];
    }
    lh_lease *last = take(g, keys[MANY - 1]);
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri;
    options.timeout_ms = TIMEOUT_MS;
    lh_store *store = open_store_with(g, &options);
    await_turn(g);
    g->failing = true;
    do_command(g, "admin",
               json("{'configureFailPoint': 'failCommand', 'mode': {'skip': %d}, 'data': "
                    "{'failCommands': ['update'], "
                    "'appName': '%s', 'closeConnection': true}}",
                    MANY / 100, g->app));
    int64_t start = now_ms();
    expect(g, LH_BUSY, lh_acquire_many(store, keys, MANY, NULL, leases, NULL, &g->error));
    print_message("%d ms\n", (int)(now_ms() - start));
    assert_in_range(now_ms() - start, 0, 3 * TIMEOUT_MS);
    mend_commands(g);
    lh_store_close(store);
    lh_lease_free(last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_of_a_killed_caller_ends_with_its_ttl), /* it forks: first */
        live_test(test_all_are_granted_in_the_callers_order),
        live_test(test_shared_ones_too),
        live_test(test_one_that_is_held_keeps_all),
        live_test(test_unusual_documents_among_them),
        live_test(test_bad_lists_are_refused),
        live_test(test_it_waits_in_order_and_keeps_what_it_has),
        live_test(test_a_grant_is_claimed_before_it_is_left_to_the_caller),
        live_test(test_the_wait_ends_by_time_or_by_cancelling),
        live_test(test_closing_the_store_ends_it_and_nothing_is_held),
        live_test(test_rings_of_callers_get_through),
        bare_test(test_a_lost_answer_changes_nothing),
        bare_test(test_without_a_majority_it_is_unknown_and_released_at_close),
        bare_test(test_a_read_that_is_not_answered_grants_nothing),
        live_test(test_a_slow_first_grant_is_given_back_and_asked_for_again),
        live_test(test_one_that_ended_meanwhile_is_told),
        live_test(test_giving_many_back_is_bounded),
        live_test(test_a_batch_that_was_cut_short_leaves_nothing_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

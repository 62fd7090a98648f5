/* SPDX-License-Identifier: Apache-2.0
 * Memory runs out, at each allocation of each operation in turn: the call says LH_MEMORY and
 * touches no output, nothing leaks (the sanitizers look), nobody is left holding or waiting, and
 * the store goes on. This program is linked so that what the library and this file allocate comes
 * here first; the driver's own allocations do not: it ends the process by design. */
#include "lease/lease_held.h"
#include "waiting.h"

#include <errno.h>
#include <stdatomic.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__wrap_strdup(const char *text);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);

/* The allocation of this thread that fails: 1 is the next one, 0 none. */
static _Thread_local int failing_at;
/* Every so manieth one of all other threads fails; 0: none. */
static atomic_int others_fail_each, others_failed;
static _Thread_local bool is_tester;
static atomic_uint count;

static bool fails(void)
{
    int each = atomic_load(&others_fail_each);
    if (!is_tester && each > 0 && atomic_fetch_add(&count, 1) % (unsigned)each == 0) {
        atomic_fetch_add(&others_failed, 1);
        return true;
    }
    return failing_at > 0 && --failing_at == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

/* The library's next so many threads cannot be started. */
static atomic_int failing_threads;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg)
{
    if (atomic_load(&failing_threads) > 0) {
        atomic_fetch_sub(&failing_threads, 1);
        return EAGAIN;
    }
    return __real_pthread_create(thread, attributes, run, arg);
}

/* What an operation may give; each must be as it was, unless it succeeded. */
typedef struct {
    lh_lease *lease;
    lh_record *record;
    lh_waiting *waiting;
    lh_store *store;
    lh_cancel *cancel;
    char *text;
} outputs;

typedef int (*operation)(ground *p, outputs *out);

static const char *untouched(const outputs *out)
{
    return out->lease     ? "the lease"
           : out->record  ? "the record"
           : out->waiting ? "the waiting"
           : out->store   ? "the store"
           : out->cancel  ? "the cancel"
           : out->text    ? "the text"
                          : NULL;
}

/* Lets each allocation fail in turn, until there are no more; `after` each failure things must be
 * well. Returns how many. */
static int fail_each(ground *p, int wanted, operation op, void (*after)(ground *p), outputs *out)
{
    for (int n = 1;; n++) {
        *out = (outputs){0};
        failing_at = n;
        int outcome = op(p, out);
        bool all_went_well = failing_at > 0;
        failing_at = 0;
        if (all_went_well) {
            expect(p, wanted, outcome);
            return n - 1;
        }
        const char *touched = untouched(out);
        if (outcome != LH_MEMORY || touched) {
            print_error("allocation %d failed: %s (%s); written: %s\n", n, lh_outcome_word(outcome),
                        p->error.message, touched ? touched : "nothing");
            fail();
        }
        if (after)
            after(p);
        assert_in_range(n, 1, 100);
    }
}

static void expect_failures(int n)
{
    print_message("%d allocations failed\n", n);
    assert_in_range(n, 1, 100); /* else the wrapping does not work */
}

static void nobody_has_k(ground *p)
{
    lh_record *record = NULL;
    expect(p, LH_OK, lh_status(p->store, "k", &record, &p->error));
    if (record->state != LH_FREE || record->waiters > 0) {
        char *text = stored(p, "k");
        print_error("k is left behind: %s\n", text);
        bson_free(text);
        fail();
    }
    lh_record_free(record);
}

static void nobody_waits_for_k(ground *p)
{
    assert_int_equal(queued(p, "k"), 0);
}

/* ---- Each operation ---------------------------------------------------------------------------*/

static int do_open(ground *p, outputs *out)
{
    lh_store_options o = LH_STORE_OPTIONS_INIT;
    o.uri = p->uri;
    o.db = p->db;
    return lh_store_open(&o, &out->store, &p->error);
}

static int do_open_and_migrate(ground *p, outputs *out)
{
    lh_store_options o = LH_STORE_OPTIONS_INIT;
    o.uri = p->uri;
    o.db = p->db;
    o.at_open = LH_AT_OPEN_MIGRATE;
    return lh_store_open(&o, &out->store, &p->error);
}

static void opening(void **state)
{
    ground *p = *state;
    outputs out;
    expect_failures(fail_each(p, LH_OK, do_open, NULL, &out));
    lh_store_close(out.store);
    expect_failures(fail_each(p, LH_OK, do_open_and_migrate, NULL, &out));
    lh_store_close(out.store);
}

static int do_join(ground *p, outputs *out)
{
    return lh_key_join((const char *const[]){"a", "b"}, 2, &out->text, &p->error);
}

static int do_cancel(ground *p, outputs *out)
{
    return lh_cancel_new(&out->cancel, &p->error);
}

static void what_needs_no_server(void **state)
{
    ground *p = *state;
    outputs out;
    expect_failures(fail_each(p, LH_OK, do_join, NULL, &out));
    lh_string_free(out.text);
    expect_failures(fail_each(p, LH_OK, do_cancel, NULL, &out));
    lh_cancel_free(out.cancel);
}

static int do_acquire(ground *p, outputs *out)
{
    return lh_acquire(p->store, "k", NULL, &out->lease, &out->record, &p->error);
}

static int do_acquire_shared(ground *p, outputs *out)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.mode = LH_SHARED;
    o.purpose = "reading";
    return lh_acquire(p->store, "k", &o, &out->lease, &out->record, &p->error);
}

static void acquiring(void **state)
{
    ground *p = *state;
    outputs out;
    for (int shared = 0; shared < 2; shared++) {
        expect_failures(
            fail_each(p, LH_OK, shared ? do_acquire_shared : do_acquire, nobody_has_k, &out));
        give(p, out.lease);
    }
}

static void acquiring_what_is_held(void **state)
{
    ground *p = *state;
    outputs out;
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
    expect_failures(fail_each(p, LH_BUSY, do_acquire, nobody_waits_for_k, &out));
    assert_string_equal(lh_record_holder(out.record, 0)->owner, "tester");
    lh_record_free(out.record);
    give(p, holder);
}

/* Queues, and gives up. */
static int do_wait(ground *p, outputs *out)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = 30;
    o.purpose = "waiting";
    int outcome = lh_acquire(p->store, "k", &o, &out->lease, &out->record, &p->error);
    /* the newest record got no memory: then an older one says who */
    if (outcome == LH_BUSY && failing_at == 0) {
        assert_non_null(out->record);
        lh_record_free(out->record);
        out->record = NULL;
        outcome = LH_MEMORY;
    }
    return outcome;
}

static void waiting_in_vain(void **state)
{
    ground *p = *state;
    outputs out;
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
    expect_failures(fail_each(p, LH_BUSY, do_wait, nobody_waits_for_k, &out));
    assert_non_null(out.record);
    lh_record_free(out.record);
    give(p, holder);
}

static int do_start(ground *p, outputs *out)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = 30000;
    int outcome = lh_acquire_start(p->store, "k", &o, &out->waiting, &p->error);
    if (outcome != LH_OK)
        return outcome;
    /* What went wrong at once is told by the finish; the rest is the keeper's, whose memory is not
     * out. */
    if (failing_at > 0)
        return outcome;
    lh_waiting *waiting = out->waiting;
    out->waiting = NULL;
    return lh_waiting_finish(waiting, &out->lease, &out->record, &p->error);
}

static void waiting_until_granted(void **state)
{
    ground *p = *state;
    outputs out;
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000), *lease = NULL;
    expect_failures(fail_each(p, LH_OK, do_start, nobody_waits_for_k, &out));
    within(5000, queued(p, "k") == 1);
    give(p, holder);
    expect(p, LH_OK, lh_waiting_finish(out.waiting, &lease, NULL, &p->error));
    give(p, lease);
    nobody_has_k(p);
}

/* The answer of a release tells its own store of the grant: in the releasing thread. */
static void granting_to_a_waiter(void **state)
{
    ground *p = *state;
    for (int n = 1, more = 1; more; n++) {
        lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000), *lease = NULL;
        lh_waiting *waiting = await(p, p->store, "k", LH_EXCLUSIVE, 30000);
        within(5000, queued(p, "k") == 1);
        failing_at = n;
        int outcome = lh_lease_release(holder, &p->error);
        more = failing_at == 0;
        failing_at = 0;
        expect(p, LH_OK, outcome);
        lh_lease_free(holder);
        /* by another id, if it must be */
        expect(p, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &p->error));
        assert_true(lh_lease_valid(lease));
        give(p, lease);
        assert_in_range(n, 1, 20);
    }
    nobody_has_k(p);
}

static int do_attach(ground *p, outputs *out)
{
    return lh_lease_attach(p->store, "k", "0123456789abcdef0123456789abcdef", &out->lease,
                           &p->error);
}

static int do_status(ground *p, outputs *out)
{
    return lh_status(p->store, "k", &out->record, &p->error);
}

static int do_status_of_nothing(ground *p, outputs *out)
{
    return lh_status(p->store, "nothing", &out->record, &p->error);
}

static int see(void *arg, const lh_record *record)
{
    *(int *)arg += record->state == LH_HELD;
    return 0;
}

static int do_list(ground *p, outputs *out)
{
    int n = 0;
    (void)out;
    int outcome = lh_list(p->store, NULL, see, &n, &p->error);
    assert_int_equal(n, outcome == LH_OK ? 1 : 0);
    return outcome;
}

static int do_break(ground *p, outputs *out)
{
    lh_break_options o = LH_BREAK_OPTIONS_INIT;
    o.reason = "test";
    return lh_break(p->store, "k", &o, &out->record, &p->error);
}

static void seeing_and_breaking(void **state)
{
    ground *p = *state;
    outputs out;
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
    expect_failures(fail_each(p, LH_OK, do_attach, NULL, &out));
    lh_lease_free(out.lease);
    expect_failures(fail_each(p, LH_OK, do_status, NULL, &out));
    lh_record_free(out.record);
    expect_failures(fail_each(p, LH_OK, do_status_of_nothing, NULL, &out));
    lh_record_free(out.record);
    expect_failures(fail_each(p, LH_OK, do_list, NULL, &out));
    expect_failures(fail_each(p, LH_OK, do_break, NULL, &out));
    assert_string_equal(lh_record_holder(out.record, 0)->owner, "tester");
    lh_record_free(out.record);
    lh_lease_free(holder);
    nobody_has_k(p);
}

static int do_migrate(ground *p, outputs *out)
{
    (void)out;
    lh_migrate_options o = LH_MIGRATE_OPTIONS_INIT;
    o.quarantine = o.even_live = true;
    o.no_trial = true; /* leases are what the other tests are about */
    return lh_migrate(p->store, &o, NULL, &p->error);
}

static int64_t documents_in(ground *p, const char *collection)
{
    mongoc_collection_t *c = mongoc_client_get_collection(p->client, p->db, collection);
    bson_t all = BSON_INITIALIZER;
    int64_t n = mongoc_collection_count_documents(c, &all, NULL, NULL, NULL, NULL);
    bson_destroy(&all);
    mongoc_collection_destroy(c);
    return n;
}

static int64_t documents(ground *p)
{
    return documents_in(p, "workspace_locks") + documents_in(p, "workspace_locks_archive");
}

/* Nothing is lost on the way. */
static void all_documents_are_there(ground *p)
{
    assert_int_equal(documents(p), 13);
}

static void migrating_duplicates(void **state)
{
    ground *p = *state;
    outputs out;
    assert_true(mongoc_collection_drop(p->locks, NULL)); /* with its index */
    for (int i = 0; i < 13; i++) {
        bson_t *document =
            i < 12 ? BCON_NEW("workspace_id", i % 2 ? "even" : "odd", "id", "x", "token",
                              BCON_INT64(i), "expires_at", BCON_DATE_TIME(1000 * i))
                   /* for the quarantine */
                   : BCON_NEW("workspace_id", BCON_INT32(7));
        assert_true(mongoc_collection_insert_one(p->locks, document, NULL, NULL, NULL));
        bson_destroy(document);
    }
    expect_failures(fail_each(p, LH_OK, do_migrate, all_documents_are_there, &out));
    all_documents_are_there(p);
    assert_int_equal(documents_in(p, "workspace_locks"), 2);
}

/* The keeper and the watcher meet it: what is held stays held, and who waits gets the key or is
 * told. */
static void keeping_goes_on(void **state)
{
    ground *p = *state;
    lh_lease *kept[5], *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 6000), *lease = NULL;
    char key[16];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(key, sizeof key, "kept%d", i);
        kept[i] = take_on(p, p->store, key, i % 2 ? LH_SHARED : LH_EXCLUSIVE, 3000);
    }
    lh_waiting *waiting = await(p, p->store, "k", LH_EXCLUSIVE, 60000);
    atomic_store(&others_fail_each, 3);
    int64_t start = now_ms();
    while (now_ms() < start + 4500) { /* longer than the ttl */
        for (int i = 0; i < 5; i++)
            assert_true(lh_lease_valid(kept[i]));
        usleep(20000);
    }
    give(p, holder);
    within(15000, is_settled(waiting, 10));
    atomic_store(&others_fail_each, 0);
    print_message("%d allocations of other threads failed\n", atomic_load(&others_failed));
    assert_true(atomic_load(&others_failed) > 2);
    int outcome = lh_waiting_finish(waiting, &lease, NULL, &p->error);
    if (outcome == LH_OK)
        give(p, lease);
    else /* the waiter's own turn: then it is told so, and has left */
        expect(p, LH_MEMORY, outcome);
    for (int i = 0; i < 5; i++)
        give(p, kept[i]);
    nobody_has_k(p);
}

static void hear_of_loss(void *arg, const char *key, const char *lease_id)
{
    (void)arg, (void)key, (void)lease_id;
}

/* Granted by another's release, and no thread is left to tell of its loss: it is not kept, and
 * asked for again. */
static void granted_without_a_thread(void **state)
{
    ground *p = *state;
    lh_store *store = open_on(p, p->uri, p->app, 10000, hear_of_loss, NULL);
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000), *lease = NULL;
    lh_waiting *waiting = await(p, store, "k", LH_EXCLUSIVE, 30000);
    within(5000, queued(p, "k") == 1);
    usleep(1500000); /* the watcher's thread is there */
    atomic_store(&failing_threads, 1);
    give(p, holder);
    int outcome = lh_waiting_finish(waiting, &lease, NULL, &p->error);
    assert_int_equal(atomic_exchange(&failing_threads, 0), 0);
    expect(p, LH_OK, outcome); /* by another id */
    assert_true(lh_lease_valid(lease));
    give(p, lease);
    assert_null(store->held->leases); /* nor the first */
    lh_store_close(store);
    nobody_has_k(p);
}

/* Closing without memory: what is held is given back all the same. */
static void closing(void **state)
{
    ground *p = *state;
    lh_store *observer = another(p);
    for (int n = 1, more = 1; more; n++) {
        lh_store *store = another(p);
        lh_lease *one = take_on(p, store, "k", LH_EXCLUSIVE, 30000),
                 *two = take_on(p, store, "two", LH_SHARED, 30000);
        lh_waiting *waiting = await(p, store, "k", LH_EXCLUSIVE, 30000);
        lh_lease *never = NULL;
        failing_at = n;
        lh_store_close(store);
        more = failing_at == 0;
        failing_at = 0;
        expect(p, LH_CLOSED, lh_waiting_finish(waiting, &never, NULL, &p->error));
        lh_lease_free(one);
        lh_lease_free(two);
        lh_record *record = NULL;
        expect(p, LH_OK, lh_status(observer, "k", &record, &p->error));
        assert_int_equal(record->holders, 0);
        lh_record_free(record);
        lh_lease *next = take_on(p, observer, "two", LH_EXCLUSIVE, 30000);
        give(p, next);
        assert_in_range(n, 1, 20);
        (void)mongoc_collection_drop(p->locks, NULL);
        expect(p, LH_OK, lh_migrate(observer, NULL, NULL, &p->error));
    }
    lh_store_close(observer);
}

static int setup(void **state)
{
    int failed = new_ground(state);
    ground *p = *state;
    expect(p, LH_OK, lh_migrate(p->store, NULL, NULL, &p->error));
    return failed;
}

int main(void)
{
    is_tester = true;
#define memory_test(name) cmocka_unit_test_setup_teardown(name, setup, quiet_ground)
    const struct CMUnitTest tests[] = {
        memory_test(opening),
        memory_test(what_needs_no_server),
        memory_test(acquiring),
        memory_test(acquiring_what_is_held),
        memory_test(waiting_in_vain),
        memory_test(waiting_until_granted),
        memory_test(granting_to_a_waiter),
        memory_test(seeing_and_breaking),
        memory_test(migrating_duplicates),
        memory_test(keeping_goes_on),
        memory_test(granted_without_a_thread),
        memory_test(closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

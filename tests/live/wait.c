/* SPDX-License-Identifier: Apache-2.0
 * Waiting for a lease: granted, in order; busy at the deadline; cancelled; bounded. */
#include "waiting.h"

static void *release_later(void *lease)
{
    usleep(150000);
    lh_error error = LH_ERROR_INIT;
    assert_int_equal(lh_lease_release(lease, &error), LH_OK);
    lh_lease_free(lease);
    return NULL;
}

static void waits_until_granted_in_the_same_process(void **state)
{
    ground *p = *state;
    pthread_t thread;
    lh_lease *first = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000), *second = NULL;
    int64_t token = lh_lease_token(first), start = now_ms();
    assert_int_equal(pthread_create(&thread, NULL, release_later, first), 0);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = LH_FOREVER;
    expect(p, LH_OK, lh_acquire(p->store, "k", &o, &second, NULL, &p->error));
    pthread_join(thread, NULL);
    assert_true(lh_lease_valid(second));
    assert_true(lh_lease_token(second) > token);
    assert_in_range(now_ms() - start, 140, 20000);
    within(2000, lh_lease_remaining_ms(second) > 25000); /* the keeper claimed it */
    give(p, second);
    assert_int_equal(queued(p, "k"), 0);
}

static void waits_until_granted_by_another_store(void **state)
{
    ground *p = *state;
    lh_store *other = another(p);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        lh_lease *first = take_on(p, other, "k", LH_EXCLUSIVE, 30000), *second = NULL;
        assert_int_equal(pthread_create(&thread, NULL, release_later, first), 0);
        lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
        o.wait_ms = 10000;
        int64_t start = now_ms();
        expect(p, LH_OK, lh_acquire(p->store, "k", &o, &second, NULL, &p->error));
        assert_in_range(now_ms() - start, 100, 4800); /* and not at the end of the wait */
        pthread_join(thread, NULL);
        give(p, second);
    }
    lh_store_close(other);
}

static void busy_at_the_deadline_leaves_no_trace(void **state)
{
    ground *p = *state;
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000), *lease = NULL;
    char *before = stored(p, "k");
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = 300;
    lh_record *busy = NULL;
    int64_t start = now_ms();
    expect(p, LH_BUSY, lh_acquire(p->store, "k", &o, &lease, &busy, &p->error));
    assert_in_range(now_ms() - start, 290, 20000);
    assert_null(lease);
    assert_non_null(busy);
    assert_string_equal(lh_record_holder(busy, 0)->owner, "tester");
    lh_record_free(busy);
    char *after = stored(p, "k");
    assert_string_equal(before, after);
    bson_free(before);
    bson_free(after);
    /* The same for one that nobody attends. */
    lh_waiting *waiting = await(p, p->store, "k", LH_EXCLUSIVE, 200);
    assert_int_equal(queued(p, "k"), 1);
    assert_true(is_settled(waiting, 3000));
    assert_int_equal(queued(p, "k"), 0);
    expect(p, LH_BUSY, lh_waiting_finish(waiting, &lease, NULL, &p->error));
    give(p, holder);
}

/* A question of its own was granted the key, as a first grant: its answer was lost, and the grant
 * is found by looking. How old it is only an answer tells, so that it is not believed by its
 * beat. */
static void asks_about_a_first_grant_that_is_found_by_looking(void **state)
{
    ground *p = *state;
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000), *lease = NULL;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = 20000;
    o.claim_ms = 3000;
    lh_waiting *waiting = NULL;
    expect(p, LH_OK, lh_acquire_start(p->store, "k", &o, &waiting, &p->error));
    within(2000, queued(p, "k") == 1);
    change(p, "k",
           json("{'0': {'$set': {'id': {'$getField': {'field': 'k', 'input': {'$first': "
                "{'$objectToArray': '$waiters'}}}},"
                " 'beat': {'$numberLong': '0'}, 'token': {'$add': ['$token', 1]}, 'renewed_at': "
                "{'$subtract': ['$$NOW', 2000]},"
                " 'acquired_at': {'$subtract': ['$$NOW', 2000]}, 'expires_at': {'$add': ['$$NOW', "
                "28000]}, 'waiters': "
                "'$$REMOVE'}}}"));
    char *granted = stored(p, "k"), *id = strstr(granted, "\"id\" : \"") + strlen("\"id\" : \"");
    id[LH_LEASE_ID_LEN] = '\0';
    expect(p, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &p->error));
    assert_string_not_equal(lh_lease_id(lease), id); /* that one was given back */
    bson_free(granted);
    give(p, lease);
    lh_lease_free(holder);
}

enum { CROWD = 20 };

static void is_first_come_first_served(void **state)
{
    ground *p = *state;
    lh_store *stores[2] = {p->store, another(p)};
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
    lh_waiting *crowd[CROWD];
    int64_t token = lh_lease_token(holder);
    for (int i = 0; i < CROWD; i++)
        crowd[i] = await(p, stores[i % 2], "k", LH_EXCLUSIVE, 60000);
    assert_int_equal(queued(p, "k"), CROWD);
    for (int i = 0; i < CROWD; i++) {
        give(p, holder);
        assert_true(is_settled(crowd[i], 5000));
        for (int j = i + 1; j < CROWD; j++)
            assert_false(is_settled(crowd[j], 0));
        expect(p, LH_OK, lh_waiting_finish(crowd[i], &holder, NULL, &p->error));
        assert_true(lh_lease_token(holder) > token);
        token = lh_lease_token(holder);
    }
    give(p, holder);
    lh_store_close(stores[1]);
}

static void *cancel_later(void *cancel)
{
    usleep(100000);
    lh_cancel_now(cancel);
    return NULL;
}

static void is_cancelled_from_another_thread(void **state)
{
    ground *p = *state;
    pthread_t thread;
    lh_cancel *cancel = NULL;
    expect(p, LH_OK, lh_cancel_new(&cancel, &p->error));
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000), *lease = NULL;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = LH_FOREVER;
    o.cancel = cancel;
    assert_int_equal(pthread_create(&thread, NULL, cancel_later, cancel), 0);
    int64_t start = now_ms();
    expect(p, LH_CANCELLED, lh_acquire(p->store, "k", &o, &lease, NULL, &p->error));
    assert_in_range(now_ms() - start, 90, 20000);
    assert_null(lease);
    assert_int_equal(queued(p, "k"), 0);
    pthread_join(thread, NULL);
    lh_cancel_free(cancel);
    give(p, holder);
}

static void a_cancel_after_the_grant_releases(void **state)
{
    ground *p = *state;
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
    lh_waiting *waiting = await(p, p->store, "k", LH_EXCLUSIVE, LH_FOREVER);
    give(p, holder);
    assert_true(is_settled(waiting, 5000));
    expect(p, LH_OK, lh_waiting_cancel(waiting, &p->error));
    give(p, take_on(p, p->store, "k", LH_EXCLUSIVE, 30000));
    /* And of one that has not heard of it: its own store's events are late. */
    lh_store *other = another(p);
    holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
    waiting = await(p, other, "k", LH_EXCLUSIVE, LH_FOREVER);
    give(p, holder);
    expect(p, LH_OK, lh_waiting_cancel(waiting, &p->error));
    give(p, take_on(p, p->store, "k", LH_EXCLUSIVE, 30000));
    lh_store_close(other);
}

static void readers_run_together_behind_a_writer(void **state)
{
    ground *p = *state;
    lh_store *other = another(p);
    lh_lease *reader = take_on(p, p->store, "k", LH_SHARED, 30000), *writer, *lease[3];
    lh_waiting *first = await(p, p->store, "k", LH_EXCLUSIVE, 30000), *readers[3];
    for (int i = 0; i < 3; i++)
        readers[i] = await(p, i == 1 ? other : p->store, "k", LH_SHARED, 30000);
    assert_int_equal(queued(p, "k"), 4); /* nobody overtakes the writer */
    give(p, reader);
    expect(p, LH_OK, lh_waiting_finish(first, &writer, NULL, &p->error));
    for (int i = 0; i < 3; i++)
        assert_false(is_settled(readers[i], 20));
    give(p, writer);
    for (int i = 0; i < 3; i++)
        expect(p, LH_OK, lh_waiting_finish(readers[i], &lease[i], NULL, &p->error));
    lh_record *record = NULL;
    expect(p, LH_OK, lh_status(p->store, "k", &record, &p->error));
    assert_int_equal(record->holders, 3);
    lh_record_free(record);
    for (int i = 0; i < 3; i++) {
        assert_true(lh_lease_valid(lease[i]));
        for (int j = 0; j < i; j++)
            assert_true(lh_lease_token(lease[i]) != lh_lease_token(lease[j]));
    }
    for (int i = 0; i < 3; i++)
        give(p, lease[i]);
    lh_store_close(other);
}

static void the_queue_is_bounded(void **state)
{
    ground *p = *state;
    lh_store_options so = LH_STORE_OPTIONS_INIT;
    so.uri = p->uri;
    so.db = p->db;
    so.max_waiters = 2;
    lh_store *small = NULL;
    expect(p, LH_OK, lh_store_open(&so, &small, &p->error));
    lh_lease *holder = take_on(p, small, "k", LH_EXCLUSIVE, 30000), *lease = NULL;
    lh_waiting *a = await(p, small, "k", LH_EXCLUSIVE, 30000),
               *b = await(p, small, "k", LH_EXCLUSIVE, 30000);
    char *before = stored(p, "k");
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = 30000;
    lh_record *busy = NULL;
    expect(p, LH_BUSY, lh_acquire(small, "k", &o, &lease, &busy, &p->error));
    assert_string_equal(lh_why_word(busy->why), "full_queue");
    lh_record_free(busy);
    (void)before;
    bson_free(before);
    assert_int_equal(queued(p, "k"), 2);
    expect(p, LH_OK, lh_waiting_cancel(a, &p->error));
    expect(p, LH_OK, lh_waiting_cancel(b, &p->error));
    give(p, holder);
    lh_store_close(small);
}

typedef struct {
    int calls;
    uint32_t place;
    char owner[64];
} heard;

static void hear(void *arg, const lh_record *record, uint32_t place_in_queue)
{
    heard *h = arg;
    h->calls++;
    h->place = place_in_queue;
    (void)snprintf(h->owner, sizeof h->owner, "%s", lh_record_holder(record, 0)->owner);
}

static void says_who_holds_it_and_the_place(void **state)
{
    ground *p = *state;
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000), *lease = NULL;
    lh_waiting *first = await(p, p->store, "k", LH_EXCLUSIVE, 30000);
    heard h = {0};
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = 300;
    o.feedback = hear;
    o.feedback_arg = &h;
    expect(p, LH_BUSY, lh_acquire(p->store, "k", &o, &lease, NULL, &p->error));
    assert_true(h.calls > 0);
    assert_int_equal(h.place, 1);
    assert_string_equal(h.owner, "tester");
    expect(p, LH_OK, lh_waiting_cancel(first, &p->error));
    give(p, holder);
}

static void a_dead_holder_and_dead_waiters_are_passed_over(void **state)
{
    ground *p = *state;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.ttl_ms = 1500;
    o.by_hand = true; /* nobody renews it */
    lh_lease *holder = NULL, *lease = NULL;
    expect(p, LH_OK, lh_acquire(p->store, "k", &o, &holder, NULL, &p->error));
    /* Somebody who queued and died: no beats come. */
    change(
        p, "k",
        json("{'$set': {'waiters.00000000000000000000000000000000': {'mode': 'exclusive', 'owner': "
             "'dead', 'since': "
             "{'$date': 0}, 'beat': {'$numberLong': '0'}, 'beat_at': {'$date': 0}, 'ttl_ms': "
             "{'$numberLong': "
             "'30000'}, 'claim_ms': {'$numberLong': '1000'}}}}"));
    o.ttl_ms = 30000;
    o.wait_ms = 20000;
    int64_t start = now_ms();
    expect(p, LH_OK, lh_acquire(p->store, "k", &o, &lease, NULL, &p->error));
    assert_in_range(now_ms() - start, 1500, 20000); /* the end and the grace, at least */
    give(p, lease);
    lh_lease_free(holder);
}

static void closing_the_store_ends_the_wait(void **state)
{
    ground *p = *state;
    lh_store *other = another(p);
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000), *lease = NULL;
    lh_waiting *a = await(p, other, "k", LH_EXCLUSIVE, LH_FOREVER),
               *b = await(p, other, "k", LH_EXCLUSIVE, 30000);
    int64_t start = now_ms();
    lh_store_close(other);
    assert_in_range(now_ms() - start, 0, 20000);
    assert_int_equal(queued(p, "k"), 0);
    expect(p, LH_CLOSED, lh_waiting_finish(a, &lease, NULL, &p->error));
    expect(p, LH_OK, lh_waiting_cancel(b, &p->error));
    give(p, holder);
}

typedef struct {
    lh_store *store;
    int wrong;
} contender;

static void *contend(void *arg)
{
    contender *c = arg;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = LH_FOREVER;
    o.ttl_ms = 120000;
    o.claim_ms = 60000;
    for (int i = 0; i < 60; i++) {
        lh_lease *lease = NULL;
        lh_error error = LH_ERROR_INIT;
        if (lh_acquire(c->store, "k", &o, &lease, NULL, &error) != LH_OK ||
            lh_lease_release(lease, &error) != LH_OK) {
            print_error("%s\n", error.message);
            c->wrong++;
        }
        lh_lease_free(lease);
    }
    return NULL;
}

/* The claim of a grant may still be on its way when its holder releases it: that is nobody's
 * loss. */
static void releases_what_was_just_granted(void **state)
{
    ground *p = *state;
    contender contenders[4] = {{p->store, 0}};
    pthread_t pthreads[4];
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            contenders[i].store = another(p);
        assert_int_equal(pthread_create(&pthreads[i], NULL, contend, &contenders[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(pthreads[i], NULL);
        assert_int_equal(contenders[i].wrong, 0);
        if (i > 0)
            lh_store_close(contenders[i].store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        wait_test(waits_until_granted_in_the_same_process),
        wait_test(waits_until_granted_by_another_store),
        wait_test(busy_at_the_deadline_leaves_no_trace),
        wait_test(is_first_come_first_served),
        wait_test(is_cancelled_from_another_thread),
        wait_test(a_cancel_after_the_grant_releases),
        wait_test(readers_run_together_behind_a_writer),
        wait_test(the_queue_is_bounded),
        wait_test(says_who_holds_it_and_the_place),
        wait_test(a_dead_holder_and_dead_waiters_are_passed_over),
        wait_test(closing_the_store_ends_the_wait),
        wait_test(releases_what_was_just_granted),
        wait_test(asks_about_a_first_grant_that_is_found_by_looking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * The keeper: renews past the ttl; tells once what is lost; transfers; work under a lease. */
#include "lease/lease.h"
#include "lease/lease_held.h"
#include "waiting.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

typedef struct {
    atomic_int calls;
    char key[64];
    _Atomic int64_t at;
} losses;

static void lost(void *arg, const char *key, const char *lease_id)
{
    losses *l = arg;
    assert_int_equal(strlen(lease_id), LH_LEASE_ID_LEN);
    (void)snprintf(l->key, sizeof l->key, "%s", key);
    atomic_store(&l->at, now_ms());
    atomic_fetch_add(&l->calls, 1);
}

static bool readable(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, 0) == 1;
}

/* What was broken, and granted again under its id to a question of its own that arrived late:
 * others held it in between. */
static void tells_a_loss_where_the_token_grew(void **state)
{
    ground *p = *state;
    lh_lease *alone = take_on(p, p->store, "alone", LH_EXCLUSIVE, 1500),
             *shared = take_on(p, p->store, "shared", LH_SHARED, 1500);
    char later[512];
    change(p, "alone", json("{'$inc': {'token': {'$numberLong': '2'}}}"));
    (void)snprintf(
        later, sizeof later,
        "{'$inc': {'token': {'$numberLong': '2'}, 'shared.%s.token': {'$numberLong': '2'}}}",
        lh_lease_id(shared));
    change(p, "shared", json("%s", later));
    /* else the keeper renews them, on and on */
    within(5000, !lh_lease_valid(alone) && !lh_lease_valid(shared));
    lh_lease_free(alone);
    lh_lease_free(shared);
}

static void renews_past_the_ttl(void **state)
{
    ground *p = *state;
    enum { N = 50 };
    lh_lease *leases[N];
    char key[16];
    for (int i = 0; i < N; i++) {
        /* every fifth is one of many readers */
        (void)snprintf(key, sizeof key, "k%d", i % 5 == 0 ? 1000 : i);
        leases[i] = take_on(p, p->store, key, i % 5 == 0 ? LH_SHARED : LH_EXCLUSIVE, 1500);
    }
    int fd = lh_lease_lost_fd(leases[0]);
    int64_t until = now_ms() + 5000;
    while (now_ms() < until) {
        for (int i = 0; i < N; i++)
            assert_true(lh_lease_valid(leases[i]));
        usleep(20000);
    }
    assert_false(readable(fd));
    for (int i = 0; i < N; i++) {
        lh_record *record = NULL;
        expect(p, LH_OK, lh_status(p->store, lh_lease_key(leases[i]), &record, &p->error));
        assert_int_equal(record->state, LH_HELD);
        int64_t differs =
            lh_record_holder(record, 0)->expires_at_ms - lh_lease_expires_at_ms(leases[i]);
        assert_in_range(differs + 3000, 0, 6000); /* as far apart as the commands took */
        lh_record_free(record);
    }
    for (int i = 0; i < N; i++)
        give(p, leases[i]);
}

static void leaves_alone_what_is_renewed_by_hand(void **state)
{
    ground *p = *state;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.ttl_ms = 1000;
    o.by_hand = true;
    lh_lease *lease = NULL;
    int before = threads();
    expect(p, LH_OK, lh_acquire(p->store, "k", &o, &lease, NULL, &p->error));
    assert_int_equal(threads(), before);
    int fd = lh_lease_lost_fd(lease);
    within(1500, !lh_lease_valid(lease));
    within(100, readable(fd));
    lh_lease_free(lease);
}

static void tells_once_what_was_broken(void **state)
{
    ground *p = *state;
    losses l = {0};
    lh_store *store = open_on(p, p->uri, p->app, 10000, lost, &l);
    lh_lease *lease = take_on(p, store, "k", LH_EXCLUSIVE, 2000),
             *kept = take_on(p, store, "other", LH_EXCLUSIVE, 2000);
    int fd = lh_lease_lost_fd(lease), kept_fd = lh_lease_lost_fd(kept);
    lh_break_options o = LH_BREAK_OPTIONS_INIT;
    o.reason = "test";
    expect(p, LH_OK, lh_break(p->store, "k", &o, NULL, &p->error));
    within(2500, atomic_load(&l.calls) == 1);
    assert_string_equal(l.key, "k");
    assert_true(readable(fd));
    assert_false(lh_lease_valid(lease));
    assert_false(readable(kept_fd));
    assert_int_equal(lh_lease_renew(lease, 0, NULL, NULL), LH_LOST);
    usleep(2200000);
    assert_int_equal(atomic_load(&l.calls), 1);
    assert_true(lh_lease_valid(kept));
    lh_lease_free(lease);
    give(p, kept);
    lh_store_close(store);
    assert_int_equal(atomic_load(&l.calls), 1);
}

/* What is believed ends before the server's end. */
static void expect_sound(ground *p, const lh_lease *lease)
{
    lh_record *record = NULL;
    expect(p, LH_OK, lh_status(p->store, lh_lease_key(lease), &record, &p->error));
    assert_int_equal(record->state, LH_HELD);
    assert_in_range(lh_lease_remaining_ms(lease), 0, lh_record_holder(record, 0)->remaining_ms);
    lh_record_free(record);
}

static void *lose(void *lease)
{
    lh_lease_lose(lease);
    return NULL;
}

/* By the keeper, the thread for losses, and whoever renews by hand, all at its deadline. */
static void tells_what_several_threads_find_out_at_once(void **state)
{
    ground *p = *state;
    enum { N = 60 };
    losses l = {0};
    char key[16];
    lh_store *store = open_on(p, p->uri, p->app, 10000, lost, &l);
    for (int i = 0; i < N; i++) {
        (void)snprintf(key, sizeof key, "k%d", i % 10);
        lh_lease *lease = take_on(p, store, key, LH_EXCLUSIVE, 30000);
        pthread_t thread;
        pthread_mutex_lock(&store->held->lock);
        assert_int_equal(pthread_create(&thread, NULL, lose, lease), 0);
        within(2000, !lh_lease_believed(lease)); /* it is about to take it out of the list */
        pthread_mutex_unlock(&store->held->lock);
        lh_lease_lose(lease);
        pthread_join(thread, NULL);
        assert_int_equal(atomic_load(&l.calls), i + 1);
        (void)lh_lease_release(lease, NULL);
        lh_lease_free(lease);
    }
    lh_store_close(store);
}

/* Renewed for a shorter time by another handle, or by a renewal whose answer was lost: the keeper
 * asks for what it believes in. */
static void believes_what_it_asked_for(void **state)
{
    ground *p = *state;
    lh_store *store = another(p);
    lh_lease *leases[2], *theirs = NULL;
    for (int mode = LH_EXCLUSIVE; mode <= LH_SHARED; mode++) {
        leases[mode == LH_SHARED] = take_on(p, p->store, mode == LH_SHARED ? "s" : "x", mode, 3000);
        const lh_lease *lease = leases[mode == LH_SHARED];
        expect(p, LH_OK,
               lh_lease_attach(store, lh_lease_key(lease), lh_lease_id(lease), &theirs, &p->error));
        expect(p, LH_OK, lh_lease_renew(theirs, 1000, NULL, &p->error));
        lh_lease_free(theirs);
    }
    usleep(1500000);
    for (int i = 0; i < 2; i++) {
        expect_sound(p, leases[i]);
        assert_true(lh_lease_remaining_ms(leases[i]) > 1600); /* renewed since */
        give(p, leases[i]);
    }
    lh_store_close(store);
}

/* A validator that came later: its document's renewals are refused, and nobody else's. */
static void loses_only_what_the_server_refuses(void **state)
{
    enum { OTHERS = 5 };
    ground *p = *state;
    losses l = {0};
    lh_store *store = open_on(p, p->uri, p->app, 10000, lost, &l);
    lh_lease *refused = take_on(p, store, "refused", LH_EXCLUSIVE, 1500), *leases[OTHERS];
    for (int i = 0; i < OTHERS; i++) {
        char key[] = {'o', (char)('0' + i), 0};
        leases[i] = take_on(p, store, key, i == 0 ? LH_SHARED : LH_EXCLUSIVE, 1500);
    }
    bson_t *rule = BCON_NEW("collMod", "workspace_locks", "validator", "{", "workspace_id", "{",
                            "$ne", "refused", "}", "}");
    assert_true(mongoc_client_command_simple(p->client, p->db, rule, NULL, NULL, NULL));
    bson_destroy(rule);
    usleep(2000000);
    assert_int_equal(atomic_load(&l.calls), 1);
    assert_false(lh_lease_valid(refused));
    for (int i = 0; i < OTHERS; i++)
        give(p, leases[i]);
    lh_lease_free(refused);
    lh_store_close(store);
}

/* Another process's lease, or one that was renewed by hand so far: from now on as one's own. */
static void keeps_what_it_is_given(void **state)
{
    ground *p = *state;
    losses l = {0};
    lh_store *store = open_on(p, p->uri, p->app, 10000, lost, &l);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.ttl_ms = 1200;
    o.by_hand = true;
    lh_lease *theirs[3] = {NULL}, *mine[3] = {NULL};
    const char *keys[] = {"kept", "broken", "closed"};
    for (int i = 0; i < 3; i++) {
        expect(p, LH_OK, lh_acquire(p->store, keys[i], &o, &theirs[i], NULL, &p->error));
        expect(p, LH_OK,
               lh_lease_attach(store, keys[i], lh_lease_id(theirs[i]), &mine[i], &p->error));
        expect(p, LH_INVALID, lh_lease_keep(mine[i], &p->error));
        expect(p, LH_OK, lh_lease_renew(mine[i], 0, NULL, &p->error));
        expect(p, LH_OK, lh_lease_keep(mine[i], &p->error));
        expect(p, LH_OK, lh_lease_keep(mine[i], &p->error));
    }
    expect(p, LH_OK, lh_lease_renew(mine[0], 0, NULL, &p->error)); /* does not take it back */
    expect(p, LH_INVALID, lh_lease_keep(NULL, &p->error));
    lh_break_options b = LH_BREAK_OPTIONS_INIT;
    b.reason = "test";
    usleep(1500000);
    assert_true(lh_lease_valid(mine[1]));
    expect(p, LH_OK, lh_break(p->store, "broken", &b, NULL, &p->error));
    within(2500, atomic_load(&l.calls) == 1);
    assert_string_equal(l.key, "broken");
    expect(p, LH_LOST, lh_lease_keep(mine[1], &p->error));
    usleep(1500000);
    assert_true(lh_lease_valid(mine[0]) && lh_lease_valid(mine[2]));
    lh_lease_free(mine[0]); /* forgets it: it ends with its ttl, and nobody is told */
    lh_record *record = NULL;
    expect(p, LH_OK, lh_status(p->store, "kept", &record, &p->error));
    assert_int_equal(record->state, LH_HELD);
    lh_record_free(record);
    lh_store_close(store);
    expect(p, LH_OK, lh_status(p->store, "closed", &record, &p->error));
    assert_string_equal(record->released_how, "release");
    lh_record_free(record);
    assert_int_equal(atomic_load(&l.calls), 1);
    for (int i = 0; i < 3; i++)
        lh_lease_free(theirs[i]);
    lh_lease_free(mine[1]);
    lh_lease_free(mine[2]);
}

/* Whenever it is asked for, it says what it would have said. */
static void the_descriptor_may_be_asked_for_late(void **state)
{
    ground *p = *state;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.by_hand = true;
    lh_lease *broken = NULL, *released = NULL;
    expect(p, LH_OK, lh_acquire(p->store, "k", &o, &broken, NULL, &p->error));
    o.ttl_ms = 1000;
    expect(p, LH_OK, lh_acquire(p->store, "other", &o, &released, NULL, &p->error));
    lh_break_options b = LH_BREAK_OPTIONS_INIT;
    b.reason = "test";
    expect(p, LH_OK, lh_break(p->store, "k", &b, NULL, &p->error));
    expect(p, LH_LOST, lh_lease_renew(broken, 0, NULL, &p->error));
    within(100, readable(lh_lease_lost_fd(broken)));
    expect(p, LH_OK, lh_lease_release(released, &p->error));
    usleep(1100000);
    int fd = lh_lease_lost_fd(released);
    usleep(20000);
    assert_false(readable(fd));
    lh_lease_free(broken);
    lh_lease_free(released);
}

static struct rlimit limit_descriptors(rlim_t more)
{
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(STDERR_FILENO);
    (void)close(next);
    few = (struct rlimit){.rlim_cur = (rlim_t)next + more, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    return before;
}

/* There is no thread for it: then it is what it was, the caller's to renew, and the store's to
 * release. */
static void what_it_cannot_keep_stays_the_callers(void **state)
{
    ground *p = *state;
    lh_store *store = another(p);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_lease *lease = NULL;
    o.by_hand = true;
    expect(p, LH_OK, lh_acquire(store, "k", &o, &lease, NULL, &p->error));
    struct rlimit before = limit_descriptors(0);
    int outcome = lh_lease_keep(lease, &p->error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect(p, LH_MEMORY, outcome);
    expect(p, LH_OK, lh_lease_renew(lease, 0, NULL, &p->error));
    lh_store_close(store);
    lh_lease_free(lease);
    lh_record *record = NULL;
    expect(p, LH_OK, lh_status(p->store, "k", &record, &p->error));
    assert_int_equal(record->state, LH_FREE);
    lh_record_free(record);
}

/* The keeper needs two descriptors, and there was only one: it starts whole, or not at all. */
static void keeps_after_descriptors_were_short(void **state)
{
    ground *p = *state;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_lease *lease = NULL;
    o.by_hand = true;
    expect(p, LH_OK, lh_acquire(p->store, "first", &o, &lease, NULL, &p->error));
    give(p, lease);
    o.by_hand = false;
    o.ttl_ms = 1000;
    struct rlimit before = limit_descriptors(1);
    int outcome = lh_acquire(p->store, "k", &o, &lease, NULL, &p->error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect(p, LH_MEMORY, outcome);
    expect(p, LH_OK, lh_acquire(p->store, "k", &o, &lease, NULL, &p->error));
    for (int64_t until = now_ms() + 2500; now_ms() < until; usleep(20000))
        assert_true(lh_lease_valid(lease));
    give(p, lease);
}

static int owner_of(ground *p, const char *key, char *owner, size_t size)
{
    lh_record *record = NULL;
    expect(p, LH_OK, lh_status(p->store, key, &record, &p->error));
    int state = record->state;
    (void)snprintf(owner, size, "%s", state == LH_HELD ? lh_record_holder(record, 0)->owner : "");
    lh_record_free(record);
    return state;
}

static void hands_a_lease_on(void **state)
{
    ground *p = *state;
    char id[LH_LEASE_ID_LEN + 1], owner[64];
    for (int mode = LH_EXCLUSIVE; mode <= LH_SHARED; mode++) {
        const char *key = mode == LH_SHARED ? "s" : "x";
        lh_lease *lease = take_on(p, p->store, key, mode, 5000), *next = NULL;
        lh_lease *beside = mode == LH_SHARED ? take_on(p, p->store, key, mode, 5000) : NULL;
        lh_waiting *waiting = mode == LH_EXCLUSIVE ? await(p, p->store, key, mode, 30000) : NULL;
        int64_t token = lh_lease_token(lease);
        expect(p, LH_OK, lh_lease_transfer(lease, "successor", id, &p->error));
        assert_false(lh_lease_valid(lease));
        assert_int_equal(owner_of(p, key, owner, sizeof owner), LH_HELD);
        if (mode == LH_EXCLUSIVE)
            assert_string_equal(owner, "successor");
        expect(p, LH_OK, lh_lease_attach(p->store, key, id, &next, &p->error));
        assert_false(lh_lease_valid(next));
        expect(p, LH_OK, lh_lease_renew(next, 0, NULL, &p->error));
        assert_true(lh_lease_valid(next));
        assert_true(lh_lease_token(next) > token);
        assert_int_equal(lh_lease_renew(lease, 0, NULL, NULL), LH_LOST);
        assert_int_equal(lh_lease_transfer(lease, "thief", id, NULL), LH_LOST);
        lh_lease_free(lease);
        if (waiting)
            assert_false(is_settled(waiting, 0));
        give(p, next);
        if (beside)
            give(p, beside);
        if (waiting) {
            expect(p, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &p->error));
            give(p, lease);
        }
        assert_int_equal(owner_of(p, key, owner, sizeof owner), LH_FREE);
    }
}

static int work(void *arg, lh_lease *lease)
{
    assert_true(lh_lease_valid(lease));
    return *(int *)arg;
}

static int give_away(void *arg, lh_lease *lease)
{
    return lh_lease_release(lease, arg);
}

static void works_under_a_lease(void **state)
{
    ground *p = *state;
    char owner[64];
    int result = LH_OK;
    expect(p, LH_OK, lh_with_lease(p->store, "k", NULL, work, &result, &p->error));
    assert_int_equal(owner_of(p, "k", owner, sizeof owner), LH_FREE);
    result = LH_DATA;
    expect(p, LH_DATA, lh_with_lease(p->store, "k", NULL, work, &result, &p->error));
    expect(p, LH_LOST, lh_with_lease(p->store, "k", NULL, give_away, NULL, &p->error));
    assert_int_equal(owner_of(p, "k", owner, sizeof owner), LH_FREE);
}

static void closing_releases_all(void **state)
{
    ground *p = *state;
    enum { N = 300 };
    lh_store *store = another(p);
    lh_lease *leases[N];
    char key[16];
    for (int i = 0; i < N; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        leases[i] = take_on(p, store, key, i % 50 == 0 ? LH_SHARED : LH_EXCLUSIVE, 60000);
    }
    lh_waiting *waiting = await(p, p->store, "k7", LH_EXCLUSIVE, 30000);
    int64_t start = now_ms();
    lh_store_close(store);
    print_message("released %d leases in %d ms\n", N, (int)(now_ms() - start));
    for (int i = 0; i < N; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        char owner[64];
        if (i != 7)
            assert_int_equal(owner_of(p, key, owner, sizeof owner), LH_FREE);
        lh_lease_free(leases[i]);
    }
    lh_lease *lease = NULL;
    expect(p, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &p->error));
    give(p, lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        wait_test(renews_past_the_ttl),
        wait_test(tells_a_loss_where_the_token_grew),
        wait_test(leaves_alone_what_is_renewed_by_hand),
        wait_test(tells_what_several_threads_find_out_at_once),
        wait_test(believes_what_it_asked_for),
        wait_test(loses_only_what_the_server_refuses),
        wait_test(keeps_what_it_is_given),
        wait_test(tells_once_what_was_broken),
        wait_test(hands_a_lease_on),
        wait_test(works_under_a_lease),
        wait_test(closing_releases_all),
        wait_test(the_descriptor_may_be_asked_for_late),
        wait_test(keeps_after_descriptors_were_short),
        wait_test(what_it_cannot_keep_stays_the_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

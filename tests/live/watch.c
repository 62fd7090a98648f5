/* SPDX-License-Identifier: Apache-2.0
 * How waiters hear of grants, and what they believe: killed cursors, killed waiters, grants that
 * name the wrong beat, many at once. */
#include "waiting.h"

#include <signal.h>
#include <sys/wait.h>

static void a_killed_cursor_still_hands_off(void **state)
{
    ground *p = *state;
    if (!p->set)
        skip();
    lh_store *other = open_on(p, p->uri, "another-app", 10000, NULL, NULL);
    for (int round = 0; round < 3; round++) {
        lh_lease *holder = take_on(p, other, "k", LH_EXCLUSIVE, 30000), *lease = NULL;
        lh_waiting *waiting = await(p, p->store, "k", LH_EXCLUSIVE, 30000);
        within(25000, kill_cursors(p) > 0);
        if (round == 1)
            (void)is_settled(waiting, 300); /* the new one is open by now, or not */
        int64_t start = now_ms();
        give(p, holder);
        expect(p, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &p->error));
        assert_in_range(now_ms() - start, 0, 10000); /* and not when the holder would have ended */
        give(p, lease);
    }
    lh_store_close(other);
}

/* Another process that waits for `key`, for ever. */
static pid_t waiter_process(ground *p, const char *key, const char *claim_ms)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl("/proc/self/exe", "waiter", p->uri, p->db, key, claim_ms, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int be_waiter(char **argv)
{
    lh_store_options so = LH_STORE_OPTIONS_INIT;
    lh_store *store = NULL;
    lh_lease *lease = NULL;
    so.uri = argv[1];
    so.db = argv[2];
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = LH_FOREVER;
    o.claim_ms = atoi(argv[4]);
    lh_error error = LH_ERROR_INIT;
    if (lh_store_open(&so, &store, &error) != LH_OK ||
        lh_acquire(store, argv[3], &o, &lease, NULL, &error) != LH_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    (void)pause();
    return 0;
}

static void a_killed_waiter_is_passed_over(void **state)
{
    ground *p = *state;
    lh_lease *holder = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000), *lease = NULL;
    pid_t first = waiter_process(p, "k", "1500");
    within(10000, queued(p, "k") == 1);
    lh_waiting *second = await(p, p->store, "k", LH_EXCLUSIVE, 60000);
    assert_int_equal(queued(p, "k"), 2);
    assert_int_equal(kill(first, SIGKILL), 0);
    (void)waitpid(first, NULL, 0);
    int64_t start = now_ms();
    give(p, holder); /* may grant the dead one, for its claim_ms */
    expect(p, LH_OK, lh_waiting_finish(second, &lease, NULL, &p->error));
    print_message("passed over after %d ms\n", (int)(now_ms() - start));
    /* its claim, the grace, a look every two seconds */
    assert_in_range(now_ms() - start, 0, 20000);
    give(p, lease);
}

static void stored_waiter(ground *p, const char *key, char id[LH_LEASE_ID_LEN + 1])
{
    char *text = stored(p, key), *at = strstr(text, "\"waiters\"");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"waiters\" : { \"%32[0-9a-f]\"", id), 1);
    bson_free(text);
}

/* Grants the key to `id` as a release would, naming `beat`. */
static void grant(ground *p, const char *key, const char *id, int beat)
{
    char update[1000];
    (void)snprintf(update, sizeof update,
                   "{'0': {'$set': {'released': {'id': '$id', 'how': 'release', 'at': '$$NOW'}, "
                   "'id': '%s', 'owner': 'x', "
                   "'expires_at': {'$add': ['$$NOW', 5000]}, 'token': {'$add': ['$token', 1]}, "
                   "'acquired_at': '$$NOW', "
                   "'renewed_at': '$$NOW', 'ttl_ms': {'$numberLong': '30000'}, 'beat': "
                   "{'$numberLong': '%d'}, 'wake': "
                   "'%s:%d'}}, '1': {'$unset': ['waiters']}}",
                   id, beat, id, beat);
    change(p, key, json("%s", update));
}

static void believes_the_named_beat_only(void **state)
{
    ground *p = *state;
    char id[LH_LEASE_ID_LEN + 1];
    for (int late = 0; late < 2; late++) {
        const char *key = late ? "late" : "unknown";
        lh_lease *holder = take_on(p, p->store, key, LH_EXCLUSIVE, 30000), *lease = NULL;
        lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
        o.wait_ms = 30000;
        o.claim_ms = 1000;
        lh_waiting *waiting = NULL;
        expect(p, LH_OK, lh_acquire_start(p->store, key, &o, &waiting, &p->error));
        stored_waiter(p, key, id);
        if (late)
            assert_false(is_settled(waiting, 1200));
        /* beat 0 was believed for a second; 999 was never sent */
        grant(p, key, id, late ? 0 : 999);
        expect(p, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &p->error));
        /* given back, and asked again under another */
        assert_string_not_equal(lh_lease_id(lease), id);
        assert_true(lh_lease_valid(lease));
        give(p, lease);
        lh_lease_free(holder);
    }
    /* And a fresh one is believed. */
    lh_lease *holder = take_on(p, p->store, "fresh", LH_EXCLUSIVE, 30000), *lease = NULL;
    lh_waiting *waiting = await(p, p->store, "fresh", LH_EXCLUSIVE, 30000);
    stored_waiter(p, "fresh", id);
    grant(p, "fresh", id, 0);
    expect(p, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &p->error));
    assert_string_equal(lh_lease_id(lease), id);
    within(4000, lh_lease_remaining_ms(lease) > 25000);
    give(p, lease);
    lh_lease_free(holder);
}

enum { MANY = 2000, KEYS = 100 };

static void many_waiters_cost_two_threads(void **state)
{
    ground *p = *state;
    lh_lease *holders[KEYS];
    static lh_waiting *waiting[MANY];
    char key[16];
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
        o.by_hand = true;
        o.ttl_ms = 600000;
        expect(p, LH_OK, lh_acquire(p->store, key, &o, &holders[i], NULL, &p->error));
    }
    int before = threads();
    int64_t start = now_ms();
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(key, sizeof key, "k%d", i % KEYS);
        waiting[i] = await(p, p->store, key, LH_EXCLUSIVE, 120000);
    }
    print_message("%d waiters queued in %d ms\n", MANY, (int)(now_ms() - start));
    within(3000, threads() == before + (p->set ? 2 : 1));
    usleep(6000000); /* longer than claim_ms: only beats keep them alive */
    assert_int_equal(threads(), before + (p->set ? 2 : 1));
    lh_record *record = NULL;
    expect(p, LH_OK, lh_status(p->store, "k0", &record, &p->error));
    assert_int_equal(record->waiters, MANY / KEYS);
    lh_record_free(record);
    start = now_ms();
    lh_store_close(p->store);
    print_message("closed in %d ms\n", (int)(now_ms() - start));
    assert_int_equal(queued(p, "k0"), 0);
    lh_lease *lease = NULL;
    for (int i = 0; i < MANY; i++)
        expect(p, LH_CLOSED, lh_waiting_finish(waiting[i], &lease, NULL, &p->error));
    for (int i = 0; i < KEYS; i++)
        lh_lease_free(holders[i]);
    p->store = NULL;
}

int main(int argc, char **argv)
{
    if (argc == 5)
        return be_waiter(argv);
    const struct CMUnitTest tests[] = {
        wait_test(a_killed_cursor_still_hands_off),
        wait_test(a_killed_waiter_is_passed_over),
        wait_test(believes_the_named_beat_only),
        wait_test(many_waiters_cost_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

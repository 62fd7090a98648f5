/* SPDX-License-Identifier: Apache-2.0
 * A store does not survive fork(): the child is told so by every call, and the parent goes on. And
 * what a process goes on with whose id another one had, that has died. */
#include "lease/lease_held.h"
#include "live.h"

#include <sys/wait.h>
#include <unistd.h>

static int refuse(void *arg, const lh_record *record)
{
    (void)arg;
    (void)record;
    return 1;
}

/* The number of the first call that did something else, else 0. */
static int try_everything(lh_store *store, lh_lease *lease)
{
    lh_error error = LH_ERROR_INIT;
    lh_lease *other = NULL;
    lh_record *record = NULL;
    lh_cleanup_report cleaned = LH_CLEANUP_REPORT_INIT;
    lh_migrate_report migrated = LH_MIGRATE_REPORT_INIT;
    lh_break_options breaking = LH_BREAK_OPTIONS_INIT;
    breaking.reason = "test";
    if (lh_acquire(store, "other", NULL, &other, NULL, &error) != LH_FORKED ||
        !strstr(error.message, "fork"))
        return 1;
    if (lh_lease_renew(lease, 0, NULL, &error) != LH_FORKED)
        return 2;
    if (lh_lease_release(lease, &error) != LH_FORKED)
        return 3;
    if (lh_lease_attach(store, "k", lh_lease_id(lease), &other, &error) != LH_FORKED)
        return 4;
    if (lh_status(store, "k", &record, &error) != LH_FORKED)
        return 5;
    if (lh_list(store, NULL, refuse, NULL, &error) != LH_FORKED)
        return 6;
    if (lh_break(store, "k", &breaking, NULL, &error) != LH_FORKED)
        return 7;
    if (lh_cleanup(store, NULL, &cleaned, &error) != LH_FORKED)
        return 8;
    if (lh_migrate(store, NULL, &migrated, &error) != LH_FORKED)
        return 9;
    if (other || record)
        return 10;
    lh_lease_free(lease);
    lh_store_close(store); /* harms nobody */
    return 0;
}

static void test_the_child_is_told_and_the_parent_goes_on(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(try_everything(g->store, lease));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(state_of(g, "k"), LH_HELD);
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    give(g, lease);
}

/* A thread of the parent's was at work, with its locks: in the child nobody lets go of them. */
static void test_the_child_does_not_wait_for_the_parents_threads(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    pthread_mutex_lock(&g->store->held->lock);
    pthread_mutex_lock(&lease->lock);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)alarm(10);
        bool good = !lh_lease_valid(lease) && lh_lease_remaining_ms(lease) == 0 &&
                    lh_lease_token(lease) > 0 && lh_lease_ttl_ms(lease) > 0;
        (void)lh_lease_lost_fd(lease);
        lh_lease_free(lease);
        lh_store_close(g->store);
        _exit(good ? 0 : 1);
    }
    pthread_mutex_unlock(&lease->lock);
    pthread_mutex_unlock(&g->store->held->lock);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    give(g, lease);
}

enum { GIVEN, DRAWN, SHARED, LEFT, N_KEYS };
static const char *const keys[N_KEYS] = {"given", "drawn", "shared", "left"};

static int acquire_as(lh_store *store, int i, const char *id, lh_lease **ret_lease, lh_error *error)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.lease_id = id;
    o.by_hand = true;
    o.mode = i == SHARED ? LH_SHARED : LH_EXCLUSIVE;
    return lh_acquire(store, keys[i], &o, ret_lease, NULL, error);
}

/* A process that acquires, tells the ids, and dies. */
static int acquire_and_die(ground *g, char ids[N_KEYS][LH_LEASE_ID_LEN + 1], int to)
{
    g->store = open_store(g);
    for (int i = 0; i < N_KEYS; i++) {
        lh_lease *lease = NULL;
        if (acquire_as(g->store, i, i == GIVEN ? ids[i] : NULL, &lease, &g->error) != LH_OK)
            return 1;
        memcpy(ids[i], lh_lease_id(lease), sizeof ids[i]);
    }
    return write(to, ids, sizeof ids[0] * N_KEYS) == (ssize_t)sizeof ids[0] * N_KEYS ? 0 : 2;
}

static void test_whose_id_another_process_acquires_with_is_not_reaped(void **state)
{
    ground *g = *state;
    char ids[N_KEYS][LH_LEASE_ID_LEN + 1];
    lh_lease *leases[N_KEYS] = {NULL};
    int tube[2], status;
    random_id(ids[GIVEN]);
    assert_int_equal(pipe(tube), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(acquire_and_die(g, ids, tube[1]));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(tube[0], ids, sizeof ids), sizeof ids);
    (void)close(tube[0]);
    (void)close(tube[1]);
    g->store = open_store(g);
    for (int i = 0; i < LEFT; i++)
        expect(g, LH_OK, acquire_as(g->store, i, ids[i], &leases[i], &g->error));
    lh_reap_report report = LH_REAP_REPORT_INIT;
    expect(g, LH_OK, lh_reap(g->store, NULL, NULL, NULL, &report, &g->error));
    assert_int_equal(report.holders, 1);
    assert_int_equal(state_of(g, keys[LEFT]), LH_FREE);
    for (int i = 0; i < LEFT; i++) {
        expect(g, LH_OK, lh_lease_renew(leases[i], 0, NULL, &g->error));
        give(g, leases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_test(test_whose_id_another_process_acquires_with_is_not_reaped),
        live_test(test_the_child_is_told_and_the_parent_goes_on),
        live_test(test_the_child_does_not_wait_for_the_parents_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

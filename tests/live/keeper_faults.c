/* SPDX-License-Identifier: Apache-2.0
 * The keeper through a stepdown, and beside a server that hangs. On deployments of their own. */
#include "process.h"
#include "waiting.h"

#include <signal.h>
#include <stdatomic.h>

typedef struct {
    atomic_int calls;
    _Atomic int64_t at;
} losses;

static void lost(void *arg, const char *key, const char *lease_id)
{
    losses *l = arg;
    (void)key;
    (void)lease_id;
    atomic_store(&l->at, now_ms());
    atomic_fetch_add(&l->calls, 1);
}

/* Starts a deployment that ends with this process. */
static bool start_own(const char *kind, char *uri, size_t size)
{
    const char *script = getenv("LEASEHOLD_MONGOD");
    char command[512];
    if (!script || !*script)
        return false;
    (void)snprintf(command, sizeof command, "'%s' up %s --name keeper-%s-%d --end-with %d", script,
                   kind, kind, (int)getpid(), (int)getpid());
    FILE *out = popen(command, "r");
    assert_non_null(out);
    assert_non_null(fgets(uri, (int)size, out));
    assert_int_equal(pclose(out), 0);
    uri[strcspn(uri, "\n")] = '\0';
    return true;
}

static void stop_own(const char *kind)
{
    char command[512];
    (void)snprintf(command, sizeof command, "'%s' down --name keeper-%s-%d",
                   getenv("LEASEHOLD_MONGOD"), kind, (int)getpid());
    assert_int_equal(system(command), 0);
}

static void keeps_and_waits_through_a_stepdown(void **state)
{
    (void)state;
    char uri[256];
    void *made;
    if (!strstr(getenv("LEASEHOLD_TEST_URI"), "replicaSet=") || !start_own("set", uri, sizeof uri))
        skip();
    (void)ground_on(&made, uri);
    ground *p = made;
    losses l = {0};
    p->store = open_on(p, uri, p->app, 10000, lost, &l);
    lh_store *other = another(p);
    lh_lease *kept[10], *holder = take_on(p, other, "k", LH_EXCLUSIVE, 20000), *lease = NULL;
    char key[16];
    for (int i = 0; i < 10; i++) {
        (void)snprintf(key, sizeof key, "kept%d", i);
        kept[i] = take_on(p, p->store, key, LH_EXCLUSIVE, 20000);
    }
    lh_waiting *waiting = await(p, p->store, "k", LH_EXCLUSIVE, 60000);
    bson_t *down = BCON_NEW("replSetStepDown", BCON_INT32(20), "secondaryCatchUpPeriodSecs",
                            BCON_INT32(5), "force", BCON_BOOL(true));
    (void)mongoc_client_command_simple(p->client, "admin", down, NULL, NULL, NULL);
    bson_destroy(down);
    int64_t start = now_ms();
    expect(p, LH_OK, lh_lease_release(holder, &p->error));
    lh_lease_free(holder);
    expect(p, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &p->error));
    print_message("handed off %d ms after the stepdown\n", (int)(now_ms() - start));
    while (now_ms() < start + 25000) { /* longer than the ttl */
        for (int i = 0; i < 10; i++)
            assert_true(lh_lease_valid(kept[i]));
        assert_true(lh_lease_valid(lease));
        usleep(50000);
    }
    assert_int_equal(atomic_load(&l.calls), 0);
    for (int i = 0; i < 10; i++)
        give(p, kept[i]);
    give(p, lease);
    lh_store_close(other);
    lh_store_close(p->store);
    p->store = NULL;
    (void)quiet_ground(&made);
    stop_own("set");
}

static void tells_of_the_loss_in_time_beside_a_hung_server(void **state)
{
    (void)state;
    char uri[256];
    void *made;
    if (strstr(getenv("LEASEHOLD_TEST_URI"), "replicaSet=") ||
        !start_own("standalone", uri, sizeof uri))
        skip();
    (void)ground_on(&made, uri);
    ground *p = made;
    losses l = {0};
    p->store = open_on(p, uri, p->app, 4000, lost, &l);
    lh_lease *lease = take_on(p, p->store, "k", LH_EXCLUSIVE, 3000);
    lh_waiting *waiting = await(p, p->store, "k", LH_EXCLUSIVE, LH_FOREVER);
    usleep(1500000); /* it was renewed by then */
    char folder[480];
    assert_true(server_folder(p->client, folder, sizeof folder));
    pid_t server = server_pid(folder);
    assert_true(server > 1);
    assert_int_equal(kill(server, SIGSTOP), 0);
    int fd = lh_lease_lost_fd(lease);
    int64_t start = now_ms(), remaining = lh_lease_remaining_ms(lease);
    within(4000, atomic_load(&l.calls) == 1);
    int64_t took = atomic_load(&l.at) - start;
    print_message("lost after %d ms, %d were left\n", (int)took, (int)remaining);
    assert_in_range(took, remaining - 10, remaining + 100);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    struct timeval now = {0};
    assert_int_equal(select(fd + 1, &set, NULL, NULL, &now), 1);
    assert_false(lh_lease_valid(lease));
    /* And closing is bounded. */
    start = now_ms();
    lh_store_close(p->store);
    print_message("closed beside the hung server in %d ms\n", (int)(now_ms() - start));
    /* bounded: timeout_ms, twice, and the driver's farewell */
    assert_in_range(now_ms() - start, 0, 30000);
    expect(p, LH_CLOSED, lh_waiting_finish(waiting, &lease, NULL, &p->error));
    assert_int_equal(atomic_load(&l.calls), 1);
    lh_lease_free(lease);
    assert_int_equal(kill(server, SIGCONT), 0);
    p->store = NULL;
    (void)quiet_ground(&made);
    stop_own("standalone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_and_waits_through_a_stepdown),
        cmocka_unit_test(tells_of_the_loss_in_time_beside_a_hung_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

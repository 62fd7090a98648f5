/* SPDX-License-Identifier: Apache-2.0
 * Primaries step down and die while two stores compete for a key: no grant is lost, none is double,
 * tokens only grow. */
#include <stdatomic.h>

#include "own.h"

static own set;
static atomic_int inside, doubles, backwards, grants, wrong;
static atomic_bool enough;
static _Atomic int64_t last_token;

typedef struct {
    lh_store *store;
    char why[600];
} competitor;

static void work(competitor *c, lh_lease *lease)
{
    lh_error error = LH_ERROR_INIT;
    if (lh_lease_valid(lease)) {
        if (atomic_fetch_add(&inside, 1) != 0)
            atomic_fetch_add(&doubles, 1);
        if (atomic_exchange(&last_token, lh_lease_token(lease)) >= lh_lease_token(lease))
            atomic_fetch_add(&backwards, 1);
        atomic_fetch_add(&grants, 1);
        int renewed = lh_lease_renew(lease, 0, NULL, &error);
        /* its ttl is long: nobody may have taken it */
        if (renewed != LH_OK && renewed != LH_UNREACHABLE) {
            (void)snprintf(c->why, sizeof c->why, "renew: %s", error.message);
            atomic_fetch_add(&wrong, 1);
        }
        atomic_fetch_sub(&inside, 1);
    }
    int released;
    while ((released = lh_lease_release(lease, &error)) == LH_UNREACHABLE || released == LH_UNKNOWN)
        ;
    if (released != LH_OK) {
        (void)snprintf(c->why, sizeof c->why, "release: %s", error.message);
        atomic_fetch_add(&wrong, 1);
    }
}

static void *compete(void *arg)
{
    competitor *c = arg;
    while (!atomic_load(&enough)) {
        lh_lease *lease = NULL;
        lh_error error = LH_ERROR_INIT;
        lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
        options.by_hand = true; /* no keeper: the test renews, or lets it end */
        options.ttl_ms = 120000;
        int outcome = lh_acquire(c->store, "k", &options, &lease, NULL, &error);
        if (outcome == LH_OK) {
            work(c, lease);
            lh_lease_free(lease);
        } else if (outcome == LH_UNKNOWN) { /* settle it, as a careful caller does */
            lh_lease *doubt = NULL;
            if (lh_lease_attach(c->store, "k", error.lease_id, &doubt, &error) == LH_OK) {
                int released;
                while ((released = lh_lease_release(doubt, &error)) == LH_UNREACHABLE ||
                       released == LH_UNKNOWN)
                    ;
                lh_lease_free(doubt);
            }
        } else if (outcome != LH_BUSY && outcome != LH_UNREACHABLE) {
            (void)snprintf(c->why, sizeof c->why, "acquire: %s", error.message);
            atomic_fetch_add(&wrong, 1);
        }
    }
    return NULL;
}

/* Until so many more were granted: a new primary is at work. */
static void await_grants(int more)
{
    int wanted = atomic_load(&grants) + more;
    while (atomic_load(&grants) < wanted && atomic_load(&wrong) == 0)
        (void)usleep(2000);
}

static void test_stepdowns_neither_lose_nor_double_a_grant(void **state)
{
    (void)state;
    if (!own_up(&set, "set"))
        skip();
    ground *g = own_ground(&set, 8000);
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri;
    options.timeout_ms = 8000;
    competitor competitors[2] = {{.store = g->store}, {.store = open_store_with(g, &options)}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, compete, &competitors[i]), 0);
    await_grants(20);
    for (int round = 0; round < 3; round++) {
        bson_t *reply = NULL;
        for (int i = 0; i < 100 && !reply; i++) { /* the observer may still ask the one before */
            reply = run_command(g, "admin", json("{'replSetStepDown': 5, 'force': true}"));
            if (!reply)
                (void)usleep(50000);
        }
        assert_non_null(reply);
        bson_destroy(reply);
        await_grants(20);
    }
    own_look(&set, g);
    assert_int_equal(kill(set.pid, SIGKILL), 0);
    await_grants(20);
    atomic_store(&enough, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++)
        if (*competitors[i].why)
            print_error("%s\n", competitors[i].why);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(atomic_load(&doubles), 0);
    assert_int_equal(atomic_load(&backwards), 0);
    assert_int_equal(count_documents(g), 1);
    close_later(competitors[1].store);
    void *ground_state = g;
    (void)old_ground(&ground_state);
    own_down(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stepdowns_neither_lose_nor_double_a_grant)};
    const char *uri = getenv("LEASEHOLD_TEST_URI");
    if (uri && !strstr(uri, "replicaSet="))
        return 0; /* a standalone has nobody to step down for */
    (void)alarm(200);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * What it costs to hold many leases: memory, threads, commands
 * and processor time of the keeper, and how long a round of renewals takes, beside the floor of one
 * raw write.
 *
 *     keeping URI [leases] [seconds]         (default: 10000, 21 s: two rounds at a ttl of
 * 30) */
#include "bench.h"

#include <pthread.h>

enum { TAKERS = 8 };

static lh_store *store;
static lh_lease **leases;
static int n_leases;
static atomic_int next_lease;

static void *take(void *arg)
{
    (void)arg;
    for (int i; (i = atomic_fetch_add(&next_lease, 1)) < n_leases;) {
        char key[32];
        (void)snprintf(key, sizeof key, "lease:%d", i);
        leases[i] = acquire(store, key, LH_EXCLUSIVE);
    }
    return NULL;
}

static void take_all(void)
{
    pthread_t takers[TAKERS];
    for (int i = 0; i < TAKERS; i++)
        if (pthread_create(&takers[i], NULL, take, NULL) != 0)
            die("thread", "none left");
    for (int i = 0; i < TAKERS; i++)
        pthread_join(takers[i], NULL);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die(argv[0], "which URI?");
    n_leases = number(argc, argv, 2, 10000, 1000000);
    int seconds = number(argc, argv, 3, 21, 3600), threads;
    leases = calloc((size_t)n_leases, sizeof(lh_lease *));
    mongoc_client_t *client = observer(argv[1]);
    drop(client);
    double least = floor_ms(client);
    long before = resident();
    store = open_store(argv[1]);
    release(acquire(store, "first", LH_EXCLUSIVE));
    (void)thread_cpu("", &threads);
    printf("an idle store that has acquired: %ld KiB, %d threads in the process\n",
           resident() - before, threads);
    double begin = now();
    take_all();
    printf("took %d leases in %.0f ms\n", n_leases, now() - begin);
    long held = resident();
    served from = served_so_far(client);
    double cpu = thread_cpu("lh-keeper", &threads);
    nap(seconds * 1000.0);
    double spent = thread_cpu("lh-keeper", &threads) - cpu;
    served to = served_so_far(client);
    int valid = 0;
    for (int i = 0; i < n_leases; i++)
        valid += lh_lease_valid(leases[i]);
    double rounds = seconds / 10.0;
    printf("in %d s: %.1f writes a round of renewals, %.1f ms of the keeper's processor time a "
           "round (%.2f us a "
           "lease), %d of %d valid\n",
           seconds, (double)(to.writes - from.writes) / rounds, spent / rounds,
           spent / rounds * 1000 / n_leases, valid, n_leases);
    (void)thread_cpu("", &threads);
    printf("%.2f KiB a held lease, %d threads\n", (double)(held - before) / n_leases, threads);
    begin = now();
    lh_store_close(store);
    printf("closed, all released, in %.0f ms\n", now() - begin);
    for (int i = 0; i < n_leases; i++)
        lh_lease_free(leases[i]);
    printf("the floor: %.2f ms; times 500: %.0f ms\n", least, least * 500);
    drop(client);
    mongoc_client_destroy(client);
    free(leases);
    return 0;
}

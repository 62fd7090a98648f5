/* SPDX-License-Identifier: Apache-2.0
 * What it costs to wait: many waiters of one process over a
 * number of keys that nobody releases; the processor time of the keeper and the commands that it
 * sends, a second; and then a hand-off of one more key beside them.
 *
 *     waiting URI [waiters] [keys] [seconds]         (default: 10000 waiters, 100 keys, 10
 * seconds) */
#include "bench.h"

#include <pthread.h>

enum { STARTERS = 8, HANDOFFS = 100 };

static lh_store *store;
static lh_waiting **waiting;
static int n_waiting, n_keys;
static atomic_int next_waiting;

static void *begin_some(void *arg)
{
    (void)arg;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = LH_FOREVER;
    for (int i; (i = atomic_fetch_add(&next_waiting, 1)) < n_waiting;) {
        char key[32];
        lh_error error = LH_ERROR_INIT;
        (void)snprintf(key, sizeof key, "key:%d", i % n_keys);
        if (lh_acquire_start(store, key, &o, &waiting[i], &error) != LH_OK)
            die("start", error.message);
    }
    return NULL;
}

static void begin_all(void)
{
    pthread_t starters[STARTERS];
    for (int i = 0; i < STARTERS; i++)
        if (pthread_create(&starters[i], NULL, begin_some, NULL) != 0)
            die("thread", "none left");
    for (int i = 0; i < STARTERS; i++)
        pthread_join(starters[i], NULL);
}

static void hand_off_beside(lh_store *holder)
{
    double ms[HANDOFFS], cpu;
    int n;
    cpu = thread_cpu("lh-keeper", &n);
    for (int i = 0; i < HANDOFFS; i++) {
        lh_lease *lease = acquire(holder, "beside", LH_EXCLUSIVE);
        lh_waiting *one = NULL;
        lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
        lh_error error = LH_ERROR_INIT;
        o.wait_ms = LH_FOREVER;
        if (lh_acquire_start(store, "beside", &o, &one, &error) != LH_OK)
            die("start", error.message);
        double begin = now();
        release(lease);
        if (lh_waiting_finish(one, &lease, NULL, &error) != LH_OK)
            die("finish", error.message);
        ms[i] = now() - begin;
        release(lease);
    }
    cpu = thread_cpu("lh-keeper", &n) - cpu;
    (void)print("hand-off of another key between two stores", ms, HANDOFFS);
    printf("keepers' processor time meanwhile: %.2f ms a hand-off, %d keepers\n", cpu / HANDOFFS,
           n);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die(argv[0], "which URI?");
    n_waiting = number(argc, argv, 2, 10000, 1000000);
    n_keys = number(argc, argv, 3, 100, 1000000);
    int seconds = number(argc, argv, 4, 10, 3600), n;
    waiting = calloc((size_t)n_waiting, sizeof(lh_waiting *));
    mongoc_client_t *client = observer(argv[1]);
    drop(client);
    lh_store *holder = open_store(argv[1]);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.by_hand = true;
    o.ttl_ms = 3600000;
    for (int i = 0; i < n_keys; i++) {
        char key[32];
        lh_lease *lease = NULL;
        (void)snprintf(key, sizeof key, "key:%d", i);
        if (lh_acquire(holder, key, &o, &lease, NULL, NULL) != LH_OK)
            die("acquire", key);
        lh_lease_free(lease);
    }
    store = open_store(argv[1]);
    long before = resident();
    double begin = now();
    begin_all();
    printf("%d waiters on %d keys queued in %.0f ms, %.2f KiB each\n", n_waiting, n_keys,
           now() - begin, (double)(resident() - before) / n_waiting);
    nap(3000);
    served from = served_so_far(client);
    double cpu = thread_cpu("lh-keeper", &n), watch = thread_cpu("lh-watch", &n);
    nap(seconds * 1000.0);
    cpu = thread_cpu("lh-keeper", &n) - cpu;
    watch = thread_cpu("lh-watch", &n) - watch;
    served to = served_so_far(client);
    printf("a second: %.1f ms of the keeper, %.1f ms of the watcher, %.0f writes, %.0f reads\n",
           cpu / seconds, watch / seconds, (double)(to.writes - from.writes) / seconds,
           (double)(to.reads - from.reads) / seconds);
    hand_off_beside(holder);
    begin = now();
    lh_store_close(store);
    printf("closed in %.0f ms\n", now() - begin);
    for (int i = 0; i < n_waiting; i++) {
        lh_lease *lease = NULL;
        (void)lh_waiting_finish(waiting[i], &lease, NULL, NULL);
    }
    lh_store_close(holder);
    drop(client);
    mongoc_client_destroy(client);
    free(waiting);
    return 0;
}

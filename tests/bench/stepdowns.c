/* SPDX-License-Identifier: Apache-2.0
 * Waiters of ten processes on ten keys while primaries step
 * down, one after the other: are all served, and is nothing lost? It steps down the set that it is
 * given: a set of your own.
 *
 *     stepdowns URI [waiters] [stepdowns]         (default: 500 waiters, 20 stepdowns) */
#include "bench.h"

#include <poll.h>

enum { PROCESSES = 10, KEYS = 10, EACH_MAX = 1000, HOLD_MS = 1000 };

static struct {
    atomic_bool open;
    atomic_int queued, served, failed, lost, invalid;
} * all;

static const char *uri;
static int each;

static void note_lost(void *arg, const char *key, const char *lease_id)
{
    (void)arg;
    (void)key;
    (void)lease_id;
    atomic_fetch_add(&all->lost, 1);
}

static lh_store *open_own(void)
{
    lh_store_options o = LH_STORE_OPTIONS_INIT;
    lh_error error = LH_ERROR_INIT;
    lh_store *store = NULL;
    o.uri = uri;
    o.db = DB;
    o.on_lost = note_lost;
    if (lh_store_open(&o, &store, &error) != LH_OK)
        die("open", error.message);
    return store;
}

static void serve(lh_waiting *waiting)
{
    lh_lease *lease = NULL;
    lh_error error = LH_ERROR_INIT;
    int outcome = lh_waiting_finish(waiting, &lease, NULL, &error);
    if (outcome != LH_OK) {
        (void)fprintf(stderr, "%s: %s\n", lh_outcome_word(outcome), error.message);
        atomic_fetch_add(&all->failed, 1);
        return;
    }
    nap(HOLD_MS);
    if (!lh_lease_valid(lease))
        atomic_fetch_add(&all->invalid, 1);
    release(lease);
    atomic_fetch_add(&all->served, 1);
}

static void wait_many(void *arg, int me)
{
    (void)arg;
    lh_store *store = open_own();
    lh_waiting *waiting[EACH_MAX];
    struct pollfd pollers[EACH_MAX];
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_error error = LH_ERROR_INIT;
    o.wait_ms = LH_FOREVER;
    o.ttl_ms = 60000;
    for (int i = 0; i < each; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "key:%d", (me + i) % KEYS);
        if (lh_acquire_start(store, key, &o, &waiting[i], &error) != LH_OK)
            die("start", error.message);
        pollers[i] = (struct pollfd){.fd = lh_waiting_fd(waiting[i]), .events = POLLIN};
        atomic_fetch_add(&all->queued, 1);
    }
    while (!atomic_load(&all->open))
        nap(5);
    for (int left = each; left > 0;) {
        (void)poll(pollers, (nfds_t)each, -1);
        for (int i = 0; i < each; i++)
            if (pollers[i].fd >= 0 && pollers[i].revents) {
                pollers[i].fd = -1;
                serve(waiting[i]);
                left--;
            }
    }
    lh_store_close(store);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die(argv[0], "which URI?");
    uri = argv[1];
    each = number(argc, argv, 2, 500, PROCESSES * EACH_MAX) / PROCESSES;
    int stepdowns = number(argc, argv, 3, 20, 1000), done = 0;
    all = shared(sizeof *all);
    mongoc_client_t *client = observer(uri);
    drop(client);
    lh_store_close(open_store(uri)); /* makes the index */
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = start(wait_many, NULL, i);
    while (atomic_load(&all->queued) < each * PROCESSES)
        nap(10);
    double begin = now();
    atomic_store(&all->open, true);
    while (done < stepdowns && atomic_load(&all->served) < each * PROCESSES) {
        done += command(client, "admin",
                        BCON_NEW("replSetStepDown", BCON_INT32(3), "secondaryCatchUpPeriodSecs",
                                 BCON_INT32(2), "force", BCON_BOOL(true)),
                        NULL);
        nap(2500);
    }
    while (atomic_load(&all->served) + atomic_load(&all->failed) < each * PROCESSES &&
           now() - begin < 600000)
        nap(100);
    printf("%d waiters through %d stepdowns in %.0f s: %d served, %d failed, %d lost, %d held no "
           "more after %d ms\n",
           each * PROCESSES, done, (now() - begin) / 1000, atomic_load(&all->served),
           atomic_load(&all->failed), atomic_load(&all->lost), atomic_load(&all->invalid), HOLD_MS);
    bool all_done = atomic_load(&all->served) + atomic_load(&all->failed) == each * PROCESSES;
    for (int i = 0; i < PROCESSES; i++) {
        if (!all_done)
            (void)kill(pids[i], SIGKILL);
        (void)waitpid(pids[i], NULL, 0);
    }
    mongoc_client_destroy(client);
    return 0;
}

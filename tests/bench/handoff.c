/* SPDX-License-Identifier: Apache-2.0
 * What a hand-off costs: from the start of a release to the
 * return of the waiter's acquire, between two processes and within one; beside a plain release, and
 * beside what the server needs to tell of a change at all: from the start of a raw write to its
 * event in another process.
 *
 *     handoff URI [rounds]         (default: 300) */
#include "bench.h"

static const char *uri;
static int rounds, go[2], told[2];

static void tell(double at)
{
    if (write(told[1], &at, sizeof at) != sizeof at)
        _exit(1);
}

static double hear(void)
{
    double at = 0;
    if (read(told[0], &at, sizeof at) != sizeof at)
        die("pipe", "the other process ended");
    return at;
}

static void cue(void)
{
    if (write(go[1], "x", 1) != 1)
        die("pipe", "the other process ended");
}

/* The child acquires after each cue, and tells when it had. */
static void play_waiter(void *arg, int i)
{
    (void)arg;
    lh_store *store = open_store(uri);
    for (char byte; i < rounds && read(go[0], &byte, 1) == 1; i++) {
        lh_lease *lease = acquire(store, "two", LH_EXCLUSIVE);
        double at = now();
        release(lease);
        tell(at);
    }
    lh_store_close(store);
}

static void between_processes(double *ms, double *plain)
{
    pid_t child = start(play_waiter, NULL, 0);
    lh_store *store = open_store(uri);
    for (int i = 0; i < rounds; i++) {
        lh_lease *lease = acquire(store, "two", LH_EXCLUSIVE),
                 *other = acquire(store, "plain", LH_EXCLUSIVE);
        cue();
        await_queue(store, "two", 1);
        nap(20);
        double begin = now();
        (void)lh_lease_release(other, NULL);
        plain[i] = now() - begin;
        begin = now();
        (void)lh_lease_release(lease, NULL);
        ms[i] = hear() - begin;
        lh_lease_free(lease);
        lh_lease_free(other);
    }
    lh_store_close(store);
    (void)waitpid(child, NULL, 0);
}

static void within_one(double *ms)
{
    lh_store *store = open_store(uri);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = LH_FOREVER;
    for (int i = 0; i < rounds; i++) {
        lh_lease *lease = acquire(store, "one", LH_EXCLUSIVE);
        lh_waiting *waiting = NULL;
        lh_error error = LH_ERROR_INIT;
        if (lh_acquire_start(store, "one", &o, &waiting, &error) != LH_OK)
            die("start", error.message);
        double begin = now();
        (void)lh_lease_release(lease, NULL);
        lh_lease_free(lease);
        if (lh_waiting_finish(waiting, &lease, NULL, &error) != LH_OK)
            die("finish", error.message);
        ms[i] = now() - begin;
        release(lease);
    }
    lh_store_close(store);
}

/* The child tells of each event of a plain change stream. */
static void play_listener(void *arg, int i)
{
    (void)arg;
    mongoc_client_t *client = observer(uri);
    mongoc_collection_t *floor = mongoc_client_get_collection(client, DB, "floor");
    bson_t none = BSON_INITIALIZER;
    mongoc_change_stream_t *stream = mongoc_collection_watch(floor, &none, NULL);
    const bson_t *event;
    tell(now()); /* it is open */
    while (i < rounds)
        if (mongoc_change_stream_next(stream, &event)) {
            tell(now());
            i++;
        }
    mongoc_change_stream_destroy(stream);
    mongoc_collection_destroy(floor);
    mongoc_client_destroy(client);
}

static void bare_events(double *ms)
{
    pid_t child = start(play_listener, NULL, 0);
    mongoc_client_t *client = observer(uri);
    (void)hear();
    nap(500);
    for (int i = 0; i < rounds; i++) {
        double begin = now();
        (void)raw_write(client, i);
        ms[i] = hear() - begin;
        nap(5);
    }
    mongoc_client_destroy(client);
    (void)waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die(argv[0], "which URI?");
    uri = argv[1];
    rounds = number(argc, argv, 2, 300, 100000);
    double *ms = calloc((size_t)rounds, sizeof *ms), *plain = calloc((size_t)rounds, sizeof *plain);
    if (!ms || !plain || pipe(go) != 0 || pipe(told) != 0)
        die(argv[0], "no memory");
    between_processes(ms, plain);
    double released = print("release, nobody waits", plain, rounds);
    double two = print("hand-off between two processes", ms, rounds);
    within_one(ms);
    double one = print("hand-off within a process", ms, rounds);
    bool set = strstr(uri, "replicaSet=") != NULL;
    double bare = 0;
    if (set) {
        bare_events(ms);
        bare = print("raw write, until its event is in another process", ms, rounds);
    }
    printf("hand-off / release: %.2f between two processes, %.2f within one\n", two / released,
           one / released);
    if (set)
        printf("hand-off between two processes / bare event: %.2f\n", two / bare);
    free(ms);
    free(plain);
    return 0;
}

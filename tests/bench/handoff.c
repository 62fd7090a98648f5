/* SPDX-License-Identifier: Apache-2.0
 * What a hand-off costs: from the start of a release to the return of the waiter's acquire, between two processes and within
 * one; beside a plain release in the same run. Prints; asserts nothing.
 *
 *     handoff URI [rounds]         (default: 300) */
#include <leasehold/leasehold.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DB "wait_bench"

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static lh_store *open_store(const char *uri)
{
    lh_store_options o = LH_STORE_OPTIONS_INIT;
    lh_error error;
    lh_store *store = NULL;
    o.uri = uri;
    o.db = DB;
    if (lh_store_open(&o, &store, &error) != LH_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    return store;
}

static lh_lease *acquire(lh_store *store, const char *key)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_error error;
    lh_lease *lease = NULL;
    o.wait_ms = LH_FOREVER;
    if (lh_acquire(store, key, &o, &lease, NULL, &error) != LH_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    return lease;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print(const char *what, double *ms, int n)
{
    if (n == 0)
        return;
    qsort(ms, (size_t)n, sizeof *ms, by_size);
    printf("%-44s p50 %6.2f ms   p99 %6.2f ms   (%d)\n", what, ms[n / 2], ms[n * 99 / 100], n);
    (void)fflush(stdout);
}

static void wait_queued(lh_store *store, const char *key)
{
    for (lh_record *record = NULL; lh_status(store, key, &record, NULL) == LH_OK;) {
        size_t waiters = record->waiters;
        lh_record_free(record);
        if (waiters > 0)
            return;
        (void)usleep(1000);
    }
}

/* The child acquires after each release, and writes when it had. */
static void play_child(const char *uri, int rounds, int go, int told)
{
    lh_store *store = open_store(uri);
    for (int i = 0; i < rounds; i++) {
        char byte;
        if (read(go, &byte, 1) != 1)
            break;
        lh_lease *lease = acquire(store, "two");
        double at = now();
        lh_lease_release(lease, NULL);
        lh_lease_free(lease);
        if (write(told, &at, sizeof at) != sizeof at)
            break;
    }
    lh_store_close(store);
    _exit(0);
}

static void between_processes(const char *uri, int rounds, double *ms, double *plain)
{
    int go[2], told[2];
    if (pipe(go) != 0 || pipe(told) != 0)
        exit(1);
    if (fork() == 0)
        play_child(uri, rounds, go[0], told[1]);
    lh_store *store = open_store(uri);
    for (int i = 0; i < rounds; i++) {
        lh_lease *lease = acquire(store, "two"), *other = acquire(store, "plain");
        double at = 0, start;
        if (write(go[1], "x", 1) != 1)
            exit(1);
        wait_queued(store, "two");
        (void)usleep(20000);
        start = now();
        lh_lease_release(other, NULL);
        plain[i] = now() - start;
        start = now();
        lh_lease_release(lease, NULL);
        if (read(told[0], &at, sizeof at) != sizeof at)
            exit(1);
        ms[i] = at - start;
        lh_lease_free(lease);
        lh_lease_free(other);
    }
    lh_store_close(store);
    (void)wait(NULL);
}

static void within_one(const char *uri, int rounds, double *ms)
{
    lh_store *store = open_store(uri);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = LH_FOREVER;
    for (int i = 0; i < rounds; i++) {
        lh_lease *lease = acquire(store, "one");
        lh_waiting *waiting = NULL;
        lh_error error;
        if (lh_acquire_start(store, "one", &o, &waiting, &error) != LH_OK)
            exit(1);
        double start = now();
        lh_lease_release(lease, NULL);
        lh_lease_free(lease);
        if (lh_waiting_finish(waiting, &lease, NULL, &error) != LH_OK)
            exit(1);
        ms[i] = now() - start;
        lh_lease_release(lease, NULL);
        lh_lease_free(lease);
    }
    lh_store_close(store);
}

int main(int argc, char **argv)
{
    int rounds = argc > 2 ? atoi(argv[2]) : 300;
    if (argc < 2 || rounds < 1 || rounds > 100000) {
        (void)fprintf(stderr, "usage: handoff URI [rounds]\n");
        return 64;
    }
    double *ms = calloc((size_t)rounds, sizeof *ms), *plain = calloc((size_t)rounds, sizeof *plain);
    if (!ms || !plain)
        return 70;
    between_processes(argv[1], rounds, ms, plain);
    print("release, nobody waits", plain, rounds);
    print("hand-off between two processes", ms, rounds);
    within_one(argv[1], rounds, ms);
    print("hand-off within a process", ms, rounds);
    free(ms);
    free(plain);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * What a command costs in this process: CPU of the calling
 * thread, of a plain upsert through the driver and of Leasehold's commands, in turn. Prints the
 * medians; asserts nothing.
 *
 *     client URI [rounds]                (default: 3000)
 *     client URI uptime [rounds]         (default: 200000) acquire, renew, release on 1,000 keys:
 *                                        processor time and memory of all threads, for each tenth
 *                                        of the rounds: neither may
 * grow */
#include <leasehold/leasehold.h>
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h" /* of tools/: the floor */

#define DB "client_bench"

enum { FLOOR, ACQUIRE, RENEW, BUSY, RELEASE, WHATS };
static const char *const names[] = {"plain upsert", "acquire", "renew", "busy", "release"};
static double *us[WHATS];

static double cpu_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1000;
}

static void check(int outcome, int wanted, const lh_error *error)
{
    if (outcome == wanted)
        return;
    (void)fprintf(stderr, "%s\n", outcome == LH_OK ? "granted what was held" : error->message);
    exit(1);
}

static void upsert(mongoc_client_t *client, int round)
{
    bson_error_t error;
    bson_t reply, *command = bench_floor_command("workspace_locks", "floor", (unsigned)round);
    bson_t *options = BCON_NEW("writeConcern", "{", "w", "majority", "j", BCON_BOOL(true), "}");
    if (!mongoc_client_write_command_with_opts(client, DB, command, options, &reply, &error)) {
        (void)fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    bson_destroy(&reply);
    bson_destroy(options);
    bson_destroy(command);
}

#define MEASURE(what, call)                                                                        \
    do {                                                                                           \
        double start = cpu_us();                                                                   \
        call;                                                                                      \
        us[what][round] = cpu_us() - start;                                                        \
    } while (0)

static void play(lh_store *store, mongoc_client_t *client, int rounds)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_error error = LH_ERROR_INIT;
    o.by_hand = true;
    for (int round = 0; round < rounds; round++) {
        lh_lease *lease = NULL, *none = NULL;
        int outcome;
        MEASURE(ACQUIRE, outcome = lh_acquire(store, "k", &o, &lease, NULL, &error));
        check(outcome, LH_OK, &error);
        MEASURE(RENEW, outcome = lh_lease_renew(lease, o.ttl_ms, NULL, &error));
        check(outcome, LH_OK, &error);
        MEASURE(BUSY, outcome = lh_acquire(store, "k", &o, &none, NULL, &error));
        check(outcome, LH_BUSY, &error);
        MEASURE(RELEASE, outcome = lh_lease_release(lease, &error));
        check(outcome, LH_OK, &error);
        lh_lease_free(lease);
        MEASURE(FLOOR, upsert(client, round));
    }
}

/* Of the whole process. */
static double process_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1000;
}

static long resident_kib(void)
{
    long pages = 0, all = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &all, &pages) != 2)
        pages = 0;
    if (f)
        (void)fclose(f);
    return pages * 4;
}

static void cycle(lh_store *store, int round)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_error error = LH_ERROR_INIT;
    lh_lease *lease = NULL;
    char key[16];
    (void)snprintf(key, sizeof key, "k%d", round % 1000);
    check(lh_acquire(store, key, &o, &lease, NULL, &error), LH_OK, &error);
    check(lh_lease_renew(lease, 0, NULL, &error), LH_OK, &error);
    check(lh_lease_release(lease, &error), LH_OK, &error);
    lh_lease_free(lease);
}

static void last(lh_store *store, int rounds)
{
    double first = 0, us_each = 0;
    long kib_first = 0, kib = 0;
    for (int tenth = 0; tenth < 10; tenth++) {
        double begin = process_us();
        int cycles = rounds / 10;
        for (int i = 0; i < cycles; i++)
            cycle(store, i);
        us_each = (process_us() - begin) / cycles / 3;
        kib = resident_kib();
        first = tenth == 0 ? us_each : first;
        kib_first = tenth == 0 ? kib : kib_first;
        printf("tenth %2d: %6.1f us of CPU a command, %ld KiB\n", tenth + 1, us_each, kib);
        (void)fflush(stdout);
    }
    printf("last tenth / first: CPU %.2f, memory %.2f\n", us_each / first,
           (double)kib / (double)kib_first);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    bool uptime = argc > 2 && strcmp(argv[2], "uptime") == 0;
    int rounds = argc > 2 + uptime ? atoi(argv[2 + uptime]) : uptime ? 200000 : 3000;
    if (argc < 2 || rounds < 10 || rounds > 1000000) {
        (void)fprintf(stderr, "usage: client URI [uptime] [rounds]\n");
        return 64;
    }
    lh_store_options o = LH_STORE_OPTIONS_INIT;
    lh_error error = LH_ERROR_INIT;
    lh_store *store = NULL;
    o.uri = argv[1];
    o.db = DB;
    check(lh_store_open(&o, &store, &error), LH_OK, &error);
    mongoc_init();
    mongoc_client_t *client = mongoc_client_new(argv[1]);
    for (int what = 0; what < WHATS; what++)
        if (!(us[what] = calloc((size_t)rounds, sizeof(double))))
            return 70;
    if (uptime)
        last(store, rounds);
    else
        play(store, client, rounds);
    for (int what = 0; what < WHATS; what++)
        qsort(us[what], (size_t)rounds, sizeof(double), by_size);
    for (int what = 0; what < WHATS && !uptime; what++)
        printf("%-14s p10 %6.1f  p50 %6.1f us of CPU   (%+.1f)\n", names[what],
               us[what][rounds / 10], us[what][rounds / 2],
               us[what][rounds / 2] - us[FLOOR][rounds / 2]);
    mongoc_database_t *db = mongoc_client_get_database(client, DB);
    (void)mongoc_database_drop(db, NULL);
    mongoc_database_destroy(db);
    mongoc_client_destroy(client);
    lh_store_close(store);
    for (int what = 0; what < WHATS; what++)
        free(us[what]);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * What the measuring programs share: clocks, percentiles, processes with memory in common, and
 * looking at the server and at the threads of this process. They print, and assert nothing. */
#ifndef BENCH_H
#define BENCH_H

#include <dirent.h>
#include <leasehold/leasehold.h>
#include <mongoc/mongoc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h" /* of tools/: the floor */

#define DB    "leasehold_bench"
#define LOCKS "workspace_locks"

static inline double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static inline void nap(double ms)
{
    if (ms > 0)
        (void)usleep((useconds_t)(ms * 1000));
}

static inline void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* The argument, or what it is without it. */
static inline int number(int argc, char **argv, int i, int otherwise, int max)
{
    int n = argc > i ? atoi(argv[i]) : otherwise;
    if (n < 1 || n > max)
        die(argv[0],
            "a number is out of range; the opening comment of the source says how to use it");
    return n;
}

static inline lh_store *open_store(const char *uri)
{
    lh_store_options o = LH_STORE_OPTIONS_INIT;
    lh_error error = LH_ERROR_INIT;
    lh_store *store = NULL;
    o.uri = uri;
    o.db = DB;
    o.max_waiters = 10000;
    o.at_open = LH_AT_OPEN_MIGRATE;
    if (lh_store_open(&o, &store, &error) != LH_OK)
        die("open", error.message);
    return store;
}

/* Waits as long as it takes. */
static inline lh_lease *acquire(lh_store *store, const char *key, int mode)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_error error = LH_ERROR_INIT;
    lh_lease *lease = NULL;
    o.mode = mode;
    o.wait_ms = LH_FOREVER;
    if (lh_acquire(store, key, &o, &lease, NULL, &error) != LH_OK)
        die("acquire", error.message);
    return lease;
}

static inline void release(lh_lease *lease)
{
    lh_error error = LH_ERROR_INIT;
    bool valid = lh_lease_valid(lease);
    if (lh_lease_release(lease, &error) != LH_OK)
        (void)fprintf(stderr, "release of a lease that was %s: %s\n",
                      valid ? "valid" : "not valid any more", error.message);
    lh_lease_free(lease);
}

/* Until `n` wait for the key. */
static inline void await_queue(lh_store *store, const char *key, size_t n)
{
    for (lh_record *record = NULL;; nap(1)) {
        if (lh_status(store, key, &record, NULL) != LH_OK)
            continue;
        size_t waiters = record->waiters;
        lh_record_free(record);
        if (waiters >= n)
            return;
    }
}

/* ---- Figures ----------------------------------------------------------------------------------*/
static inline int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts them. Gives the median. */
static inline double print(const char *what, double *ms, int n)
{
    if (n == 0)
        return 0;
    qsort(ms, (size_t)n, sizeof *ms, by_size);
    printf("%-48s p50 %8.2f ms   p99 %8.2f ms   (%d)\n", what, ms[n / 2], ms[n * 99 / 100], n);
    (void)fflush(stdout);
    return ms[n / 2];
}

/* ---- Processes --------------------------------------------------------------------------------*/
static inline void *shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap", "no memory");
    return memory;
}

static inline pid_t start(void (*play)(void *arg, int i), void *arg, int i)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        die("fork", "no process");
    if (pid == 0) {
        play(arg, i);
        _exit(0);
    }
    return pid;
}

/* ---- The server -------------------------------------------------------------------------------*/
static inline mongoc_client_t *observer(const char *uri)
{
    mongoc_init();
    mongoc_log_set_handler(NULL, NULL);
    mongoc_client_t *client = mongoc_client_new(uri);
    if (!client)
        die("observer", "the driver refuses the connection string");
    return client;
}

/* Destroys the command. */
static inline bool command(mongoc_client_t *client, const char *db, bson_t *what, bson_t *reply)
{
    bool good = mongoc_client_command_with_opts(client, db, what, NULL, NULL, reply, NULL);
    bson_destroy(what);
    return good;
}

static inline void drop(mongoc_client_t *client)
{
    (void)command(
        client, DB,
        BCON_NEW("dropDatabase", BCON_INT32(1), "writeConcern", "{", "w", "majority", "}"), NULL);
}

/* The floor of what any of our writes can cost, as `leasehold bench` has it. */
static inline bool raw_write(mongoc_client_t *client, int n)
{
    bson_t *write = bench_floor_command("floor", "floor", (unsigned)n);
    BCON_APPEND(write, "writeConcern", "{", "w", "majority", "j", BCON_BOOL(true), "}");
    return command(client, DB, write, NULL);
}

static inline double floor_ms(mongoc_client_t *client)
{
    enum { N = 200 };
    double ms[N];
    for (int i = 0; i < N; i++) {
        double begin = now();
        (void)raw_write(client, -1 - i);
        ms[i] = now() - begin;
    }
    return print("floor: raw findAndModify, $set, upsert", ms, N);
}

typedef struct {
    /* of the collection, on the server that answers; a statement counts as one */
    int64_t reads, writes, commands;
} served;

static inline int64_t number_at(const bson_t *document, const char *path)
{
    bson_iter_t top, value;
    return bson_iter_init(&top, document) && bson_iter_find_descendant(&top, path, &value)
               ? bson_iter_as_int64(&value)
               : 0;
}

static inline served served_so_far(mongoc_client_t *client)
{
    served s = {0};
    bson_t reply;
    if (command(client, DB,
                BCON_NEW("aggregate", LOCKS, "pipeline", "[", "{", "$collStats", "{",
                         "latencyStats", "{", "}", "}", "}", "]", "cursor", "{", "}"),
                &reply)) {
        s.reads = number_at(&reply, "cursor.firstBatch.0.latencyStats.reads.ops");
        s.writes = number_at(&reply, "cursor.firstBatch.0.latencyStats.writes.ops");
        s.commands = number_at(&reply, "cursor.firstBatch.0.latencyStats.commands.ops");
    }
    bson_destroy(&reply);
    return s;
}

/* ---- This process -----------------------------------------------------------------------------*/

/* Milliseconds on a processor of the threads with this name ("" for all), and how many there
 * are. */
static inline double thread_cpu(const char *name, int *ret_n)
{
    double ms = 0;
    *ret_n = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[300], comm[32] = "";
        unsigned long long ns = 0;
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *f = fopen(path, "r");
        if (!f)
            continue;
        if (fgets(comm, sizeof comm, f))
            comm[strcspn(comm, "\n")] = '\0';
        (void)fclose(f);
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", entry->d_name);
        if (*comm && (!*name || strcmp(comm, name) == 0) && (f = fopen(path, "r"))) {
            if (fscanf(f, "%llu", &ns) == 1) {
                ms += (double)ns / 1e6;
                ++*ret_n;
            }
            (void)fclose(f);
        }
    }
    if (dir)
        (void)closedir(dir);
    return ms;
}

/* KiB of it in memory that nobody else has. */
static inline long resident(void)
{
    long kib = 0, one;
    char line[256];
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Private_Dirty: %ld", &one) == 1)
            kib += one;
    if (f)
        (void)fclose(f);
    return kib;
}

#endif

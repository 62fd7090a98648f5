/* SPDX-License-Identifier: Apache-2.0
 * A large collection: what an acquire costs in it and in a
 * small one, in turn; how much memory listing it takes; and what cleaning it does to acquires
 * beside it. Prints; asserts nothing.
 *
 *     large URI [documents] [rounds]         (default: 1000000, 1000) */
#include <inttypes.h>
#include <leasehold/leasehold.h>
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DB    "large_bench"
#define SMALL 1000
#define BATCH 5000

static const char *uri;

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static void check(int outcome, const lh_error *error)
{
    if (outcome == LH_OK)
        return;
    (void)fprintf(stderr, "%s\n", error->message);
    exit(1);
}

static lh_store *open_store(const char *collection)
{
    lh_store_options o = LH_STORE_OPTIONS_INIT;
    lh_error error = LH_ERROR_INIT;
    lh_store *store = NULL;
    o.uri = uri;
    o.db = DB;
    o.collection = collection;
    check(lh_store_open(&o, &store, &error), &error);
    return store;
}

/* Keys that were released two days ago. */
static void fill(mongoc_client_t *client, const char *name, int n)
{
    mongoc_collection_t *collection = mongoc_client_get_collection(client, DB, name);
    bson_t *options = BCON_NEW("ordered", BCON_BOOL(false));
    int64_t at = ((int64_t)time(NULL) - 2 * 86400) * 1000;
    for (int from = 0; from < n; from += BATCH) {
        bson_t *made[BATCH] = {NULL};
        const bson_t *documents[BATCH];
        int count = n - from < BATCH ? n - from : BATCH;
        for (int i = 0; i < count; i++) {
            char key[32], id[40];
            (void)snprintf(key, sizeof key, "workspace:%08d", from + i);
            (void)snprintf(id, sizeof id, "%032x", (unsigned)(from + i));
            documents[i] =
                BCON_NEW("_id", BCON_UTF8(key), "workspace_id", BCON_UTF8(key), "id", BCON_UTF8(id),
                         "owner", "bench@host", "mode", "exclusive", "host", "host", "pid",
                         BCON_INT64(7), "purpose", BCON_NULL, "ttl_ms", BCON_INT64(30000), "beat",
                         BCON_INT64(0), "v", BCON_INT32(1), "expires_at", BCON_DATE_TIME(at),
                         "token", BCON_INT64(7), "released", "{", "id", BCON_UTF8(id), "owner",
                         "bench@host", "how", "release", "at", BCON_DATE_TIME(at), "}");
        }
        bson_error_t error;
        if (!mongoc_collection_insert_many(collection, documents, (size_t)count, options, NULL,
                                           &error)) {
            (void)fprintf(stderr, "%s\n", error.message);
            exit(1);
        }
        for (int i = 0; i < count; i++)
            bson_destroy(made[i]);
    }
    bson_destroy(options);
    mongoc_collection_destroy(collection);
}

static double cycle(lh_store *store, int of)
{
    char key[32];
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_error error = LH_ERROR_INIT;
    lh_lease *lease = NULL;
    o.by_hand = true;
    (void)snprintf(key, sizeof key, "workspace:%08d", (int)(random() % of));
    double start = now();
    check(lh_acquire(store, key, &o, &lease, NULL, &error), &error);
    double ms = now() - start;
    check(lh_lease_release(lease, &error), &error);
    lh_lease_free(lease);
    return ms;
}

/* In a process of its own, so that its memory is not counted. The stores make the indexes. */
static void prepare(int n)
{
    static const char *const names[] = {"small", "large"};
    lh_store *stores[] = {open_store(names[0]), open_store(names[1])};
    mongoc_init();
    mongoc_client_t *client = mongoc_client_new(uri);
    for (int i = 0; i < 2; i++) {
        mongoc_collection_t *collection = mongoc_client_get_collection(client, DB, names[i]);
        bson_t all = BSON_INITIALIZER;
        (void)cycle(stores[i], 1);
        (void)mongoc_collection_delete_many(collection, &all, NULL, NULL, NULL);
        mongoc_collection_destroy(collection);
        fill(client, names[i], i == 0 ? SMALL : n);
        lh_store_close(stores[i]);
    }
    mongoc_client_destroy(client);
    exit(0);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double at(double *ms, int n, double part)
{
    qsort(ms, (size_t)n, sizeof *ms, by_size);
    return ms[(int)(part * n)];
}

static long most_memory_kib(void)
{
    long kib = 0;
    char line[128];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        (void)sscanf(line, "VmHWM: %ld", &kib);
    if (status)
        (void)fclose(status);
    return kib;
}

static int count_one(void *arg, const lh_record *record)
{
    (void)record;
    ++*(long *)arg;
    return 0;
}

static atomic_bool cleaned;

static void *clean(void *arg)
{
    lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
    lh_error error = LH_ERROR_INIT;
    double start = now();
    check(lh_cleanup(arg, NULL, &report, &error), &error);
    printf("cleanup removed %" PRIu64 " in %.1f s\n", report.removed, (now() - start) / 1000);
    atomic_store(&cleaned, true);
    return NULL;
}

static void beside_cleanup(lh_store *large, double *ms, int rounds, double before)
{
    pthread_t thread;
    int n = 0;
    if (pthread_create(&thread, NULL, clean, large) != 0)
        exit(70);
    while (!atomic_load(&cleaned) || n < 100) {
        double one = cycle(large, SMALL);
        if (n < rounds)
            ms[n++] = one;
    }
    (void)pthread_join(thread, NULL);
    double during = at(ms, n, 0.99);
    printf("acquires meanwhile    p99 %7.2f ms   %.2f x before\n", during, during / before);
}

int main(int argc, char **argv)
{
    int n = argc > 2 ? atoi(argv[2]) : 1000000, rounds = argc > 3 ? atoi(argv[3]) : 1000;
    if (argc < 2 || n < SMALL || rounds < 100) {
        (void)fprintf(stderr, "usage: large URI [documents] [rounds]\n");
        return 64;
    }
    uri = argv[1];
    int filled = 1;
    if (fork() == 0)
        prepare(n);
    if (wait(&filled) < 0 || filled != 0)
        return 1;
    lh_store *small = open_store("small"), *large = open_store("large");
    mongoc_init();
    mongoc_client_t *client = mongoc_client_new(uri);
    double *in_small = calloc((size_t)rounds, sizeof *in_small),
           *in_large = calloc((size_t)rounds * 100, sizeof *in_large);
    if (!client || !in_small || !in_large)
        exit(70);
    for (int i = 0; i < rounds; i++) {
        in_small[i] = cycle(small, SMALL);
        in_large[i] = cycle(large, n);
    }
    double a = at(in_small, rounds, 0.5), b = at(in_large, rounds, 0.5);
    printf("acquire among %-8d p50 %7.2f ms\nacquire among %-8d p50 %7.2f ms   %.2f x\n", SMALL, a,
           n, b, b / a);
    long before = most_memory_kib(), listed = 0;
    lh_error error = LH_ERROR_INIT;
    lh_list_options everything = LH_LIST_OPTIONS_INIT;
    everything.free_too = true;
    check(lh_list(large, &everything, count_one, &listed, &error), &error);
    printf("list of %ld: %ld KiB at most, %ld more than before\n", listed, most_memory_kib(),
           most_memory_kib() - before);
    for (int i = 0; i < rounds; i++)
        in_large[i] = cycle(large, SMALL);
    beside_cleanup(large, in_large, rounds * 100, at(in_large, rounds, 0.99));
    mongoc_database_t *db = mongoc_client_get_database(client, DB);
    (void)mongoc_database_drop(db, NULL);
    mongoc_database_destroy(db);
    mongoc_client_destroy(client);
    lh_store_close(small);
    lh_store_close(large);
    free(in_small);
    free(in_large);
    return 0;
}

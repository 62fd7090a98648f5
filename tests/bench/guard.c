/* SPDX-License-Identifier: Apache-2.0
 * What guard and fence cost, beside the same write without: an
 * insert in a transaction, plain and guarded; a findAndModify at majority, plain and fenced.
 * Interleaved, medians. Prints; asserts nothing.
 *
 *     guard URI [rounds]         (a replica set; default: 300) */
#include <leasehold/mongo.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DB "guard_bench"

typedef struct {
    mongoc_client_t *client;
    mongoc_collection_t *data;
    mongoc_client_session_t *session;
    lh_lease *lease;
    lh_error error;
} bench;

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static void must(bool good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "%s\n", what);
    exit(1);
}

static bool insert(mongoc_client_session_t *session, void *arg, bson_t **reply, bson_error_t *why)
{
    bench *b = arg;
    bson_t *document = BCON_NEW("n", BCON_INT32(1)), *options = bson_new();
    bool good = mongoc_client_session_append(session, options, why) &&
                mongoc_collection_insert_one(b->data, document, options, NULL, why);
    (void)reply;
    bson_destroy(options);
    bson_destroy(document);
    return good;
}

static void plain_insert(bench *b)
{
    bson_error_t why = {0};
    must(mongoc_client_session_start_transaction(b->session, NULL, &why) &&
             insert(b->session, b, NULL, &why) &&
             mongoc_client_session_commit_transaction(b->session, NULL, &why),
         why.message);
}

static void guarded_insert(bench *b)
{
    bson_error_t why = {0};
    must(mongoc_client_session_start_transaction(b->session, NULL, &why), why.message);
    must(lh_lease_guard(b->lease, b->session, NULL, &b->error) == LH_OK, b->error.message);
    must(insert(b->session, b, NULL, &why) &&
             mongoc_client_session_commit_transaction(b->session, NULL, &why),
         why.message);
}

static void with_guard(bench *b)
{
    must(lh_with_guard(b->lease, b->session, insert, b, &b->error) == LH_OK, b->error.message);
}

static void plain_modify(bench *b)
{
    bson_t *command = BCON_NEW("findAndModify", "data", "query", "{", "_id", "plain", "}", "update",
                               "{", "$inc", "{", "n", BCON_INT32(1), "}", "}", "upsert",
                               BCON_BOOL(true), "fields", "{", "_id", BCON_INT32(1), "}");
    bson_t *options = BCON_NEW("writeConcern", "{", "w", "majority", "j", BCON_BOOL(true), "}");
    bson_error_t why;
    must(mongoc_collection_write_command_with_opts(b->data, command, options, NULL, &why),
         why.message);
    bson_destroy(options);
    bson_destroy(command);
}

static void fenced_modify(bench *b)
{
    bson_t *id = BCON_NEW("_id", "fenced"),
           *update = BCON_NEW("$inc", "{", "n", BCON_INT32(1), "}");
    must(lh_fenced_write(b->lease, b->data, id, update, NULL, &b->error) == LH_OK,
         b->error.message);
    bson_destroy(id);
    bson_destroy(update);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static const struct {
    const char *what;
    void (*run)(bench *b);
    int against;
} ways[] = {{"insert in a transaction", plain_insert, 0},
            {"the same, guarded", guarded_insert, 0},
            {"the same, lh_with_guard()", with_guard, 0},
            {"findAndModify", plain_modify, 3},
            {"lh_fenced_write()", fenced_modify, 3}};
enum { WAYS = sizeof ways / sizeof *ways };

static void run(bench *b, int rounds)
{
    double *ms[WAYS];
    for (int w = 0; w < WAYS; w++)
        must((ms[w] = calloc((size_t)rounds, sizeof **ms)) != NULL, "out of memory");
    for (int i = -10; i < rounds; i++) { /* the first ones do not count */
        for (int w = 0; w < WAYS; w++) {
            double start = now();
            ways[w].run(b);
            if (i >= 0)
                ms[w][i] = now() - start;
        }
    }
    for (int w = 0; w < WAYS; w++)
        qsort(ms[w], (size_t)rounds, sizeof **ms, by_size);
    for (int w = 0; w < WAYS; w++) {
        double p50 = ms[w][rounds / 2];
        printf("%-28s p50 %6.2f ms  p95 %6.2f ms  %.2f\n", ways[w].what, p50,
               ms[w][rounds * 95 / 100], p50 / ms[ways[w].against][rounds / 2]);
    }
    for (int w = 0; w < WAYS; w++)
        free(ms[w]);
}

int main(int argc, char **argv)
{
    must(argc >= 2, "usage: guard URI [rounds]");
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = argv[1];
    options.db = DB;
    options.at_open = LH_AT_OPEN_MIGRATE;
    bench b = {.error = LH_ERROR_INIT};
    bson_error_t why;
    lh_store *store;
    must(lh_store_open(&options, &store, &b.error) == LH_OK, b.error.message);
    lh_acquire_options how = LH_ACQUIRE_OPTIONS_INIT;
    how.wait_ms = LH_FOREVER;
    must(lh_acquire(store, "k", &how, &b.lease, NULL, &b.error) == LH_OK, b.error.message);
    mongoc_init();
    b.client = mongoc_client_new(argv[1]);
    b.data = mongoc_client_get_collection(b.client, DB, "data");
    b.session = mongoc_client_start_session(b.client, NULL, &why);
    must(b.session != NULL, "no session");
    bson_t *id = BCON_NEW("_id", "fenced");
    must(lh_fenced_read(b.lease, b.data, id, LH_FENCED_CREATE, NULL, &b.error) == LH_OK,
         b.error.message);
    bson_destroy(id);
    with_guard(&b); /* the key's first makes its fence */
    run(&b, argc > 2 ? atoi(argv[2]) : 300);
    bson_t *drop = BCON_NEW("dropDatabase", BCON_INT32(1));
    mongoc_client_session_destroy(b.session);
    (void)lh_lease_release(b.lease, NULL);
    lh_lease_free(b.lease);
    lh_store_close(store);
    (void)mongoc_client_command_with_opts(b.client, DB, drop, NULL, NULL, NULL, &why);
    bson_destroy(drop);
    mongoc_collection_destroy(b.data);
    mongoc_client_destroy(b.client);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * Renewing many leases: the keeper's commands (a thousand
 * leases each) beside a plain upsert, in the same run. Prints; asserts nothing.
 *
 *     renew URI [leases] [rounds]         (default: 10000, 5) */
#include "bench.h"

#include "protocol/pipeline_batch.h"

#define COMMAND    1000 /* as in keeper_renew.c */
#define ROOM       40
#define FLOORS     100
#define LEASES_MAX 100000

static mongoc_client_t *client;
static bson_t *majority;

static double run(const bson_t *command, int64_t wanted)
{
    bson_error_t error = {0};
    bson_t reply;
    bson_iter_t n;
    double start = now();
    bool good =
        mongoc_client_write_command_with_opts(client, DB, command, majority, &reply, &error);
    double ms = now() - start;
    if (!good || (wanted >= 0 &&
                  (!bson_iter_init_find(&n, &reply, "n") || bson_iter_as_int64(&n) != wanted))) {
        (void)fprintf(stderr, "not all were renewed: %s\n", error.message);
        exit(1);
    }
    bson_destroy(&reply);
    return ms;
}

static void fill(char (*texts)[2][ROOM], lh_batch_lease *leases, int n)
{
    for (int i = 0; i < n; i++) {
        (void)snprintf(texts[i][0], ROOM, "workspace:%08d", i);
        (void)snprintf(texts[i][1], ROOM, "%032x", (unsigned)i);
        leases[i] =
            (lh_batch_lease){.key = texts[i][0], .id = texts[i][1], .ttl_ms = 3600000, .token = 7};
    }
    for (int from = 0; from < n; from += COMMAND) {
        bson_t documents, *command = BCON_NEW("insert", "c");
        char room[16];
        const char *index;
        BSON_APPEND_ARRAY_BEGIN(command, "documents", &documents);
        for (int i = from; i < n && i < from + COMMAND; i++) {
            bson_uint32_to_string((uint32_t)(i - from), &index, room, sizeof room);
            BCON_APPEND(&documents, index, "{", "_id", BCON_UTF8(leases[i].key), "workspace_id",
                        BCON_UTF8(leases[i].key), "id", BCON_UTF8(leases[i].id), "owner",
                        "bench@host", "mode", "exclusive", "host", "host", "pid", BCON_INT64(7),
                        "ttl_ms", BCON_INT64(3600000), "token", BCON_INT64(7), "expires_at",
                        BCON_DATE_TIME(((int64_t)time(NULL) + 3600) * 1000), "}");
        }
        bson_append_array_end(command, &documents);
        (void)run(command, -1);
        bson_destroy(command);
    }
}

static double floor_of_batches(void)
{
    double ms[FLOORS];
    for (int i = 0; i < FLOORS; i++) {
        bson_t *command = bench_floor_command("c", "floor", (unsigned)rand());
        ms[i] = run(command, -1);
        bson_destroy(command);
    }
    qsort(ms, FLOORS, sizeof *ms, by_size);
    return ms[FLOORS / 2];
}

static double renew_all(const lh_batch_lease *leases, int n)
{
    double ms = 0;
    for (int from = 0; from < n; from += COMMAND) {
        bson_t command = BSON_INITIALIZER;
        int count = n - from < COMMAND ? n - from : COMMAND;
        lh_batch_renew("c", leases + from, (size_t)count, &command);
        ms += run(&command, count);
        bson_destroy(&command);
    }
    return ms;
}

int main(int argc, char **argv)
{
    int n = argc > 2 ? atoi(argv[2]) : 10000, rounds = argc > 3 ? atoi(argv[3]) : 5;
    if (argc < 2 || n < 1 || n > LEASES_MAX || rounds < 1) {
        (void)fprintf(stderr, "usage: renew URI [leases] [rounds]\n");
        return 64;
    }
    mongoc_init();
    client = mongoc_client_new(argv[1]);
    majority = BCON_NEW("writeConcern", "{", "w", "majority", "j", BCON_BOOL(true), "}");
    lh_batch_lease *leases = calloc((size_t)n, sizeof *leases);
    char(*texts)[2][ROOM] = calloc((size_t)n, sizeof *texts);
    if (!client || !leases || !texts)
        exit(70);
    mongoc_database_t *db = mongoc_client_get_database(client, DB);
    (void)mongoc_database_drop(db, NULL);
    bson_t *index = BCON_NEW("createIndexes", "c", "indexes", "[", "{", "key", "{", "workspace_id",
                             BCON_INT32(1), "}", "name", "workspace_id_unique", "unique",
                             BCON_BOOL(true), "}", "]");
    (void)run(index, -1);
    fill(texts, leases, n);
    for (int round = 0; round < rounds; round++) {
        double one = floor_of_batches(), all = renew_all(leases, n);
        printf("plain upsert %6.2f ms   %d leases in %d commands %8.1f ms   %5.0f x\n", one, n,
               (n + COMMAND - 1) / COMMAND, all, all / one);
    }
    (void)mongoc_database_drop(db, NULL);
    bson_destroy(index);
    mongoc_database_destroy(db);
    mongoc_client_destroy(client);
    bson_destroy(majority);
    free(leases);
    free(texts);
    return 0;
}

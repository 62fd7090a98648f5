/* SPDX-License-Identifier: Apache-2.0
 * The floor of leasehold bench: the time of the driver alone for a ping, and for the one write that
 * a lock of any kind needs.
 *
 * This is the only file of the command line that includes the driver, because the floor must not go
 * through Leasehold. */
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

struct bench_floor {
    mongoc_client_t *client;
    char *db, *collection;
    unsigned round;
};

struct bench_floor *bench_floor_open(const lh_store_options *options, lh_error *error)
{
    mongoc_uri_t *uri = mongoc_uri_new(options->uri);
    struct bench_floor *floor = calloc(1, sizeof *floor);
    const char *db = options->db;
    if (uri && !db)
        db = mongoc_uri_get_database(uri);
    if (uri && floor) {
        (void)mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES,
                                            false); /* as Leasehold: one record less */
        (void)mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS,
                                             (int32_t)options->timeout_ms);
        floor->client = mongoc_client_new_from_uri(uri);
        floor->db = strdup(db && *db ? db : "leasehold");
        floor->collection = strdup(options->collection);
    }
    mongoc_uri_destroy(uri);
    if (floor && floor->client && floor->db && floor->collection)
        return floor;
    (void)out_fail(error, LH_CONFIG, "the driver refuses the connection string");
    bench_floor_close(floor);
    return NULL;
}

void bench_floor_close(struct bench_floor *floor)
{
    if (!floor)
        return;
    if (floor->client)
        mongoc_client_destroy(floor->client);
    free(floor->db);
    free(floor->collection);
    free(floor);
}

static int run(struct bench_floor *floor, bson_t *command, bool write, lh_error *error)
{
    bson_t reply,
        *options = write ? BCON_NEW("writeConcern", "{", "w", "majority", "j", BCON_BOOL(true), "}")
                         : bson_new();
    bson_error_t why = {0};
    bool good = write ? mongoc_client_write_command_with_opts(floor->client, floor->db, command,
                                                              options, &reply, &why)
                      : mongoc_client_command_with_opts(floor->client, floor->db, command, NULL,
                                                        options, &reply, &why);
    bson_destroy(&reply);
    bson_destroy(options);
    bson_destroy(command);
    return good ? LH_OK
                : out_fail(error, LH_UNREACHABLE, "a command of the driver alone failed: %s",
                           why.message);
}

int bench_floor_ping(struct bench_floor *floor, lh_error *error)
{
    return run(floor, BCON_NEW("ping", BCON_INT32(1)), false, error);
}

/* The upsert that the simplest lock is: a plain $set, its end from this process's clock. */
bson_t *bench_floor_command(const char *collection, const char *key, unsigned round)
{
    char id[LH_LEASE_ID_LEN + 1];
    (void)snprintf(id, sizeof id, "%032x", round);
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    return BCON_NEW("findAndModify", BCON_UTF8(collection), "query", "{", "workspace_id",
                    BCON_UTF8(key), "}", "update", "{", "$set", "{", "id", BCON_UTF8(id), "owner",
                    "bench", "expires_at", BCON_DATE_TIME(now_ms + 30000), "}", "}", "upsert",
                    BCON_BOOL(true), "new", BCON_BOOL(true));
}

int bench_floor_write(struct bench_floor *floor, const char *key, lh_error *error)
{
    return run(floor, bench_floor_command(floor->collection, key, floor->round++), true, error);
}

int bench_floor_drop(struct bench_floor *floor, lh_error *error)
{
    return run(floor, BCON_NEW("drop", BCON_UTF8(floor->collection)), true, error);
}

/* SPDX-License-Identifier: Apache-2.0
 * The library does not step primaries down or set failpoints. One connection, used by one
 * thread. */
#include "torture/deployment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/out.h"
#include "torture/client.h"

#define LOCKS       "workspace_locks"
#define PATIENCE_MS 20000
#define LAG_MIN_MS  600
#define LAG_MAX_MS  1300

struct deployment {
    mongoc_client_t *client;
    const char *db, *app;
    bool is_set, failing, stalled;
};

/* Runs a command on the primary (server 0), or on one server, and destroys it. */
static bool run_on(struct deployment *d, uint32_t server, const char *db, bson_t *command,
                   bson_t *reply)
{
    bson_t options = BSON_INITIALIZER, unread;
    bson_error_t why;
    if (server)
        BSON_APPEND_INT32(&options, "serverId", (int32_t)server);
    bool good = mongoc_client_command_with_opts(d->client, db, command, NULL, &options,
                                                reply ? reply : &unread, &why);
    bson_destroy(&options);
    bson_destroy(command);
    if (!reply)
        bson_destroy(&unread);
    return good;
}

static bool run(struct deployment *d, const char *db, bson_t *command)
{
    return run_on(d, 0, db, command, NULL);
}

/* The primary's id, or of some secondaries; 0: there is none. */
static uint32_t find_primary(struct deployment *d)
{
    bson_error_t why;
    mongoc_server_description_t *server = mongoc_client_select_server(d->client, true, NULL, &why);
    uint32_t id = server ? mongoc_server_description_id(server) : 0;
    mongoc_server_description_destroy(server);
    return id;
}

static size_t find_secondaries(struct deployment *d, uint32_t ids[8])
{
    size_t n = 0, found = 0;
    mongoc_server_description_t **servers = mongoc_client_get_server_descriptions(d->client, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(mongoc_server_description_type(servers[i]), "RSSecondary") == 0 && found < 8)
            ids[found++] = mongoc_server_description_id(servers[i]);
    mongoc_server_descriptions_destroy_all(servers, n);
    return found;
}

struct deployment *deployment_open(const char *uri, const char *db, const char *app,
                                   lh_error *error)
{
    struct deployment *d = calloc(1, sizeof *d);
    if (d) {
        d->client = client_new(uri, NULL, PATIENCE_MS);
        d->db = db;
        d->app = app;
    }
    bson_error_t why = {0};
    mongoc_server_description_t *server =
        d && d->client ? mongoc_client_select_server(d->client, true, NULL, &why) : NULL;
    if (!server) {
        (void)out_fail(error, LH_UNREACHABLE, "no primary can be reached: %s", why.message);
        deployment_close(d);
        return NULL;
    }
    d->is_set = strcmp(mongoc_server_description_type(server), "Standalone") != 0;
    mongoc_server_description_destroy(server);
    return d;
}

void deployment_close(struct deployment *d)
{
    if (!d)
        return;
    if (d->client)
        mongoc_client_destroy(d->client);
    free(d);
}

bool deployment_is_set(const struct deployment *d)
{
    return d->is_set;
}

unsigned deployment_allows(struct deployment *d)
{
    unsigned faults = FAULT_PAUSE | FAULT_KILL | FAULT_OLD | FAULT_KILLOPS;
    /* To read its state changes nothing (it may be on: somebody else's), and is refused where there
     * are no failpoints. */
    bool test_commands =
        run(d, "admin",
            BCON_NEW("getParameter", BCON_INT32(1), "failpoint.failCommand", BCON_INT32(1)));
    bool privileged = d->is_set && run(d, "admin", BCON_NEW("replSetGetStatus", BCON_INT32(1)));
    if (test_commands)
        faults |= FAULT_ERRORS;
    if (privileged)
        faults |= FAULT_STEPDOWN;
    if (privileged && test_commands)
        faults |= FAULT_LAG | FAULT_ROLLBACK;
    return faults;
}

/* ---- Faults ---------------------------------------------------------------------------------- */

static bool stall_secondaries(struct deployment *d, bool stall)
{
    uint32_t ids[8];
    size_t n = find_secondaries(d, ids);
    bool good = n > 0;
    for (size_t i = 0; i < n; i++)
        good = run_on(d, ids[i], "admin",
                      BCON_NEW("configureFailPoint", "stopReplProducer", "mode",
                               stall ? "alwaysOn" : "off"),
                      NULL) &&
               good;
    d->stalled = stall;
    return good;
}

static bool step_down(struct deployment *d, int seconds)
{
    /* The server may close the connection instead of answering. */
    (void)run(d, "admin",
              BCON_NEW("replSetStepDown", BCON_INT32(seconds), "secondaryCatchUpPeriodSecs",
                       BCON_INT32(0), "force", BCON_BOOL(true)));
    return true;
}

/* Writes that only the primary acknowledged are lost; writes that a majority acknowledged must not
 * be lost. */
static bool roll_back(struct deployment *d, uint64_t *dice)
{
    uint32_t ids[8], primary = find_primary(d);
    size_t n = find_secondaries(d, ids);
    if (!primary || n == 0 || !stall_secondaries(d, true))
        return false;
    torture_nap(300 + torture_dice(dice, 500));
    (void)step_down(d, 6);
    bool up = false;
    for (int round = 0; round < 8 && !up; round++) {
        uint32_t heir = ids[(size_t)round % n];
        up = run_on(d, heir, "admin", BCON_NEW("replSetStepUp", BCON_INT32(1)), NULL);
        for (int again = 0; up && again < 5;
             again++) { /* it must not fetch from the old primary what it lacks */
            if (run_on(d, heir, "admin", BCON_NEW("replSetAbortPrimaryCatchUp", BCON_INT32(1)),
                       NULL))
                break;
            torture_nap(50);
        }
    }
    for (size_t i = 0; i < n; i++)
        (void)run_on(d, ids[i], "admin",
                     BCON_NEW("configureFailPoint", "stopReplProducer", "mode", "off"), NULL);
    d->stalled = false;
    return find_primary(d) != 0;
}

static bool fail_commands(struct deployment *d, uint64_t *dice)
{
    static const char *const whats[] = {
        "\"writeConcernError\":{\"code\":64,\"errmsg\":\"torture\"}",
        "\"writeConcernError\":{\"code\":91,\"errmsg\":\"torture\"}",
        "\"closeConnection\":true",
        "\"errorCode\":91",
        "\"errorCode\":189",
        "\"blockConnection\":true,\"blockTimeMS\":1200",
    };
    char text[512];
    const char *whose = torture_dice(dice, 4) == 0 ? TORTURE_DATA : ""; /* mostly the library's */
    (void)snprintf(text, sizeof text,
                   "{\"configureFailPoint\":\"failCommand\",\"mode\":{\"times\":%u},\"data\":{"
                   "\"failCommands\":[\"findAndModify\",\"update\",\"insert\","
                   "\"commitTransaction\"],\"appName\":\"%s%s\",%s}}",
                   1 + torture_dice(dice, 8), d->app, whose,
                   whats[torture_dice(dice, sizeof whats / sizeof *whats)]);
    bson_error_t why;
    bson_t *command = bson_new_from_json((const uint8_t *)text, -1, &why);
    d->failing = true;
    return command && run(d, "admin", command);
}

static bool kill_operations(struct deployment *d)
{
    char data[128];
    (void)snprintf(data, sizeof data, "%s" TORTURE_DATA, d->app);
    bson_t *pipeline = BCON_NEW("0", "{", "$currentOp", "{", "idleCursors", BCON_BOOL(true), "}",
                                "}", "1", "{", "$match", "{", "appName", "{", "$in", "[",
                                BCON_UTF8(d->app), BCON_UTF8(data), "]", "}", "}", "}");
    bson_t *command =
        BCON_NEW("aggregate", BCON_INT32(1), "pipeline", BCON_ARRAY(pipeline), "cursor", "{", "}");
    bson_t reply;
    bson_iter_t top, batch, op, field;
    bool good = run_on(d, 0, "admin", command, &reply);
    if (good && bson_iter_init(&top, &reply) &&
        bson_iter_find_descendant(&top, "cursor.firstBatch", &batch) &&
        bson_iter_recurse(&batch, &op))
        while (bson_iter_next(&op))
            if (bson_iter_recurse(&op, &field) && bson_iter_find(&field, "opid") &&
                BSON_ITER_HOLDS_INT32(&field))
                (void)run(
                    d, "admin",
                    BCON_NEW("killOp", BCON_INT32(1), "op", BCON_INT32(bson_iter_int32(&field))));
    bson_destroy(&reply);
    bson_destroy(pipeline);
    return good;
}

bool deployment_fault(struct deployment *d, unsigned fault, uint64_t *dice, int64_t *ret_ms)
{
    *ret_ms = 600;
    switch (fault) {
    case FAULT_STEPDOWN:
        *ret_ms = 8000;
        return step_down(d, 3);
    case FAULT_LAG:
        *ret_ms = LAG_MIN_MS + torture_dice(dice, LAG_MAX_MS - LAG_MIN_MS);
        (void)find_primary(d);
        return stall_secondaries(d, true);
    case FAULT_ROLLBACK:
        *ret_ms = 12000;
        return roll_back(d, dice);
    case FAULT_ERRORS:
        return fail_commands(d, dice);
    case FAULT_KILLOPS:
        return kill_operations(d);
    default:
        return false;
    }
}

void deployment_mend(struct deployment *d)
{
    if (d->failing)
        (void)run(d, "admin", BCON_NEW("configureFailPoint", "failCommand", "mode", "off"));
    d->failing = false;
    if (d->stalled)
        (void)stall_secondaries(d, false);
}

/* Behaves as older code does if a document exists: takes the key if it is free. */
static bool take_as_old(struct deployment *d, const char *key, const char *id)
{
    bson_t reply;
    bson_iter_t n;
    bson_t *command = BCON_NEW(
        "update", LOCKS, "updates", "[", "{", "q", "{", "workspace_id", BCON_UTF8(key), "waiters",
        BCON_NULL, "shared", BCON_NULL, "$expr", "{", "$eq", "[", "$id", "$released.id", "]", "}",
        "}", "u", "{", "$set", "{", "id", BCON_UTF8(id), "user_id", "older code", "owner",
        "older code", "purpose", BCON_NULL, "expires_at", BCON_NULL, "}", "}", "}", "]",
        "writeConcern", "{", "w", "majority", "wtimeout", BCON_INT32(1000), "}");
    bool good = run_on(d, 0, d->db, command, &reply) &&
                bson_iter_init_find(&n, &reply, "nModified") && bson_iter_as_int64(&n) == 1;
    bson_destroy(&reply);
    return good;
}

bool deployment_put_old(struct deployment *d, const char *key, const char *id)
{
    bson_t reply;
    bson_iter_t errors;
    bson_t *command =
        BCON_NEW("insert", LOCKS, "documents", "[", "{", "workspace_id", BCON_UTF8(key), "id",
                 BCON_UTF8(id), "user_id", "older code", "expires_at", BCON_NULL, "}", "]",
                 "writeConcern", "{", "w", "majority", "wtimeout", BCON_INT32(1000), "}");
    bool good = run_on(d, 0, d->db, command, &reply) &&
                !bson_iter_init_find(&errors, &reply, "writeErrors");
    bson_destroy(&reply);
    return good || take_as_old(d, key, id);
}

bool deployment_delete_old(struct deployment *d, const char *id)
{
    bson_t *command = BCON_NEW("delete", LOCKS, "deletes", "[", "{", "q", "{", "id", BCON_UTF8(id),
                               "}", "limit", BCON_INT32(1), "}", "]", "writeConcern", "{", "w",
                               "majority", "wtimeout", BCON_INT32(1000), "}");
    return run(d, d->db, command);
}

/* ---- What else it says ----------------------------------------------------------------------- */

int64_t deployment_term(struct deployment *d)
{
    bson_t reply;
    bson_iter_t term;
    bool good =
        d->is_set && run_on(d, 0, "admin", BCON_NEW("replSetGetStatus", BCON_INT32(1)), &reply);
    int64_t n = good && bson_iter_init_find(&term, &reply, "term") ? bson_iter_as_int64(&term) : 0;
    if (d->is_set)
        bson_destroy(&reply);
    return n;
}

bool deployment_drop(struct deployment *d)
{
    return run(d, d->db, BCON_NEW("dropDatabase", BCON_INT32(1)));
}

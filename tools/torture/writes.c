/* SPDX-License-Identifier: Apache-2.0 */
#include "torture/writes.h"

#include <leasehold/mongo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/out.h"
#include "torture/client.h"

#define PATIENCE_MS   2500
#define STOPS_ONE_IN  4 /* of the commands that write data */
#define STOPS_READ    2 /* … of those that follow from a read: what comes between must not */
#define DICE_OF_STOPS 5000

struct writes {
    const struct torture *torture;
    const struct history *history;
    mongoc_client_t *client;
    mongoc_collection_t *data, *guarded;
    uint64_t dice;
    bool has_read; /* … and what it sends depends on that */
};

/* ---- Stopping -------------------------------------------------------------------------------- */

/* The driver is about to send a command: the lease was looked at, and may end before this one
 * arrives. The whole process stops, its renewals too; its parent lets it go on. */
static void stop_before(const mongoc_apm_command_started_t *event)
{
    struct writes *writes = mongoc_apm_command_started_get_context(event);
    const char *name = mongoc_apm_command_started_get_command_name(event);
    bson_t line;
    if (strcmp(name, "findAndModify") != 0 && strcmp(name, "insert") != 0)
        return;
    uint32_t one_in = writes->has_read ? STOPS_READ : STOPS_ONE_IN;
    if (torture_dice(&writes->dice, one_in) != 0 || history_now() > writes->torture->until)
        return;
    history_begin(writes->history, &line, "fault");
    BSON_APPEND_UTF8(&line, "kind", "pause");
    BSON_APPEND_INT64(&line, "ms", TORTURE_STOP_MAX_MS + 1000);
    (void)history_write(writes->history, &line);
    (void)raise(TORTURE_STOP_SIGNAL);
}

static void let_stop(struct writes *writes)
{
    const struct history *history = writes->history;
    if (history->p < 0 || !(writes->torture->faults & FAULT_PAUSE))
        return;
    writes->dice = torture_seed(writes->torture->seed, history->p + DICE_OF_STOPS, history->life);
    (void)signal(TORTURE_STOP_SIGNAL, SIG_DFL);
    mongoc_apm_callbacks_t *callbacks = mongoc_apm_callbacks_new();
    mongoc_apm_set_command_started_cb(callbacks, stop_before);
    (void)mongoc_client_set_apm_callbacks(writes->client, callbacks, writes);
    mongoc_apm_callbacks_destroy(callbacks);
}

/* ---- The client ------------------------------------------------------------------------------ */

struct writes *writes_open(const struct torture *torture, const struct history *history)
{
    struct writes *writes = calloc(1, sizeof *writes);
    char app[128];
    (void)snprintf(app, sizeof app, "%s" TORTURE_DATA, torture->app);
    mongoc_client_t *client = writes ? client_new(torture->uri, app, PATIENCE_MS) : NULL;
    if (!client) {
        free(writes);
        return NULL;
    }
    writes->client = client;
    writes->torture = torture;
    writes->history = history;
    writes->data = mongoc_client_get_collection(writes->client, torture->db, "data");
    writes->guarded = mongoc_client_get_collection(writes->client, torture->db, "guarded");
    let_stop(writes);
    return writes;
}

void writes_close(struct writes *writes)
{
    if (!writes)
        return;
    mongoc_collection_destroy(writes->guarded);
    mongoc_collection_destroy(writes->data);
    mongoc_client_destroy(writes->client);
    free(writes);
}

bool writes_prepare(struct writes *writes, lh_error *error)
{
    bson_error_t why = {0};
    bson_t *command = BCON_NEW("create", "guarded", "writeConcern", "{", "w", "majority", "}");
    bool good = mongoc_client_write_command_with_opts(writes->client, writes->torture->db, command,
                                                      NULL, NULL, &why);
    bson_destroy(command);
    bool passes = why.domain == MONGOC_ERROR_STREAM || why.domain == MONGOC_ERROR_SERVER_SELECTION;
    if (!good)
        (void)out_fail(error, passes ? LH_UNREACHABLE : LH_SERVER,
                       "cannot create the collection for guarded writes: %s", why.message);
    return good;
}

/* ---- By the fence ---------------------------------------------------------------------------- */

static int64_t count_log(const bson_t *document)
{
    bson_iter_t log, one;
    int64_t n = 0;
    if (bson_iter_init_find(&log, document, "log") && bson_iter_recurse(&log, &one))
        while (bson_iter_next(&one))
            n++;
    return n;
}

int writes_read(struct writes *writes, lh_lease *lease, int64_t *ret_seen)
{
    bson_t *id = BCON_NEW("_id", BCON_UTF8(lh_lease_key(lease))), document;
    int outcome = lh_fenced_read(lease, writes->data, id, LH_FENCED_CREATE, &document, NULL);
    if (outcome == LH_OK) {
        *ret_seen = count_log(&document);
        bson_destroy(&document);
    }
    bson_destroy(id);
    return outcome;
}

int writes_add(struct writes *writes, lh_lease *lease, const char *who, int64_t seen)
{
    bson_t *id = BCON_NEW("_id", BCON_UTF8(lh_lease_key(lease)));
    bson_t *update =
        BCON_NEW("$push", "{", "log", "{", "who", BCON_UTF8(who), "token",
                 BCON_INT64(lh_lease_token(lease)), "seen", BCON_INT64(seen), "}", "}");
    writes->has_read = seen != WRITES_BLIND;
    int outcome = lh_fenced_write(lease, writes->data, id, update, NULL, NULL);
    writes->has_read = false;
    if (outcome == LH_ABSENT &&
        lh_fenced_read(lease, writes->data, id, LH_FENCED_CREATE, NULL, NULL) == LH_OK)
        outcome = lh_fenced_write(lease, writes->data, id, update, NULL, NULL);
    bson_destroy(update);
    bson_destroy(id);
    return outcome;
}

/* ---- By the guard ---------------------------------------------------------------------------- */

struct guarded {
    struct writes *writes;
    lh_lease *lease;
    const char *who;
};

/* *ret_older: how many of the key's documents are of older tokens. */
static bool count_older(const struct guarded *g, const bson_t *options, int64_t *ret_older,
                        bson_t **reply, bson_error_t *why)
{
    bson_t *filter = BCON_NEW("key", BCON_UTF8(lh_lease_key(g->lease)), "token", "{", "$lt",
                              BCON_INT64(lh_lease_token(g->lease)), "}");
    mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(g->writes->guarded, filter, options, NULL);
    const bson_t *document, *said;
    for (*ret_older = 0; mongoc_cursor_next(cursor, &document); ++*ret_older)
        ;
    bool good = !mongoc_cursor_error_document(cursor, why, &said);
    if (!good && said)
        *reply = bson_copy(said);
    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);
    return good;
}

static bool read_and_add(mongoc_client_session_t *session, void *arg, bson_t **reply,
                         bson_error_t *why)
{
    struct guarded *g = arg;
    bson_t options = BSON_INITIALIZER, said;
    int64_t older = 0;
    bool good = mongoc_client_session_append(session, &options, why) &&
                count_older(g, &options, &older, reply, why);
    if (good) {
        bson_t *document =
            BCON_NEW("_id", BCON_UTF8(g->who), "key", BCON_UTF8(lh_lease_key(g->lease)), "token",
                     BCON_INT64(lh_lease_token(g->lease)), "older", BCON_INT64(older));
        g->writes->has_read = true;
        good = mongoc_collection_insert_one(g->writes->guarded, document, &options, &said, why);
        g->writes->has_read = false;
        if (!good)
            *reply = bson_copy(&said);
        bson_destroy(&said);
        bson_destroy(document);
    }
    bson_destroy(&options);
    return good;
}

int writes_guarded(struct writes *writes, lh_lease *lease, const char *who)
{
    struct guarded g = {.writes = writes, .lease = lease, .who = who};
    bson_error_t why;
    mongoc_client_session_t *session = mongoc_client_start_session(writes->client, NULL, &why);
    if (!session)
        return LH_UNREACHABLE;
    int outcome = lh_with_guard(lease, session, read_and_add, &g, NULL);
    mongoc_client_session_destroy(session);
    return outcome;
}

/* ---- What landed ----------------------------------------------------------------------------- */

static bool tell_log(const struct history *history, const bson_t *document)
{
    bson_iter_t key, log, one, field;
    bool good = true;
    if (!bson_iter_init_find(&key, document, "_id") ||
        !bson_iter_init_find(&log, document, "log") || !bson_iter_recurse(&log, &one))
        return true; /* nothing was written */
    while (good && bson_iter_next(&one)) {
        bson_t line;
        history_begin(history, &line, "wrote");
        BSON_APPEND_VALUE(&line, "key", bson_iter_value(&key));
        for (good = bson_iter_recurse(&one, &field); good && bson_iter_next(&field);)
            good = BSON_APPEND_VALUE(&line, bson_iter_key(&field), bson_iter_value(&field));
        good = history_write(history, &line) && good;
    }
    return good;
}

static bool tell_guarded(const struct history *history, const bson_t *document)
{
    bson_iter_t field;
    bson_t line;
    history_begin(history, &line, "wrote");
    bool good = bson_iter_init(&field, document);
    while (good && bson_iter_next(&field)) {
        const char *name =
            strcmp(bson_iter_key(&field), "_id") == 0 ? "who" : bson_iter_key(&field);
        good = BSON_APPEND_VALUE(&line, name, bson_iter_value(&field));
    }
    return history_write(history, &line) && good;
}

/* By a majority, and not from a primary that is none any more: the faults are over. */
static bool tell_all(mongoc_collection_t *collection,
                     bool (*tell)(const struct history *history, const bson_t *document),
                     const struct history *history, bson_error_t *why)
{
    bson_t all = BSON_INITIALIZER,
           *options = BCON_NEW("readConcern", "{", "level", "majority", "}");
    const bson_t *document;
    bool good = false;
    for (int again = 0; again < 8 && !good;
         again++) { /* there may be an election still; no line is written before */
        mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(collection, &all, options, NULL);
        good = true;
        while (good && mongoc_cursor_next(cursor, &document))
            good = tell(history, document);
        bool failed = mongoc_cursor_error(cursor, why);
        mongoc_cursor_destroy(cursor);
        if (!failed)
            break;
        good = false;
    }
    bson_destroy(options);
    bson_destroy(&all);
    return good;
}

bool writes_tell(struct writes *writes, const struct history *history, lh_error *error)
{
    bson_error_t why = {0};
    bool good = tell_all(writes->data, tell_log, history, &why) &&
                tell_all(writes->guarded, tell_guarded, history, &why);
    if (!good)
        (void)out_fail(error, LH_UNREACHABLE, "the data cannot be read: %s", why.message);
    return good;
}

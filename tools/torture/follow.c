/* SPDX-License-Identifier: Apache-2.0
 * Only what a majority has is read: it is not rolled back. Each reading begins with the last entry
 * of the one before. If another entry comes first, that last entry was cut off, and perhaps entries
 * after it too. */
#include "torture/follow.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/out.h"
#include "torture/client.h"
#include "torture/oplog.h"

#define LOCKS       "workspace_locks"
#define END         "torture_end"
#define EVERY_MS    100
#define PATIENCE_MS 3000  /* of one reading */
#define END_MS      30000 /* until the end has come */

enum { GOES_ON, REACHED_END, HAS_HOLE, NOT_UNDERSTOOD };

struct follow {
    const struct history *history;
    const char *db;
    char end[128]; /* the collection whose first document is the end */
    mongoc_client_t *client;
    mongoc_collection_t *collection;
    struct oplog *oplog;
    bson_value_t last; /* the time of the last entry that was taken */
    bool marked;
    int state;
    bson_error_t why; /* … the last reading failed */
    pthread_t thread;
    atomic_bool stop;
};

static void free_all(struct follow *f)
{
    oplog_free(f->oplog);
    if (f->marked)
        bson_value_destroy(&f->last);
    mongoc_collection_destroy(f->collection);
    mongoc_client_destroy(f->client);
    free(f);
}

static bool find_time(const bson_t *entry, bson_iter_t *ret_ts)
{
    return bson_iter_init_find(ret_ts, entry, "ts") && BSON_ITER_HOLDS_TIMESTAMP(ret_ts);
}

static void set_last(struct follow *f, const bson_iter_t *ts)
{
    if (f->marked)
        bson_value_destroy(&f->last);
    bson_value_copy(bson_iter_value((bson_iter_t *)(uintptr_t)ts), &f->last);
    f->marked = true;
}

static bool is_at_last(const struct follow *f, const bson_iter_t *ts)
{
    uint32_t t, i;
    bson_iter_timestamp(ts, &t, &i);
    return t == f->last.value.v_timestamp.timestamp && i == f->last.value.v_timestamp.increment;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static bool is_end(const struct follow *f, const bson_t *entry)
{
    bson_iter_t ns;
    return bson_iter_init_find(&ns, entry, "ns") && BSON_ITER_HOLDS_UTF8(&ns) &&
           strcmp(bson_iter_utf8(&ns, NULL), f->end) == 0;
}

static void note_hole(struct follow *f)
{
    bson_t line;
    history_begin(f->history, &line, "hole");
    (void)history_write(f->history, &line);
    f->state = HAS_HOLE;
}

static void take(struct follow *f, const bson_t *entry)
{
    bson_iter_t ts;
    if (!find_time(entry, &ts) || !oplog_take(f->oplog, entry)) {
        f->state = NOT_UNDERSTOOD;
        return;
    }
    set_last(f, &ts);
    if (is_end(f, entry))
        f->state = REACHED_END;
}

/* Reads the entries after the last one. No entry at all: the majority commit point of this server
 * is behind our position. */
static void read_on(struct follow *f)
{
    bson_t filter = BSON_INITIALIZER, from,
           *options = BCON_NEW("readConcern", "{", "level", "majority", "}");
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "ts", &from);
    BSON_APPEND_VALUE(&from, "$gte", &f->last);
    bson_append_document_end(&filter, &from);
    mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(f->collection, &filter, options, NULL);
    const bson_t *entry;
    bson_iter_t ts;
    for (bool first = true; f->state == GOES_ON && mongoc_cursor_next(cursor, &entry);
         first = false) {
        if (!first)
            take(f, entry);
        else if (!find_time(entry, &ts) || !is_at_last(f, &ts))
            note_hole(f);
    }
    f->why = (bson_error_t){0};
    (void)mongoc_cursor_error(cursor, &f->why);
    mongoc_cursor_destroy(cursor);
    bson_destroy(options);
    bson_destroy(&filter);
}

static bool mark(struct follow *f)
{
    bson_t all = BSON_INITIALIZER,
           *options = BCON_NEW("sort", "{", "$natural", BCON_INT32(-1), "}", "limit", BCON_INT64(1),
                               "readConcern", "{", "level", "majority", "}");
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(f->collection, &all, options, NULL);
    const bson_t *entry;
    bson_iter_t ts;
    if (mongoc_cursor_next(cursor, &entry) && find_time(entry, &ts))
        set_last(f, &ts);
    mongoc_cursor_destroy(cursor);
    bson_destroy(options);
    bson_destroy(&all);
    return f->marked;
}

static void *run(void *arg)
{
    struct follow *f = arg;
    while (!atomic_load(&f->stop) && f->state == GOES_ON) {
        read_on(f);
        torture_nap(EVERY_MS);
    }
    return NULL;
}

/* ---- Its life -------------------------------------------------------------------------------- */

struct follow *follow_start(const struct torture *torture, const struct history *history)
{
    char ns[128];
    struct follow *f = calloc(1, sizeof *f);
    mongoc_client_t *client = f ? client_new(torture->uri, NULL, PATIENCE_MS) : NULL;
    if (!client) {
        free(f);
        return NULL;
    }
    (void)snprintf(ns, sizeof ns, "%s.%s", torture->db, LOCKS);
    (void)snprintf(f->end, sizeof f->end, "%s.%s", torture->db, END);
    f->history = history;
    f->db = torture->db;
    f->client = client;
    f->collection = mongoc_client_get_collection(client, "local", "oplog.rs");
    f->oplog = oplog_new(ns, history);
    if (f->oplog && mark(f) && pthread_create(&f->thread, NULL, run, f) == 0)
        return f;
    free_all(f);
    return NULL;
}

/* Writes a document, acknowledged by a majority: every earlier commit precedes it in the oplog. */
static bool write_end(struct follow *f)
{
    bson_t *command = BCON_NEW("insert", END, "documents", "[", "{", "}", "]", "writeConcern", "{",
                               "w", "majority", "}");
    bool good =
        mongoc_client_write_command_with_opts(f->client, f->db, command, NULL, NULL, &f->why);
    bson_destroy(command);
    return good;
}

bool follow_finish(struct follow *f, lh_error *error)
{
    bool written = false;
    atomic_store(&f->stop, true);
    (void)pthread_join(f->thread, NULL);
    for (int64_t end = history_now() + END_MS * INT64_C(1000000);
         f->state == GOES_ON && history_now() < end;) {
        written = written || write_end(f);
        if (written)
            read_on(f);
        if (f->state == GOES_ON)
            torture_nap(50);
    }
    if (f->state == NOT_UNDERSTOOD)
        (void)out_fail(error, LH_DATA, "an entry of the oplog has an unknown form");
    else if (f->state == GOES_ON)
        (void)out_fail(error, LH_UNREACHABLE, "the oplog cannot be read to its end: %s",
                       f->why.message);
    bool good = f->state == REACHED_END || f->state == HAS_HOLE;
    free_all(f);
    return good;
}

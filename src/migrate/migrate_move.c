/* SPDX-License-Identifier: Apache-2.0
 * Moves judged documents out of the collection, so that nothing is lost if the process is killed:
 *
 * 1. Read them whole, and drop those that have changed since they were judged.
 * 2. Insert them into the archive. The _id of an entry holds a hash of the content, so the server
 *    refuses a repeated insert of the same content, which is harmless.
 * 3. Raise the survivor's token to theirs. This keeps invariant 2: tokens never go back, even if a
 *    loser had the highest.
 * 4. Delete each one, only if the whole document is still what was archived.
 * 5. Mark the archive entries of the deleted documents. After a crash before this step,
 *    lh_migrate_settle() marks them.
 *
 * Documents that changed in between stay. They are counted as `left`, and the next walk judges them
 * again. If the survivor was deleted after it was judged, the result is the same as if the losers
 * had been moved first. */
#include "migrate/migrate_move.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "migrate/migrate_archive.h"
#include "migrate/migrate_judge.h"
#include "migrate/migrate_lease.h"
#include "migrate/migrate_slice.h"
#include "protocol/doc.h"
#include "store/store_refused.h"

#define BOTH_MIN 200 /* from this number of documents on, two threads move them */
/* Documents per statement. With 50 the server deletes 74,000/s; with 1, 38,000/s; with 200,
 * 58,000/s (1,000 in a command). */
#define DELETE_GROUP 50

static int64_t token_of(const uint8_t *data)
{
    bson_t document;
    lh_document_view(data, &document);
    return lh_doc_token(&document);
}

/* {q: {_id: <survivor>}, u: [{$set: {token: the higher one}}]}, for a loser whose token is above
 * its survivor's. The $cond is there for a token of false, which counts as none: $max alone would
 * keep it, since booleans sort above numbers. */
static size_t append_raise(bson_t *updates, size_t k, const lh_item *it)
{
    int64_t token = it->whole && it->loser->survivor ? token_of(it->whole) : 0;
    if (token <= 0 || token <= token_of(it->loser->survivor))
        return 0;
    bson_t statement, query;
    bson_t *change =
        BCON_NEW("0", "{", "$set", "{", "token", "{", "$max", "[", "{", "$cond", "[", "{", "$eq",
                 "[", BCON_UTF8("$token"), BCON_BOOL(false), "]", "}", BCON_NULL,
                 BCON_UTF8("$token"), "]", "}", BCON_INT64(token), "]", "}", "}", "}");
    char buffer[16];
    BSON_APPEND_DOCUMENT_BEGIN(updates, lh_slice_key(k, buffer, sizeof buffer), &statement);
    BSON_APPEND_DOCUMENT_BEGIN(&statement, "q", &query);
    lh_slice_append_id(&query, "_id", it->loser->survivor);
    bson_append_document_end(&statement, &query);
    BSON_APPEND_ARRAY(&statement, "u", change);
    bson_append_document_end(updates, &statement);
    bson_destroy(change);
    return 1;
}

/* A document may be so large that neither it nor its copy can take another field. The message names
 * it. */
static int fail_too_large(const lh_migration *m, const uint8_t *document, const char *what,
                          lh_error *error)
{
    bson_t view;
    char id[160];
    lh_document_view(document, &view);
    lh_document_id_text(&view, id, sizeof id);
    return lh_fail(error, LH_CONFIG,
                   "cannot %s: the document of %s.%s whose _id is %s is too close to MongoDB's "
                   "limit of 16 MiB. It stays, and nothing is lost. Save it elsewhere, remove its "
                   "large fields ($unset), and migrate again",
                   what, m->store->db, m->store->collection, id);
}

/* A large document is moved alone, so a failure of the step is about it. */
static int name_large(const lh_migration *m, const lh_slice *s, int outcome, const char *what,
                      lh_error *error)
{
    bool large = outcome != LH_OK && error && s->n == 1 && s->items[0].whole &&
                 lh_store_is_too_large((uint32_t)error->server_code, error->message);
    return large ? fail_too_large(m, s->items[0].whole, what, error) : outcome;
}

/* Step 3, for the items from..to. */
static int raise_tokens(lh_migration *m, const lh_slice *s, size_t from, size_t to, lh_error *error)
{
    static const char what[] = "raise the tokens of the remaining documents";
    bson_t updates, *command = BCON_NEW("update", BCON_UTF8(m->store->collection));
    lh_error mine = LH_ERROR_INIT;
    size_t k = 0;
    BSON_APPEND_ARRAY_BEGIN(command, "updates", &updates);
    for (size_t i = from; i < to; i++)
        k += append_raise(&updates, k, &s->items[i]);
    bson_append_array_end(command, &updates);
    if (k == 0) {
        bson_destroy(command);
        return LH_OK;
    }
    int outcome = lh_migrate_write(m, what, command, 0, NULL, &mine);
    bool large =
        outcome != LH_OK && lh_store_is_too_large((uint32_t)mine.server_code, mine.message);
    if (large && to - from == 1)
        return fail_too_large(m, s->items[from].loser->survivor, what, error);
    if (large) /* try them one by one, to find which one it is */
        outcome = LH_OK;
    for (size_t i = from; large && outcome == LH_OK && i < to; i++)
        outcome = raise_tokens(m, s, i, i + 1, &mine);
    if (outcome != LH_OK)
        lh_error_give(error, &mine);
    return outcome;
}

/* {q: {_id: {$in: […]}, $expr: {$in: ["$$ROOT", {$literal: [whole documents]}]}}, limit: 0} deletes
 * exactly what was archived. Whole documents are compared, so missing fields, null, arrays and
 * types need no special care. */
static void append_delete(bson_t *deletes, const char *key, const lh_slice *s, size_t from,
                          size_t to)
{
    bson_t statement, query, expr, in, literal, list, document;
    char buffer[16];
    size_t k = 0;
    BSON_APPEND_DOCUMENT_BEGIN(deletes, key, &statement);
    BSON_APPEND_DOCUMENT_BEGIN(&statement, "q", &query);
    lh_slice_append_ids(&query, s, from, to, true);
    BSON_APPEND_DOCUMENT_BEGIN(&query, "$expr", &expr);
    BSON_APPEND_ARRAY_BEGIN(&expr, "$in", &in);
    BSON_APPEND_UTF8(&in, "0", "$$ROOT");
    BSON_APPEND_DOCUMENT_BEGIN(&in, "1", &literal);
    BSON_APPEND_ARRAY_BEGIN(&literal, "$literal", &list);
    for (size_t i = from; i < to; i++) {
        if (!s->items[i].whole)
            continue;
        lh_document_view(s->items[i].whole, &document);
        bson_append_document(&list, lh_slice_key(k++, buffer, sizeof buffer), -1, &document);
    }
    bson_append_array_end(&literal, &list);
    bson_append_document_end(&in, &literal);
    bson_append_array_end(&expr, &in);
    bson_append_document_end(&query, &expr);
    bson_append_document_end(&statement, &query);
    BSON_APPEND_INT32(&statement, "limit", 0);
    bson_append_document_end(deletes, &statement);
}

/* Step 4. */
static int delete_items(lh_migration *m, const lh_slice *s, int64_t *ret_n, lh_error *error)
{
    bson_t deletes, *command = BCON_NEW("delete", BCON_UTF8(m->store->collection));
    char buffer[16];
    size_t k = 0;
    BSON_APPEND_ARRAY_BEGIN(command, "deletes", &deletes);
    for (size_t from = 0; from < s->n; from += DELETE_GROUP) {
        size_t to = from + DELETE_GROUP < s->n ? from + DELETE_GROUP : s->n;
        append_delete(&deletes, lh_slice_key(k++, buffer, sizeof buffer), s, from, to);
    }
    bson_append_array_end(command, &deletes);
    return lh_migrate_write(m, "delete the archived documents", command, 0, ret_n, error);
}

static int move_slice(lh_migration *m, lh_slice *s, lh_walk *walk, lh_error *error)
{
    bool archive = !m->options->no_archive;
    /* one process moves at a time, but for a document that the caller names */
    lh_assert(!m->options->dry_run && (m->held || m->options->id));
    int outcome = lh_slice_read(m, s, error);
    if (outcome != LH_OK)
        return outcome;
    walk->left += s->n - s->whole;
    if (s->whole == 0)
        return LH_OK;
    if (archive)
        outcome = name_large(m, s, lh_archive_insert(m, s, error), "archive a document", error);
    if (outcome == LH_OK)
        outcome = raise_tokens(m, s, 0, s->n, error);
    int64_t n = 0;
    if (outcome == LH_OK)
        outcome = name_large(m, s, delete_items(m, s, &n, error), "delete a document", error);
    if (outcome != LH_OK)
        return outcome;
    walk->removed += (uint64_t)n;
    if (s->items[0].loser->survivor)
        m->report->removed += (uint64_t)n;
    else
        m->report->quarantined += (uint64_t)n;
    if ((uint64_t)n < s->whole)
        outcome = lh_slice_drop_remaining(m, s, walk, error);
    if (outcome == LH_OK && archive && s->whole > 0)
        outcome = lh_archive_mark(m, s, error);
    return outcome;
}

static int move_all(lh_migration *m, const lh_loser *losers, size_t n, lh_walk *walk,
                    lh_error *error)
{
    lh_slice *s = n > 0 ? malloc(sizeof *s) : NULL;
    if (!s)
        return n > 0 ? lh_fail_memory(error) : LH_OK;
    bson_init(&s->reply);
    s->filled = 0;
    s->most = LH_MIGRATE_SLICE;
    int outcome = LH_OK;
    for (size_t next = 0; outcome == LH_OK && (next < n || s->filled > 0);) {
        if (s->filled == 0) {
            lh_slice_fill(s, losers + next, n - next < s->most ? n - next : s->most);
            next += s->filled;
        }
        s->n = s->filled < s->most ? s->filled : s->most;
        s->whole = 0;
        outcome = lh_migrate_lease_keep(m, error);
        if (outcome == LH_OK)
            outcome = move_slice(m, s, walk, error);
        s->filled -= s->n;
        memmove(s->items, s->items + s->n, s->filled * sizeof s->items[0]);
    }
    bson_destroy(&s->reply);
    free(s);
    return outcome;
}

/* One of two movers: a copy of the migration with its own counters. */
typedef struct {
    lh_migration m;
    lh_migrate_report report;
    const lh_loser *losers;
    size_t n;
    lh_walk walk;
    int outcome;
    lh_error error;
} mover;

static void *run_mover(void *arg)
{
    mover *half = arg;
    half->outcome = move_all(&half->m, half->losers, half->n, &half->walk, &half->error);
    return NULL;
}

/* Two threads, each on one half: the server has more than one processor, and waits for its disk and
 * its majority. Losers do not depend on each other, and tokens may be raised in any order. */
int lh_migrate_move(lh_migration *m, const lh_loser *losers, size_t n, lh_walk *walk,
                    lh_error *error)
{
    pthread_t thread;
    size_t rest = n / 2;
    mover *other = n >= BOTH_MIN ? calloc(1, sizeof *other) : NULL;
    if (other) {
        *other = (mover){.m = *m, .losers = losers + (n - rest), .n = rest, .error = LH_ERROR_INIT};
        other->m.report = &other->report;
        if (pthread_create(&thread, NULL, run_mover, other) != 0) {
            free(other);
            other = NULL;
        }
    }
    int outcome = move_all(m, losers, other ? n - rest : n, walk, error);
    if (!other)
        return outcome;
    (void)pthread_join(thread, NULL);
    m->report->archived += other->report.archived;
    m->report->removed += other->report.removed;
    m->report->quarantined += other->report.quarantined;
    walk->removed += other->walk.removed;
    walk->left += other->walk.left;
    if (outcome == LH_OK && other->outcome != LH_OK) {
        outcome = other->outcome;
        lh_error_give(error, &other->error);
    }
    free(other);
    return outcome;
}

/* SPDX-License-Identifier: Apache-2.0
 * Moving judged documents out of the collection, so that nothing is lost whenever we are killed:
 *
 *   1. read them whole, and drop those that are not as they were judged
 *   2. insert them into the archive; the _id there is the original one and a hash of the content,
 *      so that a repeated insert of the same content is refused by the server and harmless
 *   3. raise the survivor's token to theirs (invariant 2: tokens never go back, also when the
 *      highest was a loser's)
 *   4. delete them, only if the whole document is still what was archived
 *   5. mark the archive entries of what was deleted. A crash before that is mended by
 *      lh_migrate_settle()
 *
 * What changed in between stays, is counted as `left`, and is judged again by the next walk. The
 * survivor may have gone since it was judged: then it is as if the losers had been moved first, and
 * it had gone after that. */
#include "migrate/migrate_move.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "migrate/migrate_archive.h"
#include "migrate/migrate_judge.h"
#include "migrate/migrate_lease.h"
#include "migrate/migrate_slice.h"
#include "protocol/doc.h"
#include "store/store_refused.h"

#define BOTH_MIN 200 /* documents from which on two move them */
/* documents per statement: 74,000/s; one each 38,000/s, 200 each 58,000/s (1,000 a command) */
#define DELETE_GROUP 50

static int64_t token_of(const uint8_t *data)
{
    bson_t document;
    lh_document_view(data, &document);
    return lh_doc_token(&document);
}

/* {q: {_id: <survivor>}, u: [{$set: {token: the higher one}}]} for a loser whose token is above its
 * survivor's. (A plain $max would keep a false, which is above all numbers and counts as none.) */
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

/* A document may be so large that nothing can be added to it, nor to its copy. Which one it is, and
 * what to do. */
static int fail_too_large(const lh_migration *m, const uint8_t *document, const char *what,
                          lh_error *error)
{
    bson_t view;
    char id[160];
    lh_document_view(document, &view);
    lh_document_id_text(&view, id, sizeof id);
    return lh_fail(error, LH_CONFIG,
                   "cannot %s: the document of %s.%s whose _id is %s is too near to MongoDB's "
                   "limit of 16 MiB; nothing "
                   "is lost, and it stays. Save it elsewhere, take large fields out of it "
                   "($unset), and migrate again",
                   what, m->store->db, m->store->collection, id);
}

/* A large one is moved alone: then its step's failure is about it. */
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
    static const char what[] = "raise the survivors' tokens";
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
    if (large) /* which of them is it? */
        outcome = LH_OK;
    for (size_t i = from; large && outcome == LH_OK && i < to; i++)
        outcome = raise_tokens(m, s, i, i + 1, &mine);
    if (outcome != LH_OK)
        lh_error_give(error, &mine);
    return outcome;
}

/* {q: {_id: {$in: […]}, $expr: {$in: ["$$ROOT", {$literal: [whole documents]}]}}, limit: 0}:
 * deletes exactly what was archived. Compared whole, so missing, null, arrays and types need no
 * care of their own. */
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

/* One of two movers: a view of the migration with counters of its own. */
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

/* Two at once, each on its own half: the server has more than one processor, and waits for its disk
 * and its majority. Losers do not depend on each other, and raising a token is the same in any
 * order. */
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

/* SPDX-License-Identifier: Apache-2.0
 * Walks the index key by key, and moves the documents that do not stay. It reads the index in
 * pieces. One command, which may be repeated, reads a piece; the next piece begins at the last key
 * of the one before. No cursor stays open during writes.
 *
 * The memory used is constant, however many documents the collection or a single key has. If a
 * piece holds a single key, another pass over this key finds its survivor. Then every other
 * document of the key is a loser as soon as it is read.
 *
 * In the index, the keys that sort below strings come first (missing, null, numbers), then strings,
 * then the rest. Documents whose key is not a string are counted, and moved with `quarantine`. They
 * are never compared with each other. */
#include "migrate/migrate_dedupe.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "migrate/migrate_foreign.h"
#include "migrate/migrate_judge.h"
#include "migrate/migrate_lease.h"
#include "migrate/migrate_look.h"
#include "migrate/migrate_move.h"
#include "migrate/migrate_parts.h"
#include "migrate/migrate_survey.h"
#include "store/store_run.h"

/* A piece of the index: the reply, and views of the documents in it. */
typedef struct {
    bson_t reply;
    const uint8_t *documents[LH_MIGRATE_PIECE];
    size_t n;
    bool full;                                                 /* there may be more */
    lh_loser doubles[LH_MIGRATE_PIECE], odd[LH_MIGRATE_PIECE]; /* the documents to move */
    size_t n_doubles, n_odd;
} piece;

typedef struct {
    lh_migration *m;
    lh_walk *walk;
    piece *piece;
    lh_group group;  /* the current key */
    lh_group pinned; /* the survivor of a key larger than a piece; empty: none */
} walker;

static void append_bound(bson_t *command, const char *name, const bson_t *bound)
{
    if (bound)
        BSON_APPEND_DOCUMENT(command, name, bound);
}

/* The server ends a batch before a document that would make the reply too large (16 MiB). Then it
 * opens a cursor, which is not needed here. */
static bool was_cut(const walker *w, const bson_t *piece_reply)
{
    bson_iter_t top, id;
    bson_t reply;
    if (!bson_iter_init(&top, piece_reply) || !bson_iter_find_descendant(&top, "cursor.id", &id) ||
        bson_iter_as_int64(&id) == 0)
        return false;
    bson_t *command = BCON_NEW("killCursors", BCON_UTF8(w->m->store->collection), "cursors", "[",
                               BCON_INT64(bson_iter_as_int64(&id)), "]");
    lh_call call = {.what = "close the cursor",
                    .command = command,
                    .deadline = lh_migrate_until(w->m),
                    .kind = LH_CALL_BARE,
                    .once = true};
    (void)lh_store_run(w->m->store, &call, &reply, NULL, NULL);
    bson_destroy(command);
    bson_destroy(&reply);
    return true;
}

/* Reads the documents whose key is in [min, max). A bound is {workspace_id: …}. */
static int read_piece(walker *w, const bson_t *min, const bson_t *max, uint64_t skip,
                      lh_error *error)
{
    piece *p = w->piece;
    p->n = p->n_doubles = p->n_odd = 0;
    /* No sort: the hint gives the order of the index already. With an array among the keys, the
     * server would sort in memory. */
    bson_t *command =
        BCON_NEW("find", BCON_UTF8(w->m->store->collection), "hint", BCON_UTF8(w->m->index),
                 "limit", BCON_INT32(LH_MIGRATE_PIECE), "batchSize", BCON_INT32(LH_MIGRATE_PIECE),
                 "skip", BCON_INT64((int64_t)skip));
    append_bound(command, "min", min);
    append_bound(command, "max", max);
    lh_call call = {.what = "read the documents",
                    .command = command,
                    .deadline = lh_migrate_until(w->m),
                    .kind = LH_CALL_READ};
    bson_destroy(&p->reply);
    lh_error mine = LH_ERROR_INIT;
    int outcome = lh_store_run(w->m->store, &call, &p->reply, NULL, &mine);
    bson_destroy(command);
    if (outcome == LH_SERVER) /* the index or the collection may be gone, so look again */
        return lh_fail(error, LH_LOST, "cannot read the index: %.400s", mine.message);
    if (outcome != LH_OK)
        lh_error_give(error, &mine);
    bson_iter_t top, batch, entry;
    if (outcome != LH_OK || !bson_iter_init(&top, &p->reply) ||
        !bson_iter_find_descendant(&top, "cursor.firstBatch", &batch) ||
        !bson_iter_recurse(&batch, &entry))
        return outcome;
    while (p->n < LH_MIGRATE_PIECE && bson_iter_next(&entry)) {
        uint32_t len;
        if (BSON_ITER_HOLDS_DOCUMENT(&entry))
            bson_iter_document(&entry, &len, &p->documents[p->n++]);
    }
    p->full = p->n == LH_MIGRATE_PIECE || was_cut(w, &p->reply);
    return LH_OK;
}

/* Moves the documents of the piece that have to move. LH_OK also if some had changed. */
static int move_piece(walker *w, lh_error *error)
{
    piece *p = w->piece;
    lh_migration *m = w->m;
    int outcome = LH_OK;
    if (m->options->remove)
        outcome = lh_migrate_move(m, p->doubles, p->n_doubles, w->walk, error);
    uint64_t before = m->report->quarantined, n = p->n_odd < m->may_move ? p->n_odd : m->may_move;
    if (outcome == LH_OK)
        outcome = lh_migrate_move(m, p->odd, (size_t)n, w->walk, error);
    if (m->may_move != UINT64_MAX)
        m->may_move -= m->report->quarantined - before;
    return outcome;
}

/* Whether a document that cannot be read is moved to quarantine. */
static bool goes_to_quarantine(const walker *w, const bson_t *document)
{
    const lh_migrate_options *options = w->m->options;
    return options->quarantine && (options->even_live || !lh_migrate_is_live(w->m, document));
}

/* Counts the document if it cannot be read. true: it is not judged; it is moved to quarantine, or
 * stays. */
static bool set_aside(walker *w, const uint8_t *data, const bson_t *document)
{
    piece *p = w->piece;
    bool has_key = lh_document_key(document, NULL) != NULL;
    if (has_key && !lh_migrate_is_unreadable(document))
        return false;
    lh_migrate_count_unreadable(w->m, document);
    bool goes = goes_to_quarantine(w, document);
    if (goes)
        p->odd[p->n_odd++] = (lh_loser){.document = data};
    return goes || !has_key;
}

static int between_pieces(walker *w, lh_error *error)
{
    int outcome = lh_migrate_lease_keep(w->m, error);
    if (outcome == LH_OK)
        outcome = lh_migrate_progress(w->m, "dedupe", w->m->report->scanned, w->m->total, error);
    return outcome;
}

/* Documents from `min` to `max` whose keys are not strings. Documents that stay are skipped by
 * number. */
static int walk_odd(walker *w, const bson_t *min, const bson_t *max, lh_error *error)
{
    uint64_t skip = 0;
    for (;;) {
        int outcome = between_pieces(w, error);
        if (outcome == LH_OK)
            outcome = read_piece(w, min, max, skip, error);
        if (outcome != LH_OK)
            return outcome;
        piece *p = w->piece;
        for (size_t i = 0; i < p->n; i++) {
            bson_t document;
            lh_document_view(p->documents[i], &document);
            (void)set_aside(w, p->documents[i], &document);
        }
        w->m->report->scanned += p->n;
        uint64_t before = w->walk->removed;
        outcome = move_piece(w, error);
        if (outcome != LH_OK || !p->full)
            return outcome;
        skip += p->n - (w->walk->removed - before);
    }
}

static bool is_id(const bson_t *document, const bson_t *other)
{
    bson_iter_t a, b;
    return bson_iter_init_find(&a, document, "_id") && bson_iter_init_find(&b, other, "_id") &&
           a.next_off - a.off == b.next_off - b.off &&
           memcmp(a.raw + a.off, b.raw + b.off, a.next_off - a.off) == 0;
}

static bool is_set_aside(const piece *p, const uint8_t *data)
{
    for (size_t i = p->n_odd; i-- > 0;)
        if (p->odd[i].document <= data) /* `odd` has the order of the piece */
            return p->odd[i].document == data;
    return false;
}

/* All documents from..to that have a string key have the same one. Each but `best` is a loser.
 * `survivor` is borrowed until the piece is moved. */
static void add_losers(walker *w, size_t from, size_t to, const bson_t *best,
                       const uint8_t *survivor)
{
    piece *p = w->piece;
    bson_t document;
    for (size_t i = from; i < to; i++) {
        lh_document_view(p->documents[i], &document);
        if (lh_document_key(&document, NULL) && !is_id(&document, best) &&
            !is_set_aside(p, p->documents[i]))
            p->doubles[p->n_doubles++] =
                (lh_loser){.document = p->documents[i], .survivor = survivor};
    }
}

/* The current key is complete; its documents are among from..to. */
static void close_group(walker *w, size_t from, size_t to)
{
    lh_group *group = &w->group;
    uint32_t len = 0;
    const char *key = lh_group_key(group, &len);
    /* the end of a key larger than a piece: counted already */
    bool known = key && lh_group_has_key(&w->pinned, key, len);
    if (!known)
        w->m->report->scanned += group->count;
    if (group->count > 1) {
        if (!known) {
            w->walk->duplicate_keys++;
            w->walk->losers += group->count - 1;
            lh_group_report(group, w->m);
        }
        for (size_t i = from; i < to; i++) {
            bson_t document;
            lh_document_view(w->piece->documents[i], &document);
            if (is_id(&document, &group->best))
                add_losers(w, from, to, &group->best, w->piece->documents[i]);
        }
    }
    lh_group_clear(group);
}

/* Judges the first `end` documents of the piece. No key continues beyond them. */
static void judge_piece(walker *w, size_t end)
{
    piece *p = w->piece;
    size_t from = 0;
    for (size_t i = 0; i < end; i++) {
        bson_t document;
        uint32_t len = 0;
        lh_document_view(p->documents[i], &document);
        const char *key = lh_document_key(&document, &len);
        bool again = key && lh_group_has_key(&w->pinned, key, len); /* counted already */
        if (!again && set_aside(w, p->documents[i], &document)) {
            w->m->report->scanned++;
            continue;
        }
        if (!lh_group_has_key(&w->group, key, len)) {
            close_group(w, from, i);
            from = i;
        }
        lh_group_add(&w->group, &document);
    }
    close_group(w, from, end);
}

static int pin_document(void *arg, const bson_t *document)
{
    walker *w = arg;
    lh_group_add(&w->pinned, document);
    if (lh_migrate_is_unreadable(document))
        lh_migrate_count_unreadable(w->m, document);
    return 0;
}

/* Finds the survivor of a key that is larger than a piece. */
static int pin_survivor(walker *w, const bson_t *bound, lh_error *error)
{
    lh_group_clear(&w->pinned);
    bson_t *command =
        BCON_NEW("find", BCON_UTF8(w->m->store->collection), "filter", BCON_DOCUMENT(bound), "hint",
                 BCON_UTF8(w->m->index), "batchSize", BCON_INT32(LH_MIGRATE_PIECE));
    lh_call call = {.what = "read a key's documents",
                    .command = command,
                    .deadline = w->m->deadline,
                    .kind = LH_CALL_READ};
    int outcome = lh_store_each(w->m->store, &call, pin_document, w, error);
    bson_destroy(command);
    if (outcome != LH_OK) {
        lh_group_clear(&w->pinned);
        return outcome;
    }
    w->m->report->scanned += w->pinned.count;
    if (w->pinned.count > 1) {
        w->walk->duplicate_keys++;
        w->walk->losers += w->pinned.count - 1;
        lh_group_report(&w->pinned, w->m);
    }
    return LH_OK;
}

/* The last string key of the piece, or NULL if it has none. *ret_start is the index of its first
 * document; *ret_only: the piece has no other string key. */
static const char *last_key(const piece *p, uint32_t *ret_len, size_t *ret_start, bool *ret_only)
{
    const char *last = NULL;
    *ret_only = true;
    for (size_t i = p->n; i-- > 0;) {
        bson_t document;
        uint32_t len = 0;
        lh_document_view(p->documents[i], &document);
        const char *key = lh_document_key(&document, &len);
        if (!key)
            continue;
        if (last && (len != *ret_len || memcmp(key, last, len) != 0)) {
            *ret_only = false;
            break;
        }
        last = key;
        *ret_len = len;
        *ret_start = i;
    }
    return last;
}

/* {workspace_id: <key>}. With `after`, the next possible key: the same with a NUL appended. */
static void set_bound(bson_t *bound, const char *key, uint32_t len, bool after)
{
    bson_reinit(bound);
    char *text = bson_malloc0((size_t)len + 2);
    memcpy(text, key, len);
    bson_append_utf8(bound, "workspace_id", -1, text, (int)len + (after ? 1 : 0));
    bson_free(text);
}

/* The piece is full and holds a single string key: moves all its documents but the survivor. If
 * nothing was removed, *bound advances to the next key. Documents without a string key in between
 * are left to the piece in which the key ends. */
static int walk_large_key(walker *w, const char *key, uint32_t len, bson_t *bound, lh_error *error)
{
    piece *p = w->piece;
    bson_t exactly = BSON_INITIALIZER;
    int outcome = LH_OK;
    set_bound(&exactly, key, len, false);
    if (!lh_group_has_key(&w->pinned, key, len))
        outcome = pin_survivor(w, &exactly, error);
    uint64_t before = w->walk->removed;
    if (outcome == LH_OK && w->pinned.count > 1) {
        add_losers(w, 0, p->n, &w->pinned.best, bson_get_data(&w->pinned.best));
        outcome = lh_migrate_move(w->m, p->doubles, p->n_doubles, w->walk, error);
    }
    set_bound(bound, key, len, w->walk->removed == before);
    bson_destroy(&exactly);
    return outcome;
}

/* Judges and moves one piece that begins at *bound, and sets *bound to where the next one
 * begins. */
static int walk_piece(walker *w, bson_t *bound, bool *ret_more, lh_error *error)
{
    piece *p = w->piece;
    uint32_t len = 0;
    size_t start = p->n;
    bool only = true;
    const char *key = p->full ? last_key(p, &len, &start, &only) : NULL;
    *ret_more = p->full;
    if (key && only)
        return walk_large_key(w, key, len, bound, error);
    uint64_t before = w->walk->removed;
    judge_piece(w, start);
    int outcome = move_piece(w, error);
    if (outcome == LH_OK && key)
        set_bound(bound, key, len, false);
    else if (outcome == LH_OK && p->full &&
             w->walk->removed == before) /* the piece holds only arrays, and they stay */
        outcome = lh_migrate_fail_bad_keys(w->m, error);
    return outcome;
}

/* String keys. */
static int walk_strings(walker *w, const bson_t *max, lh_error *error)
{
    bson_t bound = BSON_INITIALIZER;
    set_bound(&bound, "", 0, false);
    int outcome = LH_OK;
    for (bool more = true; outcome == LH_OK && more;) {
        outcome = between_pieces(w, error);
        if (outcome == LH_OK)
            outcome = read_piece(w, &bound, max, 0, error);
        if (outcome == LH_OK)
            outcome = walk_piece(w, &bound, &more, error);
    }
    bson_destroy(&bound);
    return outcome;
}

int lh_migrate_dedupe(lh_migration *m, lh_walk *ret_walk, lh_error *error)
{
    lh_walk_begin(m, ret_walk);
    walker w = {.m = m, .walk = ret_walk, .piece = calloc(1, sizeof(piece))};
    if (!w.piece)
        return lh_fail_memory(error);
    bson_init(&w.piece->reply);
    lh_group_init(&w.group);
    lh_group_init(&w.pinned);
    bson_t *first = BCON_NEW("workspace_id", ""), *beyond = BCON_NEW("workspace_id", "{", "}");
    int outcome = walk_odd(&w, NULL, first, error);
    if (outcome == LH_OK)
        outcome = walk_strings(&w, beyond, error);
    if (outcome == LH_OK)
        outcome = walk_odd(&w, beyond, NULL, error);
    bson_destroy(first);
    bson_destroy(beyond);
    lh_group_fini(&w.pinned);
    lh_group_fini(&w.group);
    bson_destroy(&w.piece->reply);
    free(w.piece);
    return outcome;
}

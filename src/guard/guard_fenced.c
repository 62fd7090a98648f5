/* SPDX-License-Identifier: Apache-2.0
 * The fence in the caller's own document, for data without transactions. The other home of
 * invariant 10.
 *
 * It is one findAndModify by _id whose condition is the fence. Each call also writes a new number
 * (`fence_write`), so that the document changes even if the update would not change it. An
 * acknowledged no-op proves nothing, since a deposed primary can acknowledge it too.
 *
 * The document is read only if nothing matched, to find the reason. That reason is for the caller's
 * information; nothing is written because of it. */
#include <string.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/error.h"
#include "guard/guard.h"
#include "guard/guard_error.h"
#include "lease/lease_held.h"
#include "store/store_refused.h"

#define NONCE_FIELD "fence_write"

typedef struct {
    bson_iter_t id; /* stands at the value of the _id */
    const char *what;
    lh_lease *lease;
    mongoc_collection_t *collection;
    const bson_t *update; /* complete, with the fence in it */
    lh_error *error;
    bool pipeline, create, whole; /* create: an upsert; whole: the caller wants the document */
} fencing;

/* ---- The update -------------------------------------------------------------------------------*/

/* The fence that the lease writes; a lease that is not enforced leaves the fence as it is. */
enum { NO_FENCE = -1 };
static int64_t fence_of(const lh_lease *lease)
{
    return lease->enforced ? lh_lease_token(lease) : NO_FENCE;
}

static void append_fence(bson_t *to, int64_t token)
{
    int64_t nonce = 0;
    (void)!getrandom(&nonce, sizeof nonce, 0); /* the system never returns fewer than 8 bytes */
    if (token != NO_FENCE)
        BSON_APPEND_INT64(to, LH_FENCE, token);
    BSON_APPEND_INT64(to, NONCE_FIELD, nonce);
}

/* The caller's operators, with our fields added to their $set. The server refuses an update that
 * changes one of our fields twice. */
static void add_to_operators(const bson_t *update, int64_t token, bson_t *ret)
{
    bson_t set;
    bson_iter_t at, field;
    bool done = false;
    for (bson_iter_init(&at, update); bson_iter_next(&at);) {
        if (strcmp(bson_iter_key(&at), "$set") != 0 || !BSON_ITER_HOLDS_DOCUMENT(&at)) {
            bson_append_iter(ret, NULL, 0, &at);
            continue;
        }
        BSON_APPEND_DOCUMENT_BEGIN(ret, "$set", &set);
        for (bson_iter_recurse(&at, &field); bson_iter_next(&field);)
            bson_append_iter(&set, NULL, 0, &field);
        append_fence(&set, token);
        bson_append_document_end(ret, &set);
        done = true;
    }
    if (done)
        return;
    BSON_APPEND_DOCUMENT_BEGIN(ret, "$set", &set);
    append_fence(&set, token);
    bson_append_document_end(ret, &set);
}

/* Appends a last stage of ours, so that our values stay whatever the other stages do to these
 * fields. Numbers are never expressions. */
static void add_to_pipeline(const bson_t *update, int64_t token, bson_t *ret)
{
    bson_t stage, set;
    char key[16];
    const char *name;
    bson_concat(ret, update);
    bson_uint32_to_string(bson_count_keys(update), &name, key, sizeof key);
    BSON_APPEND_DOCUMENT_BEGIN(ret, name, &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$set", &set);
    append_fence(&set, token);
    bson_append_document_end(&stage, &set);
    bson_append_document_end(ret, &stage);
}

static void add_to_document(const bson_t *update, int64_t token, bson_t *ret)
{
    bson_copy_to_excluding_noinit(update, ret, LH_FENCE, NONCE_FIELD, NULL);
    append_fence(ret, token);
}

/* The first key decides the kind of update, as it does in the driver. */
static bool add_fence(const bson_t *update, int64_t token, bson_t *ret)
{
    bson_iter_t first;
    bson_iter_init(&first, update);
    bson_iter_next(&first);
    bool pipeline = strcmp(bson_iter_key(&first), "0") == 0 && BSON_ITER_HOLDS_DOCUMENT(&first);
    if (pipeline)
        add_to_pipeline(update, token, ret);
    else if (*bson_iter_key(&first) == '$')
        add_to_operators(update, token, ret);
    else
        add_to_document(update, token, ret);
    return pipeline;
}

/* ---- The commands -----------------------------------------------------------------------------*/

static void append_id(bson_t *filter, const bson_iter_t *id)
{
    bson_t equals;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &equals);
    bson_append_iter(&equals, "$eq", 3, id); /* a plain value, even if it looks like an operator */
    bson_append_document_end(filter, &equals);
}

/* Matches a fence that is a number up to `token`, and a missing one. (A condition on a number would
 * also match elements of arrays.) */
static void append_condition(bson_t *filter, int64_t token)
{
    bson_t *condition = BCON_NEW("$or", "[", "{", LH_FENCE, "{", "$lte", BCON_INT64(token), "$not",
                                 "{", "$type", BCON_UTF8("array"), "}", "}", "}", "{", LH_FENCE,
                                 "{", "$exists", BCON_BOOL(false), "}", "}", "]");
    bson_concat(filter, condition);
    bson_destroy(condition);
}

static bool ask(const fencing *f, bson_t *reply, bson_error_t *why)
{
    bson_t command = BSON_INITIALIZER, query, fields;
    BSON_APPEND_UTF8(&command, "findAndModify", mongoc_collection_get_name(f->collection));
    BSON_APPEND_DOCUMENT_BEGIN(&command, "query", &query);
    append_id(&query, &f->id);
    if (f->lease->enforced)
        append_condition(&query, lh_lease_token(f->lease));
    bson_append_document_end(&command, &query);
    if (f->pipeline)
        BSON_APPEND_ARRAY(&command, "update", f->update);
    else
        BSON_APPEND_DOCUMENT(&command, "update", f->update);
    BSON_APPEND_BOOL(&command, "new", true);
    BSON_APPEND_BOOL(&command, "upsert", f->create);
    if (!f->whole) {
        BSON_APPEND_DOCUMENT_BEGIN(&command, "fields", &fields);
        BSON_APPEND_INT32(&fields, "_id", 1);
        bson_append_document_end(&command, &fields);
    }
    BSON_APPEND_INT64(&command, "maxTimeMS", f->lease->store->timeout_ms);
    bson_t *options =
        BCON_NEW("writeConcern", "{", "w", BCON_UTF8("majority"), "j", BCON_BOOL(true), "}");
    bool good =
        mongoc_collection_write_command_with_opts(f->collection, &command, options, reply, why);
    bson_destroy(options);
    bson_destroy(&command);
    return good;
}

/* Finds out why nothing matched. LH_OK: the document would match by now. */
static int look(const fencing *f)
{
    bson_t filter = BSON_INITIALIZER;
    append_id(&filter, &f->id);
    bson_t *options =
        BCON_NEW("limit", BCON_INT64(1), "projection", "{", LH_FENCE, BCON_INT32(1), "}");
    mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(f->collection, &filter, options, primary);
    const bson_t *document, *reply;
    bson_error_t why;
    bson_iter_t fence;
    int64_t token = f->lease->enforced ? lh_lease_token(f->lease) : INT64_MAX;
    int outcome = LH_OK;
    if (!mongoc_cursor_next(cursor, &document)) {
        if (mongoc_cursor_error_document(cursor, &why, &reply))
            outcome = lh_guard_fail(f->what, LH_SENT_NO_WRITE, reply, &why, f->error);
        else if (!f->create)
            outcome = lh_fail(f->error, LH_ABSENT, "cannot %s: no document has this _id in %s",
                              f->what, mongoc_collection_get_name(f->collection));
    } else if (bson_iter_init_find(&fence, document, LH_FENCE)) {
        if (!BSON_ITER_HOLDS_NUMBER(&fence) && !BSON_ITER_HOLDS_DECIMAL128(&fence))
            outcome = lh_fail(f->error, LH_REASON_UNREADABLE,
                              "cannot %s: its field \"" LH_FENCE "\" is not a number", f->what);
        else if (!BSON_ITER_HOLDS_INT(&fence) || bson_iter_as_int64(&fence) > token)
            outcome =
                lh_fail(f->error, LH_REASON_SUPERSEDED,
                        "cannot %s: a newer holder of the key has used the document", f->what);
    }
    mongoc_cursor_destroy(cursor);
    mongoc_read_prefs_destroy(primary);
    bson_destroy(options);
    bson_destroy(&filter);
    return outcome;
}

/* *ret_matched: a document matched, or that is unknown. If false, look() finds the reason. */
static int judge(const fencing *f, bool good, const bson_t *reply, const bson_error_t *why,
                 bson_t *ret_document, bool *ret_matched)
{
    *ret_matched = true;
    bson_iter_t value, pattern;
    if (good && !lh_guard_is_majority(reply))
        return lh_fail(f->error, LH_REASON_NO_MAJORITY,
                       "no majority acknowledged the attempt to %s in time: it may have succeeded",
                       f->what);
    if (good && bson_iter_init_find(&value, reply, "value") && BSON_ITER_HOLDS_DOCUMENT(&value)) {
        const uint8_t *data;
        uint32_t len;
        bson_t found;
        bson_iter_document(&value, &len, &data);
        if (ret_document && bson_init_static(&found, data, len))
            bson_copy_to(&found, ret_document);
        return LH_OK;
    }
    /* An insert found a document with this _id: its fence is above ours, or another insert was
     * faster. */
    bool met = why->code == LH_MONGO_DUPLICATE_KEY && bson_iter_init(&value, reply) &&
               bson_iter_find_descendant(&value, "keyPattern._id", &pattern);
    if (!good && !met) {
        /* a standalone does not support retried writes */
        bool once = atomic_load(&f->lease->store->topology) == LH_TOPOLOGY_STANDALONE;
        return lh_guard_fail(f->what, once ? LH_SENT_WRITE : LH_SENT_WRITE_AGAIN, reply, why,
                             f->error);
    }
    *ret_matched = false;
    return LH_OK;
}

/* Repeats while look() reports that the document would match by now, at most until the lease
 * ends. */
static int run(const fencing *f, bson_t *ret_document)
{
    bool matched = false;
    int outcome = LH_OK;
    lh_assert(!f->lease->enforced || lh_lease_token(f->lease) != 0); /* lh_guard_check() */
    while (!matched && outcome == LH_OK &&
           (outcome = lh_guard_check(f->lease, f->error)) == LH_OK) {
        bson_t reply;
        bson_error_t why = {0};
        bool good = ask(f, &reply, &why);
        outcome = judge(f, good, &reply, &why, ret_document, &matched);
        bson_destroy(&reply);
        if (!matched)
            outcome = look(f);
    }
    return outcome;
}

static int check(const lh_lease *lease, const mongoc_collection_t *collection, const bson_t *id,
                 bson_iter_t *ret_id, lh_error *error)
{
    int outcome = lh_guard_check(lease, error);
    if (outcome != LH_OK)
        return outcome;
    if (!collection)
        return lh_fail(error, LH_INVALID, "no collection was given");
    if (!id || bson_count_keys(id) != 1 || !bson_iter_init_find(ret_id, id, "_id"))
        return lh_fail(error, LH_INVALID,
                       "the id of a fenced document must be {_id: …}, with no other field");
    return LH_OK;
}

int lh_fenced_read(lh_lease *lease, mongoc_collection_t *collection, const bson_t *id, int flags,
                   bson_t *ret_document, lh_error *error)
{
    fencing f = {.what = "fence the document",
                 .lease = lease,
                 .collection = collection,
                 .create = flags == LH_FENCED_CREATE,
                 .whole = ret_document != NULL,
                 .error = error};
    int outcome = check(lease, collection, id, &f.id, error);
    if (outcome != LH_OK)
        return outcome;
    if (flags & ~LH_FENCED_CREATE)
        return lh_fail(error, LH_INVALID, "flags is %d: it must be 0 or LH_FENCED_CREATE", flags);
    bson_t update = BSON_INITIALIZER, nothing = BSON_INITIALIZER;
    add_to_operators(&nothing, fence_of(lease), &update);
    f.update = &update;
    outcome = run(&f, ret_document);
    bson_destroy(&update);
    return outcome;
}

int lh_fenced_write(lh_lease *lease, mongoc_collection_t *collection, const bson_t *id,
                    const bson_t *update, bson_t *ret_document, lh_error *error)
{
    fencing f = {.what = "write the document",
                 .lease = lease,
                 .collection = collection,
                 .whole = ret_document != NULL,
                 .error = error};
    int outcome = check(lease, collection, id, &f.id, error);
    if (outcome != LH_OK)
        return outcome;
    if (!update || bson_empty(update))
        return lh_fail(
            error, LH_INVALID,
            "the update is empty, and would empty the document: give at least one change");
    bson_t fenced = BSON_INITIALIZER;
    f.pipeline = add_fence(update, fence_of(lease), &fenced);
    f.update = &fenced;
    outcome = run(&f, ret_document);
    bson_destroy(&fenced);
    return outcome;
}

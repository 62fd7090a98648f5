/* SPDX-License-Identifier: Apache-2.0
 * Home of invariant 9: one document per key, and no grant before this store has seen the unique
 * index. */
#include "store/index.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/shell.h"
#include "store/index_shape.h"
#include "store/index_ttl.h"
#include "store/store_refused.h"
#include "store/store_run.h"

#define KIND_ROOM 160

typedef struct {
    lh_index_state state;
    bool collated;   /* the collection has a default collation: a query for "a" would find "A" */
    char wrong[256]; /* the fault of the index with our name; "": none */
    const lh_store *store;
    bool deletes; /* an index makes the server delete held leases: `ttl` describes it */
    lh_ttl ttl;
} finding;

static int judge_index(void *arg, const bson_t *index)
{
    finding *found = arg;
    bson_iter_t value;
    const char *name = bson_iter_init_find(&value, index, "name") && BSON_ITER_HOLDS_UTF8(&value)
                           ? bson_iter_utf8(&value, NULL)
                           : "";
    bool ours = strcmp(name, LH_INDEX_NAME) == 0, on_key = lh_index_is_on_key(index),
         unique = lh_index_is_true(index, "unique");
    const char *unfit = lh_index_unfit_option(index);
    /* this index has the collection's default collation */
    if (strcmp(name, "_id_") == 0 && bson_iter_init_find(&value, index, "collation"))
        found->collated = true;
    if (!found->deletes)
        found->deletes = lh_index_judge_ttl(found->store, index, &found->ttl) == LH_TTL_UNSAFE;
    if (on_key && unique && !unfit) { /* any name will do */
        found->state = LH_INDEX_STATE_RIGHT;
    } else if (ours && !on_key) {
        (void)snprintf(found->wrong, sizeof found->wrong,
                       "is on other fields than {workspace_id: 1}");
    } else if (ours && unfit) {
        (void)snprintf(found->wrong, sizeof found->wrong, "has %s", unfit);
    } else if (ours && found->state != LH_INDEX_STATE_RIGHT) {
        found->state = LH_INDEX_STATE_PLAIN;
    }
    return 0;
}

int lh_index_look(lh_store *store, int64_t deadline, lh_index_state *ret_state, lh_error *error)
{
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&command, "listIndexes", store->collection);
    BSON_APPEND_BOOL(&command, "includeBuildUUIDs",
                     /* so that an index under construction does not look complete */
                     true);
    finding found = {.state = LH_INDEX_STATE_NONE, .store = store};
    lh_error mine = LH_ERROR_INIT;
    lh_call call = {.what = "list the indexes",
                    .command = &command,
                    .deadline = deadline,
                    .kind = LH_CALL_BARE};
    int outcome = lh_store_each(store, &call, judge_index, &found, &mine);
    bson_destroy(&command);
    if (outcome == LH_SERVER && mine.server_code == LH_MONGO_NAMESPACE_NOT_FOUND) {
        *ret_state = LH_INDEX_STATE_NO_COLLECTION;
        return LH_OK;
    }
    if (outcome != LH_OK) {
        lh_error_give(error, &mine);
        return outcome;
    }
    if (found.collated)
        return lh_fail(error, LH_REASON_COLLATION,
                       "%s.%s was created with a collation, by which two keys can count as equal: "
                       "leases need a collection without a collation",
                       store->db, store->collection);
    if (found.deletes)
        return lh_fail(error, LH_REASON_TTL_INDEX, "%s.%s: %s; %s", store->db, store->collection,
                       found.ttl.what, found.ttl.to_do);
    if (found.state != LH_INDEX_STATE_RIGHT && *found.wrong) {
        char drop[LH_CALL_ROOM];
        lh_shell_drop_index(store->db, store->collection, LH_INDEX_NAME, drop);
        return lh_fail(error, LH_REASON_NOT_UNIQUE,
                       "the index %s of %s.%s %s: drop it (%s) and migrate again", LH_INDEX_NAME,
                       store->db, store->collection, found.wrong, drop);
    }
    if (found.state == LH_INDEX_STATE_RIGHT)
        atomic_store(&store->index_seen, lh_clock_ms());
    *ret_state = found.state;
    return LH_OK;
}

int lh_index_is_empty(lh_store *store, int64_t deadline, bool *ret_empty, lh_error *error)
{
    bson_t reply, *command = BCON_NEW("find", BCON_UTF8(store->collection), "projection", "{",
                                      "_id", BCON_INT32(1), "}", "limit", BCON_INT32(1),
                                      "singleBatch", BCON_BOOL(true));
    lh_call call = {.what = "read the collection",
                    .command = command,
                    .deadline = deadline,
                    .kind = LH_CALL_READ};
    int outcome = lh_store_run(store, &call, &reply, NULL, error);
    bson_iter_t top, first;
    if (outcome == LH_OK)
        *ret_empty = !(bson_iter_init(&top, &reply) &&
                       bson_iter_find_descendant(&top, "cursor.firstBatch.0", &first));
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}

/* Writes to `arg` why the collection is unfit: the rest of a sentence that begins with its name. */
static int judge_kind(void *arg, const bson_t *entry)
{
    char *wrong = arg;
    bson_iter_t top, value;
    const char *type = "collection";
    if (bson_iter_init_find(&value, entry, "type") && BSON_ITER_HOLDS_UTF8(&value))
        type = bson_iter_utf8(&value, NULL);
    if (strcmp(type, "collection") != 0)
        (void)snprintf(wrong, KIND_ROOM, "is a %s",
                       strcmp(type, "timeseries") == 0 ? "time-series collection" : type);
    else if (bson_iter_init(&top, entry) &&
             bson_iter_find_descendant(&top, "options.capped", &value) && bson_iter_as_bool(&value))
        (void)snprintf(
            wrong, KIND_ROOM,
            "is a capped collection, from which the server removes the oldest documents");
    else if (bson_iter_init(&top, entry) &&
             bson_iter_find_descendant(&top, "options.collation", &value))
        (void)snprintf(wrong, KIND_ROOM, "has a collation, by which two keys can count as equal");
    else if (bson_iter_init(&top, entry) &&
             bson_iter_find_descendant(&top, "options.expireAfterSeconds", &value))
        (void)snprintf(wrong, KIND_ROOM,
                       "is a collection whose documents the server deletes (expireAfterSeconds)");
    return 0;
}

int lh_index_check_collection(lh_store *store, int64_t deadline, lh_error *error)
{
    char wrong[KIND_ROOM] = "";
    bson_t *command = BCON_NEW("listCollections", BCON_INT32(1), "filter", "{", "name",
                               BCON_UTF8(store->collection), "}");
    lh_call call = {.what = "look at the collection",
                    .command = command,
                    .deadline = deadline,
                    .kind = LH_CALL_BARE};
    int outcome = lh_store_each(store, &call, judge_kind, wrong, error);
    bson_destroy(command);
    if (outcome == LH_OK && *wrong)
        return lh_fail(error, LH_REASON_COLLECTION,
                       "%s.%s %s. Leases need an ordinary collection: name another collection, or "
                       "create this one again",
                       store->db, store->collection, wrong);
    return outcome;
}

int lh_index_create_on_empty(lh_store *store, int64_t deadline, lh_error *error)
{
    bool empty = true;
    int outcome = lh_index_check_collection(store, deadline, error);
    if (outcome == LH_OK ||
        outcome ==
            LH_DENIED) /* a user without the right to list collections goes without this check */
        outcome = lh_index_is_empty(store, deadline, &empty, error);
    if (outcome != LH_OK)
        return outcome;
    if (!empty) {
        /* another client may have created it since the last look, and got a first lease */
        lh_index_state state;
        outcome = lh_index_look(store, deadline, &state, error);
        if (outcome != LH_OK || state == LH_INDEX_STATE_RIGHT)
            return outcome;
        return lh_fail(
            error, LH_REASON_INDEX,
            "%s.%s has documents but no unique index on workspace_id, so no lease can be "
            "granted: run the "
            "migration (leasehold migrate)",
            store->db, store->collection);
    }
    bson_t reply, *command = BCON_NEW("createIndexes", BCON_UTF8(store->collection), "indexes", "[",
                                      "{", "key", "{", "workspace_id", BCON_INT32(1), "}", "name",
                                      BCON_UTF8(LH_INDEX_NAME), "unique", BCON_BOOL(true),
                                      "collation", "{", "locale", "simple", "}", "}", "]");
    lh_call call = {.what = "create the unique index", .command = command, .deadline = deadline};
    outcome = lh_store_run(store, &call, &reply, NULL, error);
    bson_destroy(command);
    bson_destroy(&reply);
    if (outcome == LH_OK)
        atomic_store(&store->index_seen, lh_clock_ms());
    return outcome;
}

int lh_index_require(lh_store *store, int64_t max_age_ms, int64_t deadline, lh_error *error)
{
    int64_t seen = atomic_load(&store->index_seen);
    if (seen != 0 && lh_clock_ms() - seen <= max_age_ms)
        return LH_OK;
    lh_index_state state;
    int outcome = lh_index_look(store, deadline, &state, error);
    if (outcome == LH_OK && state == LH_INDEX_STATE_PLAIN)
        return lh_fail(error, LH_REASON_NOT_UNIQUE,
                       "the index %s of %s.%s is not unique yet, so no lease can be granted: run "
                       "the migration (leasehold migrate)",
                       LH_INDEX_NAME, store->db, store->collection);
    if (outcome == LH_OK && state != LH_INDEX_STATE_RIGHT)
        outcome = lh_index_create_on_empty(store, deadline, error);
    return outcome;
}

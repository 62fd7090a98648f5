/* SPDX-License-Identifier: Apache-2.0
 * The migration's commands about the collection and its index: create the index, prepare it, make
 * it unique. They wait for open transactions, and block other operations for a moment. So each may
 * take until the migration's deadline (`slow`). All of them may be repeated. */
#include "migrate/migrate_index.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/shell.h"
#include "migrate/migrate_parts.h"
#include "store/index_shape.h"
#include "store/store_refused.h"
#include "store/store_run.h"

enum {
    CODE_INVALID_OPTIONS = 72,
    CODE_BUILD_IN_PROGRESS = 12587,
    CODE_INDEX_KEY_SPECS_CONFLICT = 86,
    CODE_OPERATION_IN_PROGRESS = 117,
    CODE_INDEX_BUILD_ABORTED = 276,
    CODE_INDEX_EXISTS_ALREADY = 68,
    CODE_CANNOT_CONVERT_TO_UNIQUE = 359,
    CODE_FAILED_TO_PARSE = 9,
    CODE_COMMAND_NOT_FOUND = 59,
    CODE_UNKNOWN_FIELD = 40415,
};

#define UNFIT_ROOM 128

static int fail_moved(const lh_error *why, lh_error *error)
{
    return lh_fail(error, LH_LOST, "the index changed meanwhile: %.400s", why->message);
}

static int fail_busy(const lh_error *why, lh_error *error)
{
    return lh_fail(error, LH_BUSY, "another index is being built: %.400s", why->message);
}

static int64_t number_of(const bson_t *reply, const char *field)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, reply, field) ? bson_iter_as_int64(&value) : -1;
}

int lh_migrate_create(lh_migration *m, bool unique, bool *ret_there, lh_error *error)
{
    bson_t *command =
        BCON_NEW("createIndexes", BCON_UTF8(m->store->collection), "indexes", "[", "{", "key", "{",
                 "workspace_id", BCON_INT32(1), "}", "name", LH_INDEX_NAME, "unique",
                 BCON_BOOL(unique), "collation", "{", "locale", "simple", "}", "}", "]");
    if (atomic_load(&m->store->topology) == LH_TOPOLOGY_SET)
        BSON_APPEND_UTF8(command, "commitQuorum", "majority");
    lh_error mine = LH_ERROR_INIT;
    bson_t reply;
    lh_call call = {
        .what = "create the index", .command = command, .deadline = m->deadline, .slow = true};
    int outcome = lh_store_run(m->store, &call, &reply, NULL, &mine);
    if (outcome == LH_OK)
        *ret_there = number_of(&reply, "numIndexesBefore") == number_of(&reply, "numIndexesAfter");
    bson_destroy(command);
    bson_destroy(&reply);
    if (outcome != LH_OK) {
        switch (mine.server_code) {
        case LH_MONGO_NAMESPACE_NOT_FOUND:
        case LH_MONGO_INDEX_OPTIONS_CONFLICT:
        case CODE_INDEX_KEY_SPECS_CONFLICT:
        case CODE_INDEX_EXISTS_ALREADY:
        case CODE_INDEX_BUILD_ABORTED:
            return fail_moved(&mine, error);
        case CODE_OPERATION_IN_PROGRESS:
        case CODE_BUILD_IN_PROGRESS:
            return fail_busy(&mine, error);
        default:
            break;
        }
    }
    if (outcome != LH_OK)
        lh_error_give(error, &mine);
    return outcome;
}

/* Keeps the name of an index on the key whose options prevent a unique one beside it. */
static int find_unfit(void *arg, const bson_t *index)
{
    char *unfit = arg;
    bson_iter_t name;
    if (lh_index_is_on_key(index) && lh_index_unfit_option(index) &&
        bson_iter_init_find(&name, index, "name") && BSON_ITER_HOLDS_UTF8(&name))
        (void)snprintf(unfit, UNFIT_ROOM, "%s", bson_iter_utf8(&name, NULL));
    return 0;
}

int lh_migrate_fail_moved(lh_migration *m, lh_error *error)
{
    char unfit[UNFIT_ROOM] = "";
    bson_t *command = BCON_NEW("listIndexes", BCON_UTF8(m->store->collection));
    lh_call call = {.what = "list the indexes",
                    .command = command,
                    .deadline = lh_migrate_until(m),
                    .kind = LH_CALL_BARE};
    int outcome = lh_store_each(m->store, &call, find_unfit, unfit, error);
    bson_destroy(command);
    if (outcome != LH_OK)
        return outcome == LH_SERVER ? LH_LOST : outcome;
    if (!*unfit)
        return lh_fail(error, LH_LOST, "another process created an index at the same time");
    char drop[LH_CALL_ROOM];
    lh_shell_drop_index(m->store->db, m->store->collection, unfit, drop);
    return lh_fail(error, LH_REASON_NOT_UNIQUE,
                   "the options of the index %.128s on workspace_id of %s.%s prevent the unique "
                   "index: drop it "
                   "(%s) and migrate again",
                   unfit, m->store->db, m->store->collection, drop);
}

/* collMod {index: {name, <option>: true}} */
static int modify(lh_migration *m, const char *option, const char *what, lh_error *error)
{
    bson_t reply, *command = BCON_NEW("collMod", BCON_UTF8(m->store->collection), "index", "{",
                                      "name", BCON_UTF8(m->index), option, BCON_BOOL(true), "}");
    lh_error mine = LH_ERROR_INIT;
    lh_call call = {.what = what, .command = command, .deadline = m->deadline, .slow = true};
    int outcome = lh_store_run(m->store, &call, &reply, NULL, &mine);
    bson_destroy(command);
    bson_destroy(&reply);
    if (outcome != LH_OK) {
        switch (mine.server_code) {
        case LH_MONGO_NAMESPACE_NOT_FOUND:
        case LH_MONGO_INDEX_NOT_FOUND:
            return fail_moved(&mine, error);
        case CODE_OPERATION_IN_PROGRESS:
        case CODE_BUILD_IN_PROGRESS:
            return fail_busy(&mine, error);
        /* if the user may not read the version, this is the first sign of it */
        case CODE_INVALID_OPTIONS:
            if (strstr(mine.message, "does not support converting"))
                return lh_store_fail_old_compatibility(NULL, error);
            break;
        case CODE_COMMAND_NOT_FOUND:
        case CODE_UNKNOWN_FIELD:
        case CODE_FAILED_TO_PARSE:
        case LH_MONGO_BAD_VALUE:
            return lh_fail(error, LH_REASON_PRIVILEGE,
                           "the server refused to %s: this needs a MongoDB whose collMod has %s, "
                           "and the privilege \"collMod\" on %s.%s: %.200s",
                           what, option, m->store->db, m->store->collection, mine.message);
        default:
            break;
        }
    }
    if (outcome != LH_OK)
        lh_error_give(error, &mine);
    return outcome;
}

int lh_migrate_prepare(lh_migration *m, lh_error *error)
{
    lh_assert(m->held && *m->index);
    return modify(m, "prepareUnique", "prepare the index (prepareUnique)", error);
}

int lh_migrate_make_unique(lh_migration *m, bool *ret_done, lh_error *error)
{
    lh_assert(m->held);
    lh_error mine = LH_ERROR_INIT;
    int outcome = modify(m, "unique", "make the index unique", &mine);
    *ret_done = outcome == LH_OK;
    if (outcome == LH_SERVER && mine.server_code == CODE_CANNOT_CONVERT_TO_UNIQUE)
        return LH_OK;
    /* another process cleared prepareUnique */
    if (outcome == LH_SERVER && mine.server_code == CODE_INVALID_OPTIONS)
        return fail_moved(&mine, error);
    if (outcome != LH_OK)
        lh_error_give(error, &mine);
    return outcome;
}

void lh_migrate_count(lh_migration *m)
{
    bson_t reply, *command = BCON_NEW("count", BCON_UTF8(m->store->collection));
    lh_call call = {.what = "count the documents",
                    .command = command,
                    .deadline = lh_migrate_until(m),
                    .kind = LH_CALL_BARE};
    if (lh_store_run(m->store, &call, &reply, NULL, NULL) == LH_OK) {
        int64_t n = number_of(&reply, "n");
        m->total = n > 0 ? (uint64_t)n : 0;
    }
    bson_destroy(command);
    bson_destroy(&reply);
}

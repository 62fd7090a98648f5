/* SPDX-License-Identifier: Apache-2.0
 * Records the state of the index before the migration, and restores it. A refusal leaves everything
 * as it was. Nearly all refusals are decided before the first change. For the others, and for a run
 * that was killed, the migration lease stores what to undo.
 *
 * Only the holder of that lease undoes anything. A process that lost the lease while it was paused
 * finds the index gone, or not prepared, and begins again. */
#include "migrate/migrate_undo.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "migrate/migrate_lease.h"
#include "migrate/migrate_parts.h"
#include "store/index_shape.h"
#include "store/store.h"
#include "store/store_refused.h"
#include "store/store_run.h"

typedef struct {
    char ours[128], other[128], unique[128]; /* names of the indexes on the key; "": none */
    bool ours_prepared, other_prepared;
} survey;

static int note_index(void *arg, const bson_t *index)
{
    survey *s = arg;
    bson_iter_t value;
    if (!lh_index_is_on_key(index) || lh_index_unfit_option(index) ||
        !bson_iter_init_find(&value, index, "name") || !BSON_ITER_HOLDS_UTF8(&value))
        return 0;
    const char *name = bson_iter_utf8(&value, NULL);
    bool ours = strcmp(name, LH_INDEX_NAME) == 0, unique = lh_index_is_true(index, "unique");
    (void)snprintf(unique ? s->unique : ours ? s->ours : s->other, sizeof s->ours, "%s", name);
    if (!unique)
        *(ours ? &s->ours_prepared : &s->other_prepared) = lh_index_is_true(index, "prepareUnique");
    return 0;
}

static int list_indexes(lh_migration *m, survey *ret_survey, lh_error *error)
{
    *ret_survey = (survey){0};
    bson_t *command = BCON_NEW("listIndexes", BCON_UTF8(m->store->collection));
    lh_call call = {.what = "list the indexes",
                    .command = command,
                    .deadline = lh_migrate_until(m),
                    .kind = LH_CALL_BARE};
    int outcome = lh_store_each(m->store, &call, note_index, ret_survey, error);
    bson_destroy(command);
    return outcome == LH_SERVER ? LH_LOST : outcome; /* the collection is gone */
}

int lh_migrate_name_index(lh_migration *m, lh_error *error)
{
    survey found;
    int outcome = list_indexes(m, &found, error);
    if (outcome == LH_OK && !*found.unique)
        return lh_fail(error, LH_LOST, "the unique index was removed");
    if (outcome == LH_OK)
        memcpy(m->index, found.unique, sizeof m->index);
    return outcome;
}

int lh_migrate_choose(lh_migration *m, bool *ret_there, lh_error *error)
{
    survey found;
    int outcome = list_indexes(m, &found, error);
    if (outcome != LH_OK)
        return outcome;
    *ret_there = *found.ours || *found.other;
    (void)snprintf(m->index, sizeof m->index, "%s",
                   *found.other && !*found.ours ? found.other : LH_INDEX_NAME);
    bool prepared = *found.ours ? found.ours_prepared : found.other_prepared;
    if (!*ret_there)
        m->undo.drop = true;
    else if (!prepared && !(*found.ours && m->undo.drop))
        memcpy(m->undo.unprepare, m->index, sizeof m->undo.unprepare);
    return m->undo.drop || *m->undo.unprepare ? lh_migrate_lease_note(m, error) : LH_OK;
}

/* Runs the command. An index or a collection that does not exist is not an error. */
static int put_back(lh_migration *m, const char *what, bson_t *command, lh_error *error)
{
    bson_t reply;
    lh_error mine = LH_ERROR_INIT;
    lh_call call = {
        .what = what, .command = command, .deadline = lh_store_deadline(m->store, 0), .slow = true};
    int outcome = lh_store_run(m->store, &call, &reply, NULL, &mine);
    bson_destroy(command);
    bson_destroy(&reply);
    if (outcome == LH_SERVER && (mine.server_code == LH_MONGO_NAMESPACE_NOT_FOUND ||
                                 mine.server_code == LH_MONGO_INDEX_NOT_FOUND))
        return LH_OK;
    if (outcome != LH_OK)
        lh_error_give(error, &mine);
    return outcome;
}

int lh_migrate_undo(lh_migration *m, lh_error *error)
{
    survey found;
    int outcome = m->held ? LH_OK : lh_migrate_lease_ask(m, error);
    if (outcome != LH_OK || !m->held || (!m->undo.drop && !*m->undo.unprepare))
        return outcome;
    outcome = list_indexes(m, &found, error);
    const char *name = m->undo.unprepare;
    bool drop = m->undo.drop && *found.ours,
         unprepare = *name && ((strcmp(name, found.ours) == 0 && found.ours_prepared && !drop) ||
                               (strcmp(name, found.other) == 0 && found.other_prepared));
    if (outcome == LH_OK && drop)
        outcome = put_back(
            m, "remove the index that the migration made",
            BCON_NEW("dropIndexes", BCON_UTF8(m->store->collection), "index", LH_INDEX_NAME),
            error);
    if (outcome == LH_OK && unprepare)
        outcome =
            put_back(m, "restore the index",
                     BCON_NEW("collMod", BCON_UTF8(m->store->collection), "index", "{", "name",
                              BCON_UTF8(name), "prepareUnique", BCON_BOOL(false), "}"),
                     error);
    if (outcome == LH_OK || outcome == LH_LOST)
        m->undo = (lh_undo){0};
    return outcome == LH_LOST ? LH_OK : outcome;
}

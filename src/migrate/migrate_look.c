/* SPDX-License-Identifier: Apache-2.0
 * The checks before the migration: what the collection contains, and whether to refuse it because a
 * migration would harm documents or their owners. All of this is decided before the first
 * change. */
#include "migrate/migrate_look.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "migrate/migrate_foreign.h"
#include "migrate/migrate_index.h"
#include "migrate/migrate_parts.h"
#include "migrate/migrate_survey.h"
#include "store/store_run.h"

/* ---- The look ---------------------------------------------------------------------------------*/

int lh_migrate_read_clock(lh_migration *m, lh_error *error)
{
    bson_t reply, *command = BCON_NEW("hello", BCON_INT32(1));
    lh_call call = {.what = "read the server's clock",
                    .command = command,
                    .deadline = lh_migrate_until(m),
                    .kind = LH_CALL_BARE};
    int64_t sent = 0;
    int outcome = lh_store_run(m->store, &call, &reply, &sent, error);
    bson_iter_t now;
    if (outcome == LH_OK && bson_iter_init_find(&now, &reply, "localTime") &&
        BSON_ITER_HOLDS_DATE_TIME(&now)) {
        m->server_ms = bson_iter_date_time(&now);
        m->at_ms = sent;
    }
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}

/* {$expr: {<compare>: [{$type: "$workspace_id"}, "string"]}}. The $type of the query language would
 * match the elements of arrays too. The hint on _id is for servers that refuse to scan a collection
 * (notablescan). */
static void append_type_filter(bson_t *command, const char *compare)
{
    bson_t filter, expr;
    BCON_APPEND(command, "hint", "{", "_id", BCON_INT32(1), "}");
    BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &filter);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "$expr", &expr);
    BCON_APPEND(&expr, compare, "[", "{", "$type", "$workspace_id", "}", "string", "]");
    bson_append_document_end(&filter, &expr);
    bson_append_document_end(command, &filter);
}

/* Whether any document has a string key. In a collection of leases the first one does. */
static int find_string_key(lh_migration *m, bool *ret_there, lh_error *error)
{
    bson_t reply, *command = BCON_NEW("find", BCON_UTF8(m->store->collection), "projection", "{",
                                      "_id", BCON_INT32(1), "}", "limit", BCON_INT32(1),
                                      "singleBatch", BCON_BOOL(true));
    append_type_filter(command, "$eq");
    lh_call call = {.what = "read the documents",
                    .command = command,
                    .deadline = m->deadline,
                    .kind = LH_CALL_READ,
                    .slow = true};
    int outcome = lh_store_run(m->store, &call, &reply, NULL, error);
    bson_iter_t top, first;
    *ret_there = outcome == LH_OK && bson_iter_init(&top, &reply) &&
                 bson_iter_find_descendant(&top, "cursor.firstBatch.0", &first);
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}

typedef struct {
    lh_migration *m;
    bson_t last;
    uint64_t n;
    int outcome;
    lh_error *error;
} look;

static int look_at(void *arg, const bson_t *document)
{
    look *l = arg;
    lh_migrate_count_unreadable(l->m, document);
    lh_foreign_neighbour(l->m, &l->last, document);
    if (++l->n % LH_MIGRATE_PIECE == 0)
        l->outcome = lh_migrate_progress(l->m, "look", l->n, l->m->total, l->error);
    return l->outcome == LH_OK ? 0 : 1;
}

/* Reads only the documents without a string key. That is enough to decide if duplicates are moved
 * in any case. */
static int look_for_foreign(lh_migration *m, lh_error *error)
{
    lh_walk none;
    lh_walk_begin(m, &none);
    m->report->scanned = m->total;
    int outcome = find_string_key(m, &m->has_string_keys, error);
    if (outcome != LH_OK)
        return outcome;
    look l = {.m = m, .outcome = LH_OK, .error = error};
    bson_init(&l.last);
    bson_t *command = BCON_NEW("find", BCON_UTF8(m->store->collection), "sort", "{", "workspace_id",
                               BCON_INT32(1), "}", "batchSize", BCON_INT32(LH_MIGRATE_PIECE),
                               "allowDiskUse", BCON_BOOL(true));
    append_type_filter(command, "$ne");
    lh_error mine = LH_ERROR_INIT;
    lh_call call = {.what = "read the documents",
                    .command = command,
                    .deadline = m->deadline,
                    .kind = LH_CALL_READ,
                    .slow = true};
    outcome = lh_store_each(m->store, &call, look_at, &l, &mine);
    bson_destroy(command);
    bson_destroy(&l.last);
    if (l.outcome != LH_OK)
        return l.outcome;
    if (outcome != LH_OK)
        lh_error_give(error, &mine);
    return outcome;
}

/* ---- The refusals -----------------------------------------------------------------------------*/

/* "objectId 2, int 1" */
static const char *list_types(const lh_migration *m, char *text, size_t size)
{
    size_t len = 0;
    *text = '\0';
    for (int type = 0; type < LH_KEY_TYPES; type++)
        if (m->report->foreign[type] > 0 && len < size)
            len += (size_t)snprintf(text + len, size - len, "%s%s %" PRIu64, len > 0 ? ", " : "",
                                    lh_key_type_word(type), m->report->foreign[type]);
    return text;
}

static int fail_not_ours(const lh_migration *m, lh_error *error)
{
    char types[200];
    return lh_fail(error, LH_REASON_FOREIGN_KEYS,
                   "%s.%s does not look like a collection of leases: no document has a "
                   "workspace_id that is a string (%s). Name another collection, or, if this is "
                   "the right one, use --adopt (adopt)",
                   m->store->db, m->store->collection, list_types(m, types, sizeof types));
}

const char *lh_migrate_flags(const lh_migration *m, char text[LH_FLAGS_ROOM])
{
    const lh_migrate_options *o = m->options;
    char archive[LH_WORD_ROOM] = "";
    if (o->archive)
        (void)lh_shell_quote(" --archive ", o->archive, archive, sizeof archive);
    (void)snprintf(text, LH_FLAGS_ROOM, "%s%s%s", o->adopt ? " --adopt" : "",
                   o->no_archive ? " --no-archive" : "", archive);
    return text;
}

/* The other flags that a run with --quarantine would need. */
static const char *list_flags(const lh_migration *m, char *text, size_t size)
{
    char same[LH_FLAGS_ROOM];
    (void)snprintf(text, size, "%s%s%s", m->bad_live > 0 ? " --even-live" : "",
                   m->report->malformed > m->report->scanned / 2 ? " --even-most" : "",
                   lh_migrate_flags(m, same));
    return text;
}

int lh_migrate_fail_bad_keys(const lh_migration *m, lh_error *error)
{
    char types[200], flags[LH_FLAGS_ROOM + 32];
    return lh_fail(
        error, LH_REASON_FOREIGN_KEYS,
        "%" PRIu64 " documents of %s.%s have a workspace_id that is not a string (%s; one has the "
                   "_id %s) and prevent the unique index: correct them, or run `leasehold migrate "
                   "--yes --quarantine%s`, which moves them to %s",
        m->bad_keys, m->store->db, m->store->collection, list_types(m, types, sizeof types),
        m->bad_example, list_flags(m, flags, sizeof flags),
        m->options->no_archive ? "nowhere" : m->archive);
}

static int fail_live(const lh_migration *m, lh_error *error)
{
    char same[LH_FLAGS_ROOM];
    char types[200], flags[LH_FLAGS_ROOM + 32];
    return lh_fail(
        error, LH_REASON_FOREIGN_KEYS,
        "%" PRIu64 " documents of %s.%s have a workspace_id that is not a string (%s), and %" PRIu64
        " of them are live (one has the _id %s): a lease on the same id as a string would be "
        "granted while they are live. Wait until they have ended, run `leasehold migrate --yes "
        "--quarantine%s`, which moves them to %s, or run `leasehold migrate%s "
        "--accept-foreign-keys%s`, which leaves them",
        m->bad_keys, m->store->db, m->store->collection, list_types(m, types, sizeof types),
        m->report->foreign_live, m->live_example, list_flags(m, flags, sizeof flags),
        m->options->no_archive ? "nowhere" : m->archive, m->options->remove ? " --yes" : "",
        lh_migrate_flags(m, same));
}

/* Refuses to move live documents, or most of the collection, unless the caller allowed it. */
static int judge_quarantine(const lh_migration *m, lh_error *error)
{
    if (m->bad_live > 0 && !m->options->even_live)
        return lh_fail(error, LH_CONFIG,
                       "%" PRIu64 " of the %" PRIu64
                       " documents of %s.%s that cannot be read are live: their end is in the "
                       "future, or not known (one has the _id %s). Wait until they have ended, or "
                       "move them too with --even-live (even_live)",
                       m->bad_live, m->report->malformed, m->store->db, m->store->collection,
                       m->live_example);
    if (m->report->malformed > m->report->scanned / 2 && !m->options->even_most)
        return lh_fail(error, LH_CONFIG,
                       "%" PRIu64 " of the %" PRIu64
                       " documents of %s.%s cannot be read, and would be moved to %s: that is more "
                       "than half. To move them anyway, use --even-most (even_most)",
                       m->report->malformed, m->report->scanned, m->store->db, m->store->collection,
                       m->archive);
    return LH_OK;
}

static int judge(const lh_migration *m, lh_error *error)
{
    if (m->bad_keys > 0 && !m->has_string_keys && !m->options->adopt && !m->indexed)
        return fail_not_ours(m, error);
    if (m->options->quarantine)
        return judge_quarantine(m, error);
    if (m->blocking > 0)
        return lh_migrate_fail_bad_keys(m, error);
    return m->report->foreign_live > 0 && !m->options->accept_foreign_keys ? fail_live(m, error)
                                                                           : LH_OK;
}

int lh_migrate_look(lh_migration *m, bool verdicts, lh_walk *ret_walk, lh_error *error)
{
    bool all = verdicts || m->indexed || !m->options->remove || m->options->quarantine;
    *ret_walk = (lh_walk){0};
    lh_migrate_count(m);
    int outcome = lh_migrate_read_clock(m, error);
    if (outcome == LH_OK && !all)
        outcome = look_for_foreign(m, error);
    /* it is refused: read all documents, so that the message has all numbers */
    if (outcome == LH_OK && !all && judge(m, NULL) != LH_OK)
        all = true;
    if (outcome == LH_OK && all)
        outcome = lh_migrate_survey(m, verdicts, ret_walk, error);
    if (outcome == LH_SERVER) /* the collection may be gone, so look again */
        return LH_LOST;
    if (outcome == LH_OK)
        outcome = judge(m, error);
    m->may_move = !m->options->quarantine ? 0
                  : m->options->even_most ? UINT64_MAX
                                          : m->report->malformed;
    return outcome;
}

/* The largest number of that name at any depth; -1: none. */
static int64_t find_number(bson_iter_t *in, const char *name)
{
    int64_t most = -1;
    while (bson_iter_next(in)) {
        bson_iter_t inner;
        int64_t n = -1;
        if (strcmp(bson_iter_key(in), name) == 0)
            n = bson_iter_as_int64(in);
        else if ((BSON_ITER_HOLDS_DOCUMENT(in) || BSON_ITER_HOLDS_ARRAY(in)) &&
                 bson_iter_recurse(in, &inner))
            n = find_number(&inner, name);
        most = n > most ? n : most;
    }
    return most;
}

static int64_t number_within(const bson_t *reply, const char *name)
{
    bson_iter_t in;
    return bson_iter_init(&in, reply) ? find_number(&in, name) : -1;
}

/* A few keys of the unique index show whether there may be documents without a string key: the keys
 * before and after all strings, and whether the index has ever had an array (whose elements sort
 * among the strings). */
int lh_migrate_probe(lh_migration *m, bool *ret_maybe, lh_error *error)
{
    bson_t reply,
        *command = BCON_NEW("explain", "{", "find", BCON_UTF8(m->store->collection), "filter", "{",
                            "$nor", "[", "{", "workspace_id", "{", "$gte", "", "}", "}", "]", "}",
                            "limit", BCON_INT32(1), "}", "verbosity", "executionStats");
    lh_call call = {.what = "look for keys that are not strings",
                    .command = command,
                    .deadline = lh_migrate_until(m),
                    .kind = LH_CALL_BARE};
    int outcome = lh_store_run(m->store, &call, &reply, NULL, error);
    *ret_maybe = outcome == LH_OK && (number_within(&reply, "nReturned") != 0 ||
                                      number_within(&reply, "isMultiKey") != 0);
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}

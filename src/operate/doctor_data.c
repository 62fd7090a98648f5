/* SPDX-License-Identifier: Apache-2.0
 * The doctor: checks the collection, its unique index, and the stored documents. */
#include "operate/doctor_data.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/shell.h"
#include "migrate/fit.h"
#include "operate/doctor.h"
#include "operate/doctor_finding.h"
#include "protocol/doc_tally.h"
#include "store/index.h"
#include "store/index_ttl.h"
#include "store/store_refused.h"
#include "store/store_run.h"

/* ended this long ago, and neither released nor taken over since */
#define LEAKED_MS     (24 * 3600 * INT64_C(1000))
#define EXAMPLES      3
#define EXAMPLE_ROOM  80
#define PROBLEMS_ROOM 200

/* ---- The index --------------------------------------------------------------------------------*/

static void report_index(lh_doctor_state *d, const char *what)
{
    lh_doctor_report(
        d, (lh_kind){"index", LH_SEVERITY_ERROR, LH_CONFIG}, 1,
        "fix this, then run the migration (leasehold migrate --dry-run shows what it would do)",
        "%s", what);
}

/* Reports duplicates, which are in the way of the index. A user who may not read everything only
 * gets the finding about the index. */
static int count_duplicates(lh_doctor_state *d)
{
    lh_migrate_options options = LH_MIGRATE_OPTIONS_INIT;
    lh_migrate_report report = LH_MIGRATE_REPORT_INIT;
    lh_error why = LH_ERROR_INIT;
    options.dry_run = true;
    int outcome = lh_migrate(d->store, &options, &report, &why);
    if ((outcome == LH_OK || outcome == LH_CONFIG) && report.duplicate_keys > 0)
        lh_doctor_report(d, (lh_kind){"duplicates", LH_SEVERITY_ERROR, LH_CONFIG},
                         report.duplicate_keys,
                         "run `leasehold migrate`: it keeps the document with the latest end of "
                         "each key, and moves the others to the archive",
                         "%" PRIu64 " %s more than one document, %" PRIu64 " too many in all",
                         report.duplicate_keys,
                         report.duplicate_keys == 1 ? "key has" : "keys have", report.removed);
    return outcome == LH_OK || outcome == LH_DENIED || outcome == LH_CONFIG
               ? LH_OK
               : lh_doctor_failed(d, &why);
}

typedef struct {
    lh_doctor_state *d;
    bool deletes; /* an index that deletes held leases was reported */
} others;

static void report_ttl(others *other, const bson_t *index)
{
    lh_ttl ttl;
    lh_ttl_kind kind = lh_index_judge_ttl(other->d->store, index, &ttl);
    if (kind == LH_TTL_UNSAFE)
        lh_doctor_report(other->d, (lh_kind){"ttl_index", LH_SEVERITY_ERROR, LH_CONFIG}, 1,
                         ttl.to_do, "%s: so nothing is granted", ttl.what);
    else if (kind == LH_TTL_LATE)
        lh_doctor_report(
            other->d, (lh_kind){"ttl_index", LH_SEVERITY_NOTE, LH_OK}, 1,
            "nothing, if you want this index: leasehold-upgrade(7) explains what happens to "
            "tokens. leasehold cleanup also removes keys that have been free for long",
            "%s, and the record of the last holder with it", ttl.what);
    other->deletes |= kind == LH_TTL_UNSAFE;
}

/* Reports other indexes that affect leases. Migrations leave them alone, since somebody created
 * them on purpose. */
static int look_at_index(void *arg, const bson_t *index)
{
    others *other = arg;
    bson_iter_t top, value;
    const char *name = bson_iter_init_find(&value, index, "name") && BSON_ITER_HOLDS_UTF8(&value)
                           ? bson_iter_utf8(&value, NULL)
                           : "";
    bool unique = bson_iter_init_find(&value, index, "unique") && bson_iter_as_bool(&value);
    bool on_key =
        bson_iter_init(&top, index) && bson_iter_find_descendant(&top, "key.workspace_id", &value);
    /* the collection is clustered by _id */
    bool clustered = bson_iter_init_find(&value, index, "clustered") && bson_iter_as_bool(&value);
    if (unique && !on_key && !clustered) {
        char call[LH_CALL_ROOM], to_do[LH_CALL_ROOM + 16];
        const lh_store *store = other->d->store;
        lh_shell_drop_index(store->db, store->collection, name, call);
        (void)snprintf(to_do, sizeof to_do, "drop it: %s", call);
        lh_doctor_report(
            other->d, (lh_kind){"other_index", LH_SEVERITY_ERROR, LH_CONFIG}, 1, to_do,
            "the unique index \"%.200s\" is not on workspace_id: it prevents new leases", name);
    }
    report_ttl(other, index);
    return other->d->stopped;
}

/* *ret_deletes: an index deletes leases that are held. */
static int look_at_others(lh_doctor_state *d, bool *ret_deletes)
{
    bson_t *command = BCON_NEW("listIndexes", BCON_UTF8(d->store->collection), "includeBuildUUIDs",
                               BCON_BOOL(true));
    lh_error why = LH_ERROR_INIT;
    others other = {.d = d};
    lh_call call = {.what = "list the indexes",
                    .command = command,
                    .deadline = d->deadline,
                    .kind = LH_CALL_BARE};
    int outcome = lh_store_each(d->store, &call, look_at_index, &other, &why);
    bson_destroy(command);
    *ret_deletes = other.deletes;
    bool missing = outcome == LH_SERVER && why.server_code == LH_MONGO_NAMESPACE_NOT_FOUND;
    return outcome == LH_OK || missing || d->stopped ? LH_OK : lh_doctor_failed(d, &why);
}

/* Checks the other conditions for leases. */
static int look_at_fit(lh_doctor_state *d)
{
    static const struct {
        const char *id, *what_to_do;
        int (*check)(lh_store *store, int64_t deadline, lh_error *error);
    } checks[] = {{"compatibility",
                   "finish the upgrade of all members, then set the feature compatibility version",
                   lh_fit_check_version},
                  {"validator", "make the validator accept these documents, or only warn",
                   lh_fit_check_validator}};
    int outcome = LH_OK;
    for (size_t i = 0; i < sizeof checks / sizeof *checks && outcome == LH_OK; i++) {
        lh_error why = LH_ERROR_INIT;
        outcome = checks[i].check(d->store, d->deadline, &why);
        if (outcome == LH_CONFIG)
            lh_doctor_report(d, (lh_kind){checks[i].id, LH_SEVERITY_ERROR, LH_CONFIG}, 1,
                             checks[i].what_to_do, "%s", why.message);
        outcome = outcome == LH_OK || outcome == LH_CONFIG ? LH_OK : lh_doctor_failed(d, &why);
    }
    return outcome;
}

int lh_doctor_index(lh_doctor_state *d)
{
    lh_error why = LH_ERROR_INIT;
    lh_index_state state = LH_INDEX_STATE_NONE;
    int outcome = lh_index_check_collection(d->store, d->deadline, &why);
    if (outcome == LH_CONFIG) {
        lh_doctor_report(
            d, (lh_kind){"collection", LH_SEVERITY_ERROR, LH_CONFIG}, 1,
            "create an ordinary collection without a collation, or name another (--collection)",
            "%s", why.message);
        return LH_OK; /* its index does not matter then */
    }
    bool deletes = false;
    /* the runtime role may not list collections, and need not */
    if (outcome == LH_OK || outcome == LH_DENIED)
        outcome = look_at_others(d, &deletes);
    else
        outcome = lh_doctor_failed(d, &why);
    if (outcome == LH_OK)
        outcome = look_at_fit(d);
    if (outcome != LH_OK || d->stopped)
        return outcome;
    outcome = lh_index_look(d->store, d->deadline, &state, &why);
    if (outcome == LH_CONFIG) {
        if (!deletes) /* else it was reported already */
            report_index(d, why.message);
        return LH_OK;
    }
    if (outcome != LH_OK)
        return lh_doctor_failed(d, &why);
    if (state == LH_INDEX_STATE_RIGHT)
        return LH_OK;
    char what[300];
    (void)snprintf(
        what, sizeof what, "%s.%s %s, so nothing is granted", d->store->db, d->store->collection,
        state == LH_INDEX_STATE_NO_COLLECTION ? "does not exist, and neither does its index"
        : state == LH_INDEX_STATE_PLAIN
            ? "has an index " LH_INDEX_NAME
              " that is not unique (a migration is running, or was interrupted)"
            : "has no unique index on workspace_id");
    report_index(d, what);
    return count_duplicates(d);
}

/* ---- The documents ----------------------------------------------------------------------------*/

enum { MALFORMED, ODD_KEY, NO_END, TOO_LONG, LEAKED, OLD, OTHER_ID, KINDS };

#define NAME_ROOM (4 * LH_KEY_MAX)

typedef struct {
    uint64_t n[KINDS];
    char examples[KINDS][EXAMPLES * EXAMPLE_ROOM];
    /* the first document, as words for a shell: its key, or --id and its _id */
    char names[KINDS][NAME_ROOM];
    lh_tally problems;
} tally;

/* As words of a command line. "" if it does not fit. */
static void set_name(char name[NAME_ROOM], bool is_id, const char *word)
{
    const char *before = is_id          ? "--id "
                         : *word == '-' ? "-- "
                                        : ""; /* a key could be taken for an option */
    (void)lh_shell_quote(before, word, name, NAME_ROOM);
}

/* Counts, and keeps the first few keys, truncated. */
static void count_as(tally *t, int kind, const char *key)
{
    char *list = t->examples[kind];
    size_t len = strlen(list);
    char cut[EXAMPLE_ROOM - 8];
    if (t->n[kind]++ >= EXAMPLES)
        return;
    (void)snprintf(cut, sizeof cut, "%s", key);
    lh_cut_utf8(cut, sizeof cut - 4);
    (void)snprintf(list + len, sizeof t->examples[kind] - len, "%s\"%s%s\"", len ? ", " : "", cut,
                   strlen(key) > strlen(cut) ? "…" : "");
}

static void count(tally *t, int kind, const lh_record *record)
{
    if (t->n[kind] == 0)
        set_name(t->names[kind], *record->id_json,
                 *record->id_json ? record->id_json : record->key);
    count_as(t, kind, record->key);
}

static void count_other_id(tally *t, const lh_record *record)
{
    char both[2 * LH_KEY_MAX + 32];
    (void)snprintf(both, sizeof both, "%s\" with the _id \"%s", record->key, record->document_id);
    count_as(t, OTHER_ID, both);
}

static int look_at(void *arg, const lh_record *record)
{
    tally *t = arg;
    const lh_holder *holder;
    int64_t longest = 0;
    if (*record->document_id)
        count_other_id(t, record);
    if (record->state == LH_MALFORMED) {
        count(t, MALFORMED, record);
        lh_tally_add(&t->problems, record->problem);
        return 0;
    }
    if (*record->id_json) {
        count(t, ODD_KEY, record);
        return 0;
    }
    for (size_t i = 0; (holder = lh_record_holder(record, i)); i++)
        if (holder->remaining_ms > longest)
            longest = holder->remaining_ms;
    if (longest == LH_NEVER)
        count(t, NO_END, record);
    else if (longest > LH_TTL_MAX_MS)
        count(t, TOO_LONG, record);
    if (record->expired && record->now_ms - record->released_at_ms > LEAKED_MS)
        count(t, LEAKED, record);
    if (record->token == 0)
        count(t, OLD, record);
    return 0;
}

/* `command` (NULL: none) is the command for the first document; its %s stands for the document's
 * name. */
static void report_kind(lh_doctor_state *d, const tally *t, int kind, lh_kind as,
                        const char *advice, const char *command, const char *what)
{
    uint64_t n = t->n[kind];
    char what_to_do[NAME_ROOM + 300];
    (void)snprintf(what_to_do, sizeof what_to_do, "%s", advice);
    for (const char *mark = command && *t->names[kind] ? strstr(command, "%s") : NULL; mark;
         mark = NULL) {
        size_t len = strlen(what_to_do);
        (void)snprintf(what_to_do + len, sizeof what_to_do - len, "%s%.*s%s%s",
                       n > 1 ? "; the first one: " : ": ", (int)(mark - command), command,
                       t->names[kind], mark + 2);
    }
    if (n > 0)
        lh_doctor_report(d, as, n, what_to_do, "%" PRIu64 " %s %s: %s%s", n,
                         n == 1 ? "document" : "documents", what, t->examples[kind],
                         n > EXAMPLES ? ", …" : "");
}

#define QUARANTINE "leasehold migrate --quarantine --even-live %s"
#define BREAK      "leasehold break --reason TEXT %s"

int lh_doctor_documents(lh_doctor_state *d)
{
    tally t = {0};
    lh_error why = LH_ERROR_INIT;
    lh_list_options options = LH_LIST_OPTIONS_INIT;
    options.free_too = true;
    int outcome = lh_list(d->store, &options, look_at, &t, &why);
    if (outcome != LH_OK)
        return lh_doctor_failed(d, &why);
    char problems[PROBLEMS_ROOM], what[PROBLEMS_ROOM + 64];
    lh_tally_text(&t.problems, problems, sizeof problems);
    (void)snprintf(what, sizeof what, "that cannot be read, and therefore treated as held (%s)",
                   problems);
    report_kind(d, &t, MALFORMED, (lh_kind){"malformed", LH_SEVERITY_ERROR, LH_DATA},
                "leasehold list --malformed shows what is wrong; correct the document, or move it "
                "to the archive",
                QUARANTINE, what);
    report_kind(
        d, &t, ODD_KEY, (lh_kind){"odd_key", LH_SEVERITY_WARNING, LH_OK},
        "no lease can have such a key, so they block nobody; if they are not needed, move them to "
        "the archive",
        QUARANTINE, "whose workspace_id is a string, but not a valid key");
    report_kind(
        d, &t, NO_END, (lh_kind){"no_end", LH_SEVERITY_WARNING, LH_OK},
        "change the older program to write an expires_at; if the key is no longer in use, break "
        "it",
        BREAK, "of older programs without an end, held until deleted or broken");
    report_kind(
        d, &t, TOO_LONG, (lh_kind){"too_long", LH_SEVERITY_WARNING, LH_OK},
        "check the clock and the unit (s, ms) of the program that wrote it; if the key is no "
        "longer in use, break it",
        BREAK, "with an end more than 7 days from now, longer than any lease of Leasehold lasts");
    report_kind(d, &t, LEAKED, (lh_kind){"leaked", LH_SEVERITY_WARNING, LH_OK},
                "leasehold cleanup removes them; make programs release their leases", NULL,
                "that ended a day ago or more, neither released nor taken over");
    report_kind(d, &t, OLD, (lh_kind){"no_token", LH_SEVERITY_NOTE, LH_OK},
                "nothing: their next grant gives them one; follow the rules for older code beside "
                "Leasehold (README)",
                NULL, "without a fencing token, from programs older than Leasehold");
    report_kind(
        d, &t, OTHER_ID, (lh_kind){"other_id", LH_SEVERITY_NOTE, LH_OK},
        "nothing: a key that equals such an _id can be granted too, in a document with another "
        "_id",
        NULL, "whose _id is a string other than the key (renamed in place, or another program's)");
    return LH_OK;
}

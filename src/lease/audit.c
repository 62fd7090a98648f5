/* SPDX-License-Identifier: Apache-2.0
 * Writes the audit trail. Home of this rule: no lease is returned without its entry.
 *
 * The entry of a grant is written after the grant, and before the lease is returned. If it cannot
 * be written in time, the callers of this file give the lease back. So the trail may have a grant
 * that no caller got, never the reverse. All other entries are written after their event, which is
 * valid without them. The entry of the next grant also records, from the document, how the previous
 * lease ended.
 *
 * Entries are only inserted: a backend needs no right to change or remove them. Their time is the
 * server's, taken from the reply to the event's own command. They never contain a lease id. */
#include "lease/audit.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/store.h"
#include "store/store_refused.h"
#include "store/store_run.h"

/* the time for an entry, in all; a reader of the trail looks back twice that far (audit_read.c) */
#define PATIENCE_MS 5000

static int64_t deadline_of(const lh_store *store)
{
    return lh_store_deadline(store,
                             store->timeout_ms < PATIENCE_MS ? store->timeout_ms : PATIENCE_MS);
}

static void append_text(bson_t *line, const char *name, const char *text)
{
    if (text && *text)
        BSON_APPEND_UTF8(line, name, text);
}

/* ---- Sending ----------------------------------------------------------------------------------*/

/* {_id, at, event, key, token, owner, host, pid, …}: the common fields. A unique _id reveals a
 * repeated insert. */
static void begin_line(const lh_store *store, bson_t *lines, uint32_t at, bson_t *ret_line,
                       const lh_audit_end *what)
{
    char room[16];
    const char *index;
    bson_oid_t id;
    bson_oid_init(&id, NULL);
    bson_uint32_to_string(at, &index, room, sizeof room);
    bson_append_document_begin(lines, index, -1, ret_line);
    BSON_APPEND_OID(ret_line, "_id", &id);
    BSON_APPEND_DATE_TIME(ret_line, "at", what->at_ms);
    BSON_APPEND_UTF8(ret_line, "event", what->event);
    BSON_APPEND_UTF8(ret_line, "key", what->key);
    if (what->token != 0)
        BSON_APPEND_INT64(ret_line, "token", what->token);
    append_text(ret_line, "owner", what->owner);
    BSON_APPEND_UTF8(ret_line, "host", store->host);
    BSON_APPEND_INT64(ret_line, "pid", store->pid);
    append_text(ret_line, "by", what->by);
    append_text(ret_line, "reason", what->reason);
    append_text(ret_line, "to", what->to);
    if (what->to_token != 0)
        BSON_APPEND_INT64(ret_line, "to_token", what->to_token);
}

static int send(lh_store *store, const bson_t *lines, int64_t deadline, lh_error *error)
{
    bson_t command = BSON_INITIALIZER, reply;
    BSON_APPEND_UTF8(&command, "insert", store->audit);
    BSON_APPEND_BOOL(&command, "ordered", false);
    BSON_APPEND_ARRAY(&command, "documents", lines);
    lh_call call = {.what = "write the audit entry", .command = &command, .deadline = deadline};
    int outcome = lh_store_run(store, &call, &reply, NULL, error);
    lh_refusal refusal = {.what = call.what, .db = store->db, .collection = store->audit};
    /* Entries that exist already come from an attempt whose reply was lost. */
    if (outcome == LH_OK && lh_store_write_error(&reply, LH_MONGO_DUPLICATE_KEY, &refusal))
        outcome = lh_store_fail_refused(&refusal, error);
    bson_destroy(&command);
    bson_destroy(&reply);
    return outcome;
}

int lh_audit_now(lh_store *store, int64_t deadline, int64_t *ret_now_ms, lh_error *error)
{
    bson_t reply, *command = BCON_NEW("hello", BCON_INT32(1));
    lh_call call = {.what = "ask for the time",
                    .command = command,
                    .db = "admin",
                    .deadline = deadline,
                    .kind = LH_CALL_BARE};
    int outcome = lh_store_run(store, &call, &reply, NULL, error);
    bson_iter_t now;
    if (outcome == LH_OK && bson_iter_init_find(&now, &reply, "localTime") &&
        BSON_ITER_HOLDS_DATE_TIME(&now))
        *ret_now_ms = bson_iter_date_time(&now);
    else if (outcome == LH_OK)
        outcome = lh_fail(error, LH_SERVER, "the server does not report its time");
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}

/* ---- Grants -----------------------------------------------------------------------------------*/

typedef struct {
    lh_store *store;
    const lh_audit_grant *grants;
    size_t n;
    int64_t now_ms;
    bson_t lines;
    uint32_t n_lines;
} writing;

/* How the previous lease ended: owner, how, by, reason, at; not its id. */
static void append_previous(bson_t *line, const bson_iter_t *released)
{
    static const char *const fields[] = {"owner", "how", "by", "reason", "at"};
    bson_t previous;
    BSON_APPEND_DOCUMENT_BEGIN(line, "previous", &previous);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        bson_iter_t value;
        if (bson_iter_recurse(released, &value) && bson_iter_find(&value, fields[i]) &&
            !BSON_ITER_HOLDS_NULL(&value))
            (void)bson_append_iter(&previous, fields[i], -1, &value);
    }
    bson_append_document_end(line, &previous);
}

static bool is_how(const bson_iter_t *released, const char *how)
{
    bson_iter_t value;
    return bson_iter_recurse(released, &value) && bson_iter_find(&value, "how") &&
           BSON_ITER_HOLDS_UTF8(&value) && strcmp(bson_iter_utf8(&value, NULL), how) == 0;
}

/* `released` of a held document records how the previous lease ended. NULL: there was none.
 * Among readers it does not belong to this lease. */
static void add_grant(writing *w, const lh_audit_grant *grant, const bson_iter_t *released)
{
    bson_t line;
    if (grant->mode == LH_SHARED)
        released = NULL;
    lh_audit_end what = {.event = released && is_how(released, "expire") ? "taken_over" : "granted",
                         .key = grant->key,
                         .owner = grant->owner,
                         .at_ms = w->now_ms,
                         .token = grant->token};
    begin_line(w->store, &w->lines, w->n_lines++, &line, &what);
    BSON_APPEND_UTF8(&line, "mode", grant->mode == LH_SHARED ? "shared" : "exclusive");
    append_text(&line, "purpose", grant->purpose);
    if (released)
        append_previous(&line, released);
    bson_append_document_end(&w->lines, &line);
}

static int add_found(void *arg, const bson_t *document)
{
    writing *w = arg;
    bson_iter_t key, released, now;
    if (bson_iter_init_find(&now, document, "now"))
        w->now_ms = bson_iter_date_time(&now);
    if (!bson_iter_init_find(&key, document, "workspace_id") || !BSON_ITER_HOLDS_UTF8(&key))
        return 0;
    bool there =
        bson_iter_init_find(&released, document, "released") && BSON_ITER_HOLDS_DOCUMENT(&released);
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->grants[i].key, bson_iter_utf8(&key, NULL)) == 0)
            add_grant(w, &w->grants[i], there ? &released : NULL);
    return 0;
}

/* One read for all leases: the time, and how the previous leases ended. A document that is gone
 * meanwhile gives no entry: that grant is lost. */
static int find_previous(writing *w, int64_t deadline, lh_error *error)
{
    bson_t command = BSON_INITIALIZER, part, in, keys;
    uint32_t n = 0;
    BSON_APPEND_UTF8(&command, "find", w->store->collection);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "filter", &part);
    BSON_APPEND_DOCUMENT_BEGIN(&part, "workspace_id", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &keys);
    for (size_t i = 0; i < w->n; i++)
        lh_doc_append_text(&keys, &n, w->grants[i].key, strlen(w->grants[i].key));
    bson_append_array_end(&in, &keys);
    bson_append_document_end(&part, &in);
    bson_append_document_end(&command, &part);
    BCON_APPEND(&command, "projection", "{", "_id", BCON_INT32(0), "workspace_id", BCON_INT32(1),
                "released", BCON_INT32(1), "now", "$$NOW", "}");
    lh_call call = {.what = "read the details of the audit entry",
                    .command = &command,
                    .deadline = deadline,
                    .kind = LH_CALL_READ};
    int outcome = lh_store_each(w->store, &call, add_found, w, error);
    bson_destroy(&command);
    if (outcome == LH_OK && w->n_lines < w->n)
        outcome = lh_fail(
            error, LH_REASON_GONE,
            "the lease is lost: its document was removed before the audit entry was written");
    return outcome;
}

int lh_audit_granted(lh_store *store, const lh_audit_grant *grants, size_t n, lh_error *error)
{
    if (!store->audit)
        return LH_OK;
    writing w = {.store = store, .grants = grants, .n = n, .lines = BSON_INITIALIZER};
    int64_t deadline = deadline_of(store);
    int outcome = find_previous(&w, deadline, error);
    if (outcome == LH_OK)
        outcome = send(store, &w.lines, deadline, error);
    bson_destroy(&w.lines);
    return outcome;
}

/* ---- Ends -------------------------------------------------------------------------------------*/

int lh_audit_ended(lh_store *store, const lh_audit_end *ends, size_t n, lh_error *error)
{
    if (error)
        error->message[0] = '\0';
    if (!store->audit || n == 0)
        return LH_OK;
    lh_error why = LH_ERROR_INIT;
    int64_t now_ms = 0, deadline = deadline_of(store);
    bson_t lines = BSON_INITIALIZER, line;
    int outcome = ends[0].at_ms != 0 ? LH_OK : lh_audit_now(store, deadline, &now_ms, &why);
    for (size_t i = 0; outcome == LH_OK && i < n; i++) {
        lh_audit_end what = ends[i];
        if (what.at_ms == 0)
            what.at_ms = now_ms;
        begin_line(store, &lines, (uint32_t)i, &line, &what);
        bson_append_document_end(&lines, &line);
    }
    if (outcome == LH_OK)
        outcome = send(store, &lines, deadline, &why);
    bson_destroy(&lines);
    if (outcome != LH_OK)
        (void)lh_fail(error, LH_OK,
                      "the operation was done, but its audit entry is missing: %.400s",
                      why.message);
    return LH_OK;
}

/* ---- Preparing --------------------------------------------------------------------------------*/

#define AGE_INDEX "at_age"

/* The age is changed in place. */
static int change_age(lh_store *store, int64_t keep_s, int64_t deadline, lh_error *error)
{
    bson_t reply, *command = BCON_NEW("collMod", BCON_UTF8(store->audit), "index", "{", "name",
                                      AGE_INDEX, "expireAfterSeconds", BCON_INT64(keep_s), "}");
    lh_call call = {.what = "change how long the audit trail is kept",
                    .command = command,
                    .deadline = deadline,
                    .slow = true};
    int outcome = lh_store_run(store, &call, &reply, NULL, error);
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}

int lh_audit_prepare(lh_store *store, int64_t keep_ms, int64_t deadline, lh_error *error)
{
    int64_t keep_s = (keep_ms + 999) / 1000;
    bson_t reply,
        *command = BCON_NEW("createIndexes", BCON_UTF8(store->audit), "indexes", "[", "{", "key",
                            "{", "at", BCON_INT32(1), "}", "name", AGE_INDEX, "expireAfterSeconds",
                            BCON_INT64(keep_s), "}", "{", "key", "{", "key", BCON_INT32(1), "at",
                            BCON_INT32(1), "}", "name", "key_at", "}", "]");
    lh_error mine = LH_ERROR_INIT;
    lh_call call = {.what = "create the indexes of the audit trail",
                    .command = command,
                    .deadline = deadline,
                    .slow = true};
    int outcome = lh_store_run(store, &call, &reply, NULL, &mine);
    bson_destroy(command);
    bson_destroy(&reply);
    if (outcome == LH_SERVER && mine.server_code == LH_MONGO_INDEX_OPTIONS_CONFLICT)
        return change_age(store, keep_s, deadline, error);
    if (outcome != LH_OK)
        lh_error_give(error, &mine);
    return outcome;
}

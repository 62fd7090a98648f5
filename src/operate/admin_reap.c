/* SPDX-License-Identifier: Apache-2.0
 * Releases the leases, and the places in queues, of dead processes on this host. The cursor only
 * proposes candidates. Each write matches, on the server, the lease id and the process that were
 * read. Lease ids are used once, and a dead process stays dead, so nothing that happens in between
 * can make the write wrong. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/name.h"
#include "base/options.h"
#include "base/proc.h"
#include "lease/audit.h"
#include "lease/lease.h"
#include "lease/lease_run.h"
#include "protocol/doc.h"
#include "store/store.h"
#include "store/store_contact.h"
#include "store/store_run.h"

typedef struct {
    lh_store *store;
    const lh_reap_options *options;
    lh_reap_report *report;
    lh_error *error;
    int outcome;
    int (*each)(void *arg, const lh_reaped *reaped);
    void *arg;
} reaping;

/* Finds every document that may have a lease or a waiter of a process in our boot and
 * namespaces. */
static void append_find(const lh_store *store, bson_t *command)
{
    char from[LH_PROC_ROOM], to[LH_PROC_ROOM];
    size_t len = lh_proc_place(store->proc);
    memcpy(from, store->proc, len);
    memcpy(to, store->proc, len);
    from[len] = to[len] = '\0';
    to[len - 1] = '0'; /* '0' follows '/' */
    BSON_APPEND_UTF8(command, "find", store->collection);
    BCON_APPEND(command, "filter", "{", "$or", "[", "{", "proc", "{", "$gte", BCON_UTF8(from),
                "$lt", BCON_UTF8(to), "}", "}", "{", "shared", "{", "$type", "object", "}", "}",
                "{", "waiters", "{", "$type", "object", "}", "}", "]", "}");
    BSON_APPEND_INT32(command, "batchSize", 500);
}

static const char *text_in(const bson_iter_t *object, const char *field)
{
    bson_iter_t value;
    uint32_t len;
    if (!bson_iter_recurse(object, &value) || !bson_iter_find(&value, field) ||
        !BSON_ITER_HOLDS_UTF8(&value))
        return "";
    const char *text = bson_iter_utf8(&value, &len);
    return strlen(text) == len ? text : "";
}

/* Whether it belongs to a process on this host, and `proc` to this lease. *ret_dead: that process
 * is dead. */
static bool is_of_here(const lh_store *store, const bson_iter_t *object, const char *id,
                       bool *ret_dead)
{
    const char *proc = text_in(object, "proc"), *tail = strrchr(proc, '/');
    char alone[LH_VARS_PROC];
    size_t len = tail ? (size_t)(tail - proc) : 0;
    if (!tail || len >= sizeof alone || strlen(id) != LH_LEASE_ID_LEN || strlen(tail + 1) != 8 ||
        strncmp(tail + 1, id, 8) != 0 || strcmp(text_in(object, "host"), store->host) != 0 ||
        strncmp(proc, store->proc, lh_proc_place(store->proc)) != 0)
        return false;
    memcpy(alone, proc, len);
    alone[len] = '\0';
    *ret_dead = lh_proc_is_dead(store->proc, alone);
    return true;
}

/* Ends one holder or waiter, with one command. *ret_done: this attempt ended it, or an earlier one
 * whose reply was lost. */
static int reap_one(reaping *r, const char *key, const char *id, const char *dead,
                    const lh_reaped *what, bool *ret_done)
{
    char reason[LH_TEXT_MAX];
    (void)snprintf(reason, sizeof reason, "its process, pid %lld on %s, has died",
                   (long long)what->pid, r->store->host);
    lh_vars vars = lh_lease_vars(r->store, key, id);
    vars.dead = dead;
    vars.by = r->options->by ? r->options->by : r->store->owner;
    vars.reason = reason;
    lh_reply reply;
    int outcome = lh_lease_run(
        r->store, &(lh_operation){LH_OP_REAP, true, &vars, {lh_store_deadline(r->store, 0), NULL}},
        &reply, r->error);
    lh_mine mine = {0};
    if (outcome == LH_OK && reply.there)
        lh_doc_mine(&reply.document, id, &mine);
    *ret_done = outcome == LH_OK && (what->waited ? reply.there && !mine.holds : mine.released);
    if (*ret_done && !what->waited)
        (void)lh_audit_ended(r->store,
                             &(lh_audit_end){.event = "reaped",
                                             .key = key,
                                             .owner = what->owner,
                                             .by = vars.by,
                                             .reason = reason,
                                             .token = what->token,
                                             .at_ms = lh_doc_ended(&reply.document).at_ms},
                             1, r->error && !*r->error->message ? r->error : NULL);
    bson_destroy(&reply.bson);
    return outcome;
}

/* `object` is the document, an entry of its readers, or an entry of its waiters. `id` is its lease
 * id. */
static void take(reaping *r, const char *key, const char *id, const bson_iter_t *object,
                 bool waited)
{
    bool dead, done = true;
    if (r->outcome != LH_OK || !is_of_here(r->store, object, id, &dead))
        return;
    if (!dead) {
        r->report->alive++;
        return;
    }
    const char *mode = text_in(object, "mode");
    bool shared = waited ? strcmp(mode, "shared") == 0 : !*mode; /* a reader's entry has no mode */
    lh_reaped what = {.key = key,
                      .owner = text_in(object, "owner"),
                      .purpose = text_in(object, "purpose"),
                      .pid = lh_doc_number_in(object, "pid"),
                      .token = lh_doc_number_in(object, "token"),
                      .mode = shared ? LH_SHARED : LH_EXCLUSIVE,
                      .waited = waited,
                      .since_ms = lh_doc_date_in(object, waited ? "since" : "acquired_at")};
    if (!r->options->dry_run)
        r->outcome = reap_one(r, key, id, text_in(object, "proc"), &what, &done);
    if (r->outcome != LH_OK || !done)
        return;
    ++*(waited ? &r->report->waiters : &r->report->holders);
    if (r->each && r->each(r->arg, &what) != 0)
        r->outcome = lh_fail(r->error, LH_STOPPED, "stopped by the caller");
}

static void take_entries(reaping *r, const bson_iter_t *document, const char *key, const char *map)
{
    bson_iter_t value, entry;
    if (!bson_iter_recurse(document, &value) || !bson_iter_find(&value, map) ||
        !BSON_ITER_HOLDS_DOCUMENT(&value) || !bson_iter_recurse(&value, &entry))
        return;
    while (bson_iter_next(&entry))
        if (BSON_ITER_HOLDS_DOCUMENT(&entry))
            take(r, key, bson_iter_key(&entry), &entry, map[0] == 'w');
}

static int take_one(void *arg, const bson_t *document)
{
    reaping *r = arg;
    bson_t *wrapped = bson_new();
    bson_iter_t top;
    BSON_APPEND_DOCUMENT(wrapped, "d", document);
    (void)bson_iter_init_find(&top, wrapped, "d");
    const char *key = text_in(&top, "workspace_id"), *id = text_in(&top, "id");
    /* Waiters first: otherwise a dead waiter would be granted the key of a dead holder. */
    take_entries(r, &top, key, "waiters");
    if (strncmp(id, "shared:", 7) == 0)
        take_entries(r, &top, key, "shared");
    else if (!lh_doc_is_freed(document, LH_DOC_ALL))
        take(r, key, id, &top, false);
    bson_destroy(wrapped);
    return r->outcome != LH_OK;
}

static int reap(reaping *r, const lh_reap_options *options)
{
    lh_store *store = r->store;
    lh_error *error = r->error;
    lh_reap_options used;
    int outcome = lh_store_check(store, error);
    if (outcome == LH_OK)
        outcome = lh_reap_options_take(&used, options, error);
    if (outcome == LH_OK && used.by)
        outcome = lh_owner_check("name of the operator", used.by, error);
    if (outcome == LH_OK && !*store->proc)
        outcome = lh_fail(error, LH_CONFIG, "cannot identify this process: is /proc mounted?");
    if (outcome == LH_OK)
        outcome = lh_store_contact(store, lh_store_deadline(store, 0), error);
    if (outcome != LH_OK)
        return outcome;
    if (error)
        error->message[0] = '\0'; /* will hold the first failure to write an audit entry */
    r->options = &used;
    bson_t command = BSON_INITIALIZER;
    append_find(store, &command);
    lh_call call = {.what = "look for leases of dead processes",
                    .command = &command,
                    .deadline = lh_store_deadline(store, 0),
                    .kind = LH_CALL_READ};
    lh_error mine = LH_ERROR_INIT;
    outcome = lh_store_each(store, &call, take_one, r, &mine);
    bson_destroy(&command);
    if (outcome == LH_OK || r->outcome != LH_OK)
        return r->outcome;
    lh_error_give(error, &mine);
    return outcome;
}

int lh_reap(lh_store *store, const lh_reap_options *options,
            int (*each)(void *arg, const lh_reaped *reaped), void *arg, lh_reap_report *report,
            lh_error *error)
{
    lh_reap_report all = LH_REAP_REPORT_INIT;
    int outcome = lh_reap_report_check(report, error);
    if (outcome != LH_OK)
        return outcome;
    reaping r = {.store = store, .report = &all, .error = error, .each = each, .arg = arg};
    outcome = reap(&r, options);
    lh_reap_report_give(report, &all);
    return outcome;
}

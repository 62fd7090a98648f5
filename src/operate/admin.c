/* SPDX-License-Identifier: Apache-2.0
 * For operators: list and break. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/key.h"
#include "base/name.h"
#include "base/options.h"
#include "lease/audit.h"
#include "lease/lease.h"
#include "lease/lease_look.h"
#include "lease/lease_run.h"
#include "lease/lease_status.h"
#include "protocol/doc.h"
#include "protocol/doc_record.h"
#include "protocol/twice.h"
#include "store/store.h"
#include "store/store_run.h"

/* ---- list -------------------------------------------------------------------------------------*/
typedef struct {
    lh_list_options options;
    int (*each)(void *arg, const lh_record *record);
    void *arg;
    int64_t grace_ms;
    uint64_t given;
    enum { GOING, ENDED, STOPPED_BY_CALLER, NO_MEMORY } state;
} listing;

static bool names_owner(const lh_record *record, const char *owner)
{
    const lh_holder *holder;
    const lh_waiter *waiter;
    for (size_t i = 0; (holder = lh_record_holder(record, i)); i++)
        if (strcmp(holder->owner, owner) == 0)
            return true;
    for (size_t i = 0; (waiter = lh_record_waiter(record, i)); i++)
        if (strcmp(waiter->owner, owner) == 0)
            return true;
    return record->expired && strcmp(record->released_owner, owner) == 0;
}

static bool is_wanted(const listing *l, const lh_record *record)
{
    if (l->options.owner && !names_owner(record, l->options.owner))
        return false;
    if (l->options.expired || l->options.malformed)
        return (l->options.expired && record->expired) ||
               (l->options.malformed && record->state == LH_MALFORMED);
    return l->options.free_too || record->state != LH_FREE || record->waiters > 0;
}

static int list_one(void *arg, const bson_t *entry)
{
    listing *l = arg;
    bson_t document;
    int64_t now_ms;
    if (!lh_status_read(entry, &document, &now_ms))
        return 0;
    lh_record *record = lh_doc_record(&document, now_ms, l->grace_ms);
    if (!record) {
        l->state = NO_MEMORY;
        return 1;
    }
    if (l->options.prefix &&
        strncmp(record->key, l->options.prefix, strlen(l->options.prefix)) != 0) {
        /* The keys are sorted, so no later key begins with the prefix. (Keys that are not strings
         * sort elsewhere.) */
        if (record->state != LH_MALFORMED && strcmp(record->key, l->options.prefix) > 0)
            l->state = ENDED;
    } else if (is_wanted(l, record)) {
        if (l->each(l->arg, record) != 0)
            l->state = STOPPED_BY_CALLER;
        else if (++l->given == l->options.limit)
            l->state = ENDED;
    }
    lh_record_free(record);
    return l->state != GOING;
}

static void append_keys(bson_t *filter, const char *const *keys, size_t n)
{
    bson_t condition, array;
    uint32_t count = 0;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "workspace_id", &condition);
    BSON_APPEND_ARRAY_BEGIN(&condition, "$in", &array);
    for (size_t i = 0; i < n; i++)
        lh_doc_append_text(&array, &count, keys[i], strlen(keys[i]));
    bson_append_array_end(&condition, &array);
    bson_append_document_end(filter, &condition);
}

static void append_list_command(const lh_store *store, const listing *l, bson_t *command)
{
    bson_t filter, range, sort;
    BSON_APPEND_UTF8(command, "find", store->collection);
    BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &filter);
    if (l->options.keys) {
        append_keys(&filter, l->options.keys, l->options.n_keys);
    } else if (l->options.prefix && *l->options.prefix) {
        BSON_APPEND_DOCUMENT_BEGIN(&filter, "workspace_id", &range);
        BSON_APPEND_UTF8(&range, "$gte", l->options.prefix);
        bson_append_document_end(&filter, &range);
    }
    bson_append_document_end(command, &filter);
    BSON_APPEND_DOCUMENT_BEGIN(command, "sort", &sort);
    BSON_APPEND_INT32(&sort, "workspace_id", 1);
    bson_append_document_end(command, &sort);
    BSON_APPEND_BOOL(command, "allowDiskUse", true); /* needed while there is no index yet */
    lh_status_append_projection(command);
    BSON_APPEND_INT32(command, "batchSize", 500);
}

static int check_list(const lh_list_options *o, lh_error *error)
{
    int outcome = LH_OK;
    if (o->prefix)
        outcome = lh_text_check("prefix", o->prefix, strlen(o->prefix), 0, LH_KEY_MAX, error);
    if (outcome == LH_OK && o->n_keys > (o->keys ? LH_LIST_KEYS_MAX : 0))
        outcome = lh_fail(error, LH_INVALID, "n_keys must be 0 … %d, and 0 without keys",
                          LH_LIST_KEYS_MAX);
    for (size_t i = 0; outcome == LH_OK && i < o->n_keys; i++)
        outcome = o->keys[i] ? lh_key_check(o->keys[i], strlen(o->keys[i]), error)
                             : lh_fail(error, LH_INVALID, "a key of the list is NULL");
    return outcome;
}

int lh_list(lh_store *store, const lh_list_options *options,
            int (*each)(void *arg, const lh_record *record), void *arg, lh_error *error)
{
    int outcome = lh_store_check(store, error);
    if (outcome != LH_OK)
        return outcome;
    listing l = {.each = each, .arg = arg, .grace_ms = store->clock_skew_ms, .state = GOING};
    outcome = lh_list_options_take(&l.options, options, error);
    if (outcome == LH_OK)
        outcome = check_list(&l.options, error);
    if (outcome != LH_OK)
        return outcome;
    bson_t command = BSON_INITIALIZER;
    append_list_command(store, &l, &command);
    lh_call call = {.what = "list the keys",
                    .command = &command,
                    .deadline = lh_store_deadline(store, 0),
                    .kind = LH_CALL_READ};
    outcome = lh_store_each(store, &call, list_one, &l, error);
    bson_destroy(&command);
    if (outcome == LH_STOPPED && l.state == ENDED)
        return LH_OK;
    return outcome == LH_STOPPED && l.state == NO_MEMORY ? lh_fail_memory(error) : outcome;
}

/* ---- break ------------------------------------------------------------------------------------*/

/* Ends exactly the holder that was read: the write matches what was read. */
static int break_seen(lh_store *store, const char *key, const lh_break_options *options,
                      const bson_t *seen, lh_error *error)
{
    lh_assert(options->reason && *options->reason); /* checked by lh_break() */
    bson_iter_t doc_id, id, token;
    char mine[LH_LEASE_ID_ROOM], problem[128];
    if (lh_twice_find(seen, problem, sizeof problem))
        return lh_twice_fail("break the lease", seen, problem, error);
    if (!bson_iter_init_find(&doc_id, seen, "_id"))
        return lh_fail(error, LH_BUG, "the document of \"%s\" came without its _id", key);
    int outcome = lh_lease_id_new(mine, error);
    if (outcome != LH_OK)
        return outcome;
    lh_vars vars = lh_lease_vars(store, key, mine);
    vars.by = options->by ? options->by : store->owner;
    vars.reason = options->reason;
    vars.seen_doc_id = bson_iter_value(&doc_id);
    vars.by_id = options->id != NULL;
    vars.seen_id = bson_iter_init_find(&id, seen, "id") ? bson_iter_value(&id) : NULL;
    vars.seen_token = bson_iter_init_find(&token, seen, "token") ? bson_iter_value(&token) : NULL;
    lh_reply reply;
    outcome = lh_lease_run(
        store, &(lh_operation){LH_OP_BREAK, true, &vars, {lh_store_deadline(store, 0), NULL}},
        &reply, error);
    if (outcome == LH_OK) {
        lh_mine broken = {0};
        if (reply.there)
            lh_doc_mine(&reply.document, mine, &broken);
        if (!broken.released && reply.maybe)
            outcome = lh_fail(
                error, LH_REASON_NO_REPLY,
                "\"%s\" was broken, or its holder changed at that moment: look at the key again",
                key);
        else if (!broken.released)
            outcome = lh_fail(
                error, LH_REASON_CHANGED_HANDS,
                "\"%s\" has another holder by now, so nothing was broken: look at the key again",
                key);
    }
    bson_destroy(&reply.bson);
    return outcome;
}

/* Writes an audit entry for each holder. */
static void audit_break(lh_store *store, const char *key, const lh_break_options *options,
                        const lh_record *record, lh_error *error)
{
    const lh_holder *holder;
    for (size_t i = 0; (holder = lh_record_holder(record, i)) &&
                       (i == 0 || (store->audit && !(error && *error->message)));
         i++)
        (void)lh_audit_ended(store,
                             &(lh_audit_end){.event = "broken",
                                             .key = key,
                                             .owner = holder->owner,
                                             .by = options->by ? options->by : store->owner,
                                             .reason = options->reason,
                                             .token = holder->token},
                             1, error);
}

static int check_break(lh_store *store, const char *key, const lh_break_options *options,
                       lh_error *error)
{
    int outcome = lh_store_check(store, error);
    if (outcome == LH_OK && key && options->id)
        outcome = lh_fail(error, LH_INVALID, "both a key and an id are given: give one of them");
    if (outcome == LH_OK && !options->id)
        outcome = lh_key_check(key, key ? strlen(key) : 0, error);
    if (outcome == LH_OK)
        outcome =
            lh_text_check("reason", options->reason ? options->reason : "",
                          options->reason ? strlen(options->reason) : 0, 1, LH_TEXT_MAX, error);
    if (outcome == LH_OK && options->by)
        outcome = lh_owner_check("name of the operator", options->by, error);
    return outcome;
}

int lh_break(lh_store *store, const char *key, const lh_break_options *options,
             lh_record **ret_record, lh_error *error)
{
    lh_break_options used;
    int outcome = lh_break_options_take(&used, options, error);
    if (outcome == LH_OK)
        outcome = check_break(store, key, &used, error);
    if (outcome != LH_OK)
        return outcome;
    lh_stored found;
    lh_record *record = NULL;
    outcome = used.id ? lh_status_find_id(store, used.id, &found, error)
                      : lh_status_find_key(store, key, &found, error);
    if (outcome != LH_OK)
        goto out;
    record = found.there ? lh_doc_record(&found.document, found.now_ms, store->clock_skew_ms)
                         : lh_doc_free_record(key, found.now_ms);
    if (record && used.id)
        key = record->key;
    if (!record)
        outcome = lh_fail_memory(error);
    else if (record->state == LH_FREE)
        outcome = lh_fail(error, LH_REASON_NOT_HELD,
                          "nobody holds \"%s\": there is nothing to break", key);
    else if (used.token >= 0 && used.token != record->token)
        outcome = lh_fail(error, LH_REASON_CHANGED_HANDS,
                          "\"%s\" is held with token %lld, not %lld, so nothing was broken: look "
                          "at the key again",
                          key, (long long)record->token, (long long)used.token);
    else
        outcome = break_seen(store, key, &used, &found.document, error);
    if (outcome == LH_OK)
        audit_break(store, key, &used, record, error);
    if (outcome == LH_OK && ret_record) {
        *ret_record = record;
        record = NULL;
    }
out:
    lh_record_free(record);
    bson_destroy(&found.reply);
    return outcome;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that need no lease: status, list, break. */
#include "addon.h"

#include <stdlib.h>

/* ---- Status and break -------------------------------------------------------------------------
 */

struct query {
    lhn_call call;
    char *key;
    lh_record *found;
    lh_break_options options;
    char *reason, *by;
};

static napi_value value_query(napi_env env, lhn_call *call)
{
    return lhn_record_value(env, ((struct query *)call)->found);
}

static void free_query(lhn_call *call)
{
    struct query *query = (struct query *)call;
    lh_record_free(query->found);
    free(query->key);
    free(query->reason);
    free(query->by);
}

static struct query *query_new(napi_env env, const napi_value *arguments,
                               void (*work)(lhn_call *call))
{
    lhn_store *store = lhn_pointer(env, arguments[0]);
    struct query *query = lhn_call_new(env, sizeof *query, store, arguments[0], work);
    query->call.value = value_query;
    query->call.free = free_query;
    query->key = lhn_text(env, arguments[1]);
    return query;
}

static void work_status(lhn_call *call)
{
    struct query *query = (struct query *)call;
    call->outcome = lh_status(call->store->store, query->key, &query->found, &call->error);
}

/* (store, key): a record */
napi_value lhn_status(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    return lhn_call_start(env, &query_new(env, arguments, work_status)->call);
}

static void work_break(lhn_call *call)
{
    struct query *query = (struct query *)call;
    call->outcome =
        lh_break(call->store->store, query->key, &query->options, &query->found, &call->error);
}

/* (store, key, {reason, by, token}): the record of what was broken */
napi_value lhn_break(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    struct query *query = query_new(env, arguments, work_break);
    lh_break_options_init(&query->options, sizeof query->options);
    query->options.reason = query->reason = lhn_text_of(env, arguments[2], "reason");
    query->options.by = query->by = lhn_text_of(env, arguments[2], "by");
    query->options.token = lhn_token_of(env, arguments[2], "token", -1);
    return lhn_call_start(env, &query->call);
}

/* ---- Lists ------------------------------------------------------------------------------------
 *
 * lh_list() lends each record for the time of a callback, in a thread of the pool. That thread
 * waits there until the loop's thread has made a value of it. */

struct list {
    lhn_call call;
    lh_list_options options;
    char *prefix, *owner, **keys;
    napi_ref rows; /* an array of JavaScript */
    uint32_t n;
    bool taken; /* under the addon's mutex: the last row */
};

struct row {
    lhn_call call;
    struct list *list;
    const lh_record *record;
};

static void take_row(napi_env env, lhn_call *call)
{
    struct row *row = (struct row *)call;
    struct list *list = row->list;
    lhn_addon *addon = call->addon;
    napi_handle_scope scope;
    napi_value rows;
    napi_open_handle_scope(env, &scope);
    napi_get_reference_value(env, list->rows, &rows);
    napi_set_element(env, rows, list->n++, lhn_record_value(env, row->record));
    napi_close_handle_scope(env, scope);
    uv_mutex_lock(&addon->mutex);
    list->taken = true;
    uv_cond_broadcast(&addon->row_cond);
    uv_mutex_unlock(&addon->mutex);
    lhn_call_free(env, call);
}

/* In a thread of the pool. At the end of the environment nobody takes the row. */
static int each_row(void *arg, const lh_record *record)
{
    struct list *list = arg;
    lhn_addon *addon = list->call.addon;
    struct row *row = lhn_event_new(addon, sizeof *row, take_row);
    if (!row)
        abort();
    row->list = list;
    row->record = record;
    list->taken = false;
    lhn_call_done(&row->call);
    uv_mutex_lock(&addon->mutex);
    while (!list->taken && !addon->stopping)
        uv_cond_wait(&addon->row_cond, &addon->mutex);
    bool stopped = !list->taken;
    uv_mutex_unlock(&addon->mutex);
    return stopped;
}

static void work_list(lhn_call *call)
{
    struct list *list = (struct list *)call;
    call->outcome = lh_list(call->store->store, &list->options, each_row, list, &call->error);
}

static napi_value value_list(napi_env env, lhn_call *call)
{
    napi_value rows;
    napi_get_reference_value(env, ((struct list *)call)->rows, &rows);
    return rows;
}

static void free_list(lhn_call *call)
{
    struct list *list = (struct list *)call;
    napi_delete_reference(call->addon->env, list->rows);
    lhn_texts_free(list->keys, list->options.n_keys);
    free(list->prefix);
    free(list->owner);
}

/* (store, {prefix, owner, keys, expired, malformed, all, limit}): an array of records */
napi_value lhn_list(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS], rows;
    lhn_arguments(env, info, arguments);
    lhn_store *store = lhn_pointer(env, arguments[0]);
    struct list *list = lhn_call_new(env, sizeof *list, store, arguments[0], work_list);
    list->call.value = value_list;
    list->call.free = free_list;
    napi_create_array(env, &rows);
    napi_create_reference(env, rows, 1, &list->rows);
    lh_list_options_init(&list->options, sizeof list->options);
    list->options.prefix = list->prefix = lhn_text_of(env, arguments[1], "prefix");
    list->options.owner = list->owner = lhn_text_of(env, arguments[1], "owner");
    list->keys = lhn_texts(env, lhn_property(env, arguments[1], "keys"), &list->options.n_keys);
    list->options.keys = (const char *const *)list->keys;
    list->options.expired = lhn_flag_of(env, arguments[1], "expired");
    list->options.malformed = lhn_flag_of(env, arguments[1], "malformed");
    list->options.free_too = lhn_flag_of(env, arguments[1], "all");
    list->options.limit = (uint64_t)lhn_number_of(env, arguments[1], "limit", 0);
    return lhn_call_start(env, &list->call);
}

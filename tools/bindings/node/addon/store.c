/* SPDX-License-Identifier: Apache-2.0
 *
 * Stores: open, close, and what they report by themselves. */
#include "addon.h"

#include <stdlib.h>
#include <string.h>

/* ---- Losses -----------------------------------------------------------------------------------
 */

struct loss {
    lhn_call call;
    lhn_store *of; /* exists: the store is closed only after its last loss was reported */
    char lease_id[LH_LEASE_ID_LEN + 1];
};

static void report_loss(napi_env env, lhn_call *call)
{
    struct loss *loss = (struct loss *)call;
    napi_value function, id = lhn_text_value(env, loss->lease_id), ignored;
    napi_get_reference_value(env, loss->of->on_lost, &function);
    napi_call_function(env, lhn_undefined(env), function, 1, &id, &ignored);
    lhn_call_free(env, call);
}

/* In any thread. Without memory the program learns of the loss from `valid`. */
static void on_lost(void *arg, const char *key, const char *lease_id)
{
    (void)key;
    lhn_store *store = arg;
    struct loss *loss = lhn_event_new(store->addon, sizeof *loss, report_loss);
    if (!loss)
        return;
    loss->of = store;
    strncpy(loss->lease_id, lease_id, LH_LEASE_ID_LEN);
    lhn_call_done(&loss->call);
}

/* ---- Open -------------------------------------------------------------------------------------
 */

struct open {
    lhn_call call;
    lhn_store *opened; /* NULL once JavaScript has it */
    lh_store_options options;
    char *texts[6];
};

static void forget(napi_env env, void *data, void *hint)
{
    (void)env, (void)hint;
    lhn_store *store = data;
    if (store->closed)
        free(store);
    else
        store->forgotten = true;
}

static void work_open(lhn_call *call)
{
    struct open *open = (struct open *)call;
    call->outcome = lh_store_open(&open->options, &open->opened->store, &call->error);
}

static napi_value value_open(napi_env env, lhn_call *call)
{
    struct open *open = (struct open *)call;
    lhn_store *store = open->opened;
    open->opened = NULL;
    store->next = call->addon->stores;
    call->addon->stores = store;
    napi_value value;
    napi_create_external(env, store, forget, NULL, &value);
    return value;
}

static void delete_functions(lhn_store *store)
{
    napi_delete_reference(store->addon->env, store->on_lost);
    if (store->log)
        napi_delete_reference(store->addon->env, store->log);
}

static void free_open(lhn_call *call)
{
    struct open *open = (struct open *)call;
    for (size_t i = 0; i < sizeof open->texts / sizeof open->texts[0]; i++)
        free(open->texts[i]);
    if (!open->opened)
        return;
    lh_store_close(open->opened->store);
    delete_functions(open->opened);
    free(open->opened);
}

static void read_options(napi_env env, napi_value from, struct open *open)
{
    lh_store_options *options = &open->options;
    lh_store_options_init(options, sizeof *options);
    options->uri = open->texts[0] = lhn_text_of(env, from, "uri");
    options->db = open->texts[1] = lhn_text_of(env, from, "db");
    options->collection = open->texts[2] = lhn_text_of(env, from, "collection");
    options->owner = open->texts[3] = lhn_text_of(env, from, "owner");
    options->app_name = open->texts[4] = lhn_text_of(env, from, "appName");
    options->audit = open->texts[5] = lhn_text_of(env, from, "audit");
    options->timeout_ms = lhn_number_of(env, from, "timeout", options->timeout_ms);
    options->clock_skew_ms = lhn_number_of(env, from, "clockSkew", options->clock_skew_ms);
    options->max_waiters = (uint32_t)lhn_number_of(env, from, "maxWaiters", options->max_waiters);
    options->max_shared = (uint32_t)lhn_number_of(env, from, "maxShared", options->max_shared);
    options->at_open = (int)lhn_number_of(env, from, "atOpen", options->at_open);
    options->rollout = (int)lhn_number_of(env, from, "rollout", options->rollout);
    options->on_lost = on_lost;
    options->on_lost_arg = open->opened;
    if (!open->opened->log)
        return;
    options->log_level = (int)lhn_number_of(env, from, "logLevel", 0);
    options->log = lhn_log;
    options->log_arg = open->opened;
}

/* (options, (lease id) => undefined, (log event) => undefined, or undefined): a store */
napi_value lhn_open(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    struct open *open = lhn_call_new(env, sizeof *open, NULL, NULL, work_open);
    open->call.value = value_open;
    open->call.free = free_open;
    open->opened = calloc(1, sizeof *open->opened);
    if (!open->opened)
        abort();
    open->opened->addon = open->call.addon;
    napi_create_reference(env, arguments[1], 1, &open->opened->on_lost);
    napi_valuetype type = napi_undefined;
    napi_typeof(env, arguments[2], &type);
    if (type == napi_function)
        napi_create_reference(env, arguments[2], 1, &open->opened->log);
    read_options(env, arguments[0], open);
    return lhn_call_start(env, &open->call);
}

/* ---- Close ------------------------------------------------------------------------------------
 */

struct close {
    lhn_call call;
    lhn_store *of; /* not call.store: the close would wait for itself */
};

/* Takes the store off the list, once it is closed. */
static void remove_store(lhn_store *store)
{
    lhn_store **link = &store->addon->stores;
    while (*link != store)
        link = &(*link)->next;
    *link = store->next;
    delete_functions(store);
    store->closed = true;
    if (store->forgotten)
        free(store);
}

static void work_close(lhn_call *call)
{
    lhn_store *store = ((struct close *)call)->of;
    lh_store_close(store->store);
    store->store = NULL;
}

static void done_close(napi_env env, lhn_call *call)
{
    remove_store(((struct close *)call)->of);
    lhn_call_settle(env, call);
}

/* (store). Later calls on the store must not be made; those under way end before. */
napi_value lhn_close(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    struct close *close = lhn_call_new(env, sizeof *close, NULL, arguments[0], work_close);
    lhn_store *store = close->of = lhn_pointer(env, arguments[0]);
    close->call.done = done_close;
    napi_value promise;
    napi_create_promise(env, &close->call.deferred, &promise);
    for (lhn_apart *apart = store->apart; apart; apart = apart->next)
        lhn_apart_cancel(apart);
    store->leaving = true;
    store->closing = &close->call;
    store->calls++;
    lhn_store_left(store);
    return promise;
}

void lhn_store_left(lhn_store *store)
{
    store->calls--;
    if (store->calls > 0 || !store->closing || store->addon->stopping)
        return;
    lhn_call *close = store->closing;
    store->closing = NULL;
    lhn_call_queue(close);
}

void lhn_store_end(lhn_store *store)
{
    lh_store_close(store->store);
    if (store->closing)
        lhn_call_free(store->addon->env, store->closing);
    remove_store(store);
}

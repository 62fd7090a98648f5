/* SPDX-License-Identifier: Apache-2.0
 *
 * The module: its functions, and the begin and end of an environment. */
#include "addon.h"

#include <stdlib.h>

lhn_addon *lhn_addon_of(napi_env env)
{
    void *addon = NULL;
    napi_get_instance_data(env, &addon);
    return addon;
}

void lhn_addon_pending(lhn_addon *addon, int change)
{
    addon->pending += (size_t)change;
    uv_handle_t *handle = (uv_handle_t *)&addon->done_async;
    if (addon->pending > 0)
        uv_ref(handle);
    else
        uv_unref(handle);
}

napi_callback_scope lhn_addon_enter(lhn_addon *addon, napi_handle_scope *ret_handles)
{
    napi_open_handle_scope(addon->env, ret_handles);
    napi_value resource;
    napi_get_reference_value(addon->env, addon->resource, &resource);
    napi_callback_scope scope = NULL;
    napi_open_callback_scope(addon->env, resource, addon->context, &scope);
    return scope;
}

void lhn_addon_leave(lhn_addon *addon, napi_callback_scope scope, napi_handle_scope handles)
{
    napi_close_callback_scope(addon->env, scope);
    napi_close_handle_scope(addon->env, handles);
}

static void on_closed(uv_handle_t *handle)
{
    lhn_addon *addon = handle->data;
    uv_mutex_destroy(&addon->mutex);
    uv_cond_destroy(&addon->todo_cond);
    uv_cond_destroy(&addon->row_cond);
    napi_remove_async_cleanup_hook(addon->hook);
    free(addon);
}

/* The environment ends: the process at the end of its program, or a worker thread. What is held is
 * released, so that others need not wait for the end of its ttl. */
static void at_end(napi_async_cleanup_hook_handle hook, void *arg)
{
    (void)hook;
    lhn_addon *addon = arg;
    for (lhn_store *store = addon->stores; store; store = store->next) {
        while (store->queued)
            lhn_acquire_leave(store->queued);
        for (lhn_apart *apart = store->apart; apart; apart = apart->next) {
            lhn_apart_cancel(apart);
            lhn_apart_join(apart);
        }
    }
    lhn_pool_drain(addon);
    while (addon->stores)
        lhn_store_end(addon->stores);
    lhn_pool_discard(addon);
    napi_async_destroy(addon->env, addon->context);
    napi_delete_reference(addon->env, addon->resource);
    uv_close((uv_handle_t *)&addon->done_async, on_closed);
}

static napi_value function(napi_env env, const char *name, napi_callback callback)
{
    napi_value value;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, NULL, &value);
    return value;
}

static void begin(napi_env env)
{
    lhn_addon *addon = calloc(1, sizeof *addon);
    if (!addon)
        abort();
    addon->env = env;
    napi_value resource = lhn_object(env);
    napi_create_reference(env, resource, 1, &addon->resource);
    napi_async_init(env, resource, lhn_text_value(env, "leasehold"), &addon->context);
    lhn_pool_init(addon);
    napi_set_instance_data(env, addon, NULL, NULL);
    napi_add_async_cleanup_hook(env, at_end, addon, &addon->hook);
}

/* The macro below defines it without a prototype. */
NAPI_MODULE_EXPORT int32_t node_api_module_get_api_version_v1(void);

NAPI_MODULE_INIT()
{
    static const struct {
        const char *name;
        napi_callback callback;
    } functions[] = {
        {"open", lhn_open},        {"close", lhn_close},
        {"status", lhn_status},    {"list", lhn_list},
        {"break", lhn_break},      {"metrics", lhn_metrics},
        {"keyJoin", lhn_key_join}, {"acquire", lhn_acquire},
        {"cancel", lhn_cancel},    {"acquireMany", lhn_acquire_many},
        {"watch", lhn_watch},      {"stop", lhn_apart_stop},
        {"attach", lhn_attach},    {"renew", lhn_renew},
        {"release", lhn_release},  {"transfer", lhn_transfer},
        {"note", lhn_note},        {"remaining", lhn_remaining},
    };
    begin(env);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        lhn_set(env, exports, functions[i].name,
                function(env, functions[i].name, functions[i].callback));
    return exports;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that send commands, and the threads that run them. */
#include "addon.h"

#include <stdlib.h>

void *lhn_call_new(napi_env env, size_t size, lhn_store *store, napi_value hold,
                   void (*work)(lhn_call *call))
{
    lhn_call *call = calloc(1, size);
    if (!call)
        abort();
    call->addon = lhn_addon_of(env);
    call->store = store;
    call->work = work;
    call->done = lhn_call_settle;
    lh_error_init(&call->error, sizeof call->error);
    if (store)
        store->calls++;
    if (hold)
        napi_create_reference(env, hold, 1, &call->hold);
    lhn_addon_pending(call->addon, 1);
    return call;
}

void *lhn_event_new(lhn_addon *addon, size_t size, void (*done)(napi_env env, lhn_call *call))
{
    lhn_call *event = calloc(1, size);
    if (!event)
        return NULL;
    event->event = true;
    event->addon = addon;
    event->done = done;
    return event;
}

napi_value lhn_call_start(napi_env env, lhn_call *call)
{
    napi_value promise;
    napi_create_promise(env, &call->deferred, &promise);
    lhn_call_queue(call);
    return promise;
}

/* Settles the promise, once. */
static void settle(napi_env env, lhn_call *call, bool resolve, napi_value value)
{
    napi_deferred deferred = call->deferred;
    call->deferred = NULL;
    if (!deferred)
        return;
    if (resolve)
        napi_resolve_deferred(env, deferred, value);
    else
        napi_reject_deferred(env, deferred, value);
}

void lhn_call_reject(napi_env env, lhn_call *call)
{
    settle(env, call, false, lhn_failure(env, call->outcome, &call->error, call->record));
}

void lhn_call_settle(napi_env env, lhn_call *call)
{
    if (call->outcome != LH_OK)
        lhn_call_reject(env, call);
    else
        settle(env, call, true, call->value ? call->value(env, call) : lhn_undefined(env));
    lhn_call_free(env, call);
}

void lhn_call_free(napi_env env, lhn_call *call)
{
    if (call->free)
        call->free(call);
    lh_record_free(call->record);
    if (call->hold)
        napi_delete_reference(env, call->hold);
    if (!call->event)
        lhn_addon_pending(call->addon, -1);
    lhn_store *store = call->store;
    free(call);
    if (store)
        lhn_store_left(store);
}

/* ---- Tickets ----------------------------------------------------------------------------------
 */

static void forget_ticket(napi_env env, void *data, void *hint)
{
    (void)env, (void)hint;
    lhn_ticket *ticket = data;
    if (ticket->target)
        ticket->forgotten = true;
    else
        free(ticket);
}

lhn_ticket *lhn_ticket_new(napi_env env, void *target, napi_value array)
{
    lhn_ticket *ticket = calloc(1, sizeof *ticket);
    if (!ticket)
        abort();
    ticket->target = target;
    napi_value value;
    napi_create_external(env, ticket, forget_ticket, NULL, &value);
    napi_set_element(env, array, 0, value);
    return ticket;
}

void lhn_ticket_end(lhn_ticket *ticket)
{
    if (!ticket)
        return;
    ticket->target = NULL;
    if (ticket->forgotten)
        free(ticket);
}

/* ---- The pool ---------------------------------------------------------------------------------
 */

static lhn_call *take_todo(lhn_addon *addon)
{
    addon->n_idle++;
    while (!addon->todo && !addon->stopping)
        uv_cond_wait(&addon->todo_cond, &addon->mutex);
    addon->n_idle--;
    lhn_call *call = addon->todo;
    if (!call)
        return NULL;
    addon->todo = call->next;
    if (!addon->todo)
        addon->todo_end = &addon->todo;
    return call;
}

static void run(void *arg)
{
    lhn_addon *addon = arg;
    uv_mutex_lock(&addon->mutex);
    lhn_call *call;
    while ((call = take_todo(addon))) {
        uv_mutex_unlock(&addon->mutex);
        call->work(call);
        lhn_call_done(call);
        uv_mutex_lock(&addon->mutex);
    }
    uv_mutex_unlock(&addon->mutex);
}

/* One more thread, if there are more calls than threads that have nothing to do. */
static void grow(lhn_addon *addon)
{
    size_t queued = 0;
    for (lhn_call *call = addon->todo; call && queued <= addon->n_idle; call = call->next)
        queued++;
    if (queued <= addon->n_idle || addon->n_threads == LHN_THREADS)
        return;
    if (uv_thread_create(&addon->threads[addon->n_threads], run, addon) == 0)
        addon->n_threads++;
    else if (addon->n_threads == 0)
        abort(); /* a call would never end */
}

void lhn_call_queue(lhn_call *call)
{
    lhn_addon *addon = call->addon;
    uv_mutex_lock(&addon->mutex);
    call->next = NULL;
    *addon->todo_end = call;
    addon->todo_end = &call->next;
    grow(addon);
    uv_mutex_unlock(&addon->mutex);
    uv_cond_signal(&addon->todo_cond); /* the thread that wakes needs the mutex */
}

void lhn_call_done(lhn_call *call)
{
    lhn_addon *addon = call->addon;
    uv_mutex_lock(&addon->mutex);
    call->next = NULL;
    *addon->done_end = call;
    addon->done_end = &call->next;
    uv_mutex_unlock(&addon->mutex);
    uv_async_send(&addon->done_async); /* the addon exists: its end waits for all threads */
}

static lhn_call *take_done(lhn_addon *addon)
{
    uv_mutex_lock(&addon->mutex);
    lhn_call *call = addon->done;
    addon->done = NULL;
    addon->done_end = &addon->done;
    uv_mutex_unlock(&addon->mutex);
    return call;
}

static void on_done(uv_async_t *async)
{
    lhn_addon *addon = async->data;
    napi_handle_scope handles;
    napi_callback_scope scope = lhn_addon_enter(addon, &handles);
    for (lhn_call *call = take_done(addon), *next; call; call = next) {
        next = call->next;
        call->done(addon->env, call);
    }
    lhn_addon_leave(addon, scope, handles);
}

void lhn_pool_init(lhn_addon *addon)
{
    addon->todo_end = &addon->todo;
    addon->done_end = &addon->done;
    uv_loop_t *loop = NULL;
    napi_get_uv_event_loop(addon->env, &loop);
    if (uv_mutex_init(&addon->mutex) || uv_cond_init(&addon->todo_cond) ||
        uv_cond_init(&addon->row_cond) || uv_async_init(loop, &addon->done_async, on_done))
        abort();
    addon->done_async.data = addon;
    uv_unref((uv_handle_t *)&addon->done_async);
}

void lhn_pool_drain(lhn_addon *addon)
{
    uv_mutex_lock(&addon->mutex);
    addon->stopping = true;
    uv_cond_broadcast(&addon->todo_cond);
    uv_cond_broadcast(&addon->row_cond);
    uv_mutex_unlock(&addon->mutex);
    for (size_t i = 0; i < addon->n_threads; i++)
        uv_thread_join(&addon->threads[i]);
}

void lhn_pool_discard(lhn_addon *addon)
{
    for (lhn_call *call = take_done(addon), *next; call; call = next) {
        next = call->next;
        lhn_call_free(addon->env, call);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that may last long, each in a thread of its own. */
#include "addon.h"

#include <stdio.h>
#include <stdlib.h>

static void run(void *arg)
{
    lhn_apart *apart = arg;
    apart->call.work(&apart->call);
    lhn_call_done(&apart->call);
}

void lhn_apart_cancel(lhn_apart *apart)
{
    if (apart->started)
        lh_cancel_now(apart->cancel);
}

void lhn_apart_join(lhn_apart *apart)
{
    if (apart->started)
        uv_thread_join(&apart->thread);
}

static void unlink_apart(lhn_apart *apart)
{
    lhn_apart **link = &apart->call.store->apart;
    while (*link != apart)
        link = &(*link)->next;
    *link = apart->next;
}

static void done_apart(napi_env env, lhn_call *call)
{
    lhn_apart *apart = (lhn_apart *)call;
    lhn_apart_join(apart);
    unlink_apart(apart);
    if (call->outcome == LH_CANCELLED && call->store->leaving) {
        call->outcome = LH_CLOSED; /* by lhn_close(), which cancelled it */
        call->error.reason = LH_REASON_STORE_CLOSED;
        (void)snprintf(call->error.message, sizeof call->error.message, "the store was closed");
    }
    lhn_call_settle(env, call);
}

void *lhn_apart_new(napi_env env, size_t size, lhn_store *store, napi_value hold,
                    void (*work)(lhn_call *call))
{
    lhn_apart *apart = lhn_call_new(env, size, store, hold, work);
    apart->call.done = done_apart;
    apart->call.outcome = lh_cancel_new(&apart->cancel, &apart->call.error);
    return apart;
}

napi_value lhn_apart_start(napi_env env, lhn_apart *apart, napi_value array)
{
    lhn_call *call = &apart->call;
    napi_value promise;
    napi_create_promise(env, &call->deferred, &promise);
    apart->ticket = lhn_ticket_new(env, apart, array);
    apart->next = call->store->apart;
    call->store->apart = apart;
    apart->started = call->outcome == LH_OK && uv_thread_create(&apart->thread, run, apart) == 0;
    if (apart->started)
        return promise;
    if (call->outcome == LH_OK)
        call->outcome = LH_MEMORY;
    lhn_call_done(call);
    return promise;
}

void lhn_apart_free(lhn_apart *apart)
{
    lh_cancel_free(apart->cancel);
    lhn_ticket_end(apart->ticket);
}

/* (the handle of the call). Its promise settles soon. */
napi_value lhn_apart_stop(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    lhn_apart *apart = ((lhn_ticket *)lhn_pointer(env, arguments[0]))->target;
    if (apart)
        lhn_apart_cancel(apart);
    return NULL;
}

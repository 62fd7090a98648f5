/* SPDX-License-Identifier: Apache-2.0
 *
 * Acquires. A thread of the pool asks the server the first question. If the key is held, and the
 * caller waits, the loop then watches the descriptor of the waiting, and no thread is used until
 * it is readable. */
#include "addon.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>

struct lhn_acquire {
    lhn_call call;
    lhn_store *of; /* call.store while a command is under way, NULL during the wait */
    struct lhn_acquire *next, **link; /* in store->queued; link NULL: not in it */
    uv_poll_t *poll;
    char *key;
    lhn_acquire_options options;
    lh_waiting *waiting;
    lh_lease *lease;
    lhn_ticket *ticket;    /* NULL: JavaScript cannot cancel it */
    atomic_bool cancelled; /* set in the loop's thread */
};

/* ---- In a thread of the pool ------------------------------------------------------------------
 */

static void work_finish(lhn_call *call)
{
    struct lhn_acquire *acquire = (struct lhn_acquire *)call;
    lh_waiting *waiting = acquire->waiting;
    acquire->waiting = NULL;
    call->outcome = lh_waiting_finish(waiting, &acquire->lease, &call->record, &call->error);
}

/* Leaves the queue; a lease granted meanwhile is released. */
static void work_leave(lhn_call *call)
{
    struct lhn_acquire *acquire = (struct lhn_acquire *)call;
    lh_waiting *waiting = acquire->waiting;
    acquire->waiting = NULL;
    lh_waiting_cancel(waiting, &call->error);
    call->outcome = LH_CANCELLED;
}

/* The caller gave up while the server granted the lease. */
static void work_give_back(lhn_call *call)
{
    struct lhn_acquire *acquire = (struct lhn_acquire *)call;
    lh_lease_release(acquire->lease, &call->error);
    lh_lease_free(acquire->lease);
    acquire->lease = NULL;
    call->outcome = LH_CANCELLED;
}

static bool settled(lh_waiting *waiting)
{
    struct pollfd fd = {.fd = lh_waiting_fd(waiting), .events = POLLIN};
    return fd.fd < 0 || poll(&fd, 1, 0) == 1; /* without a descriptor the thread waits */
}

static void work_ask(lhn_call *call)
{
    struct lhn_acquire *acquire = (struct lhn_acquire *)call;
    lh_store *store = acquire->of->store;
    if (acquire->cancelled) {
        call->outcome = LH_CANCELLED; /* before a thread was free: no command is sent */
        return;
    }
    if (acquire->options.options.wait_ms == 0) {
        call->outcome = lh_acquire(store, acquire->key, &acquire->options.options, &acquire->lease,
                                   &call->record, &call->error);
        return;
    }
    call->outcome = lh_acquire_start(store, acquire->key, &acquire->options.options,
                                     &acquire->waiting, &call->error);
    if (call->outcome == LH_OK && settled(acquire->waiting))
        work_finish(call);
}

/* ---- In the loop's thread ---------------------------------------------------------------------
 */

/* Counts the acquire as a call on the store, again after the wait. */
static void enter(struct lhn_acquire *acquire)
{
    acquire->call.store = acquire->of;
    acquire->of->calls++;
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static void stop_waiting(struct lhn_acquire *acquire)
{
    uv_close((uv_handle_t *)acquire->poll, on_poll_closed);
    acquire->poll = NULL;
    *acquire->link = acquire->next;
    if (acquire->next)
        acquire->next->link = acquire->link;
    acquire->link = NULL;
}

static void run_next(struct lhn_acquire *acquire, void (*work)(lhn_call *call))
{
    acquire->call.work = work;
    lhn_call_queue(&acquire->call);
}

/* A close of the store settles the waits too: it must not wait for them. */
static void on_settled(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    struct lhn_acquire *acquire = poll->data;
    stop_waiting(acquire);
    if (!acquire->of->leaving)
        enter(acquire);
    run_next(acquire, work_finish);
}

static void wait_for(struct lhn_acquire *acquire)
{
    lhn_store *store = acquire->of;
    uv_loop_t *loop = NULL;
    napi_get_uv_event_loop(acquire->call.addon->env, &loop);
    acquire->poll = calloc(1, sizeof *acquire->poll);
    if (!acquire->poll || uv_poll_init(loop, acquire->poll, lh_waiting_fd(acquire->waiting)))
        abort();
    acquire->poll->data = acquire;
    acquire->next = store->queued;
    acquire->link = &store->queued;
    if (acquire->next)
        acquire->next->link = &acquire->next;
    store->queued = acquire;
    uv_poll_start(acquire->poll, UV_READABLE, on_settled);
    acquire->call.store = NULL;
    lhn_store_left(store);
}

static void done_acquire(napi_env env, lhn_call *call)
{
    struct lhn_acquire *acquire = (struct lhn_acquire *)call;
    if (acquire->waiting && acquire->cancelled)
        run_next(acquire, work_leave);
    else if (acquire->waiting)
        wait_for(acquire);
    else if (acquire->lease && acquire->cancelled && call->store)
        run_next(acquire, work_give_back);
    else
        lhn_call_settle(env, call);
}

static napi_value value_acquire(napi_env env, lhn_call *call)
{
    struct lhn_acquire *acquire = (struct lhn_acquire *)call;
    napi_value value = lhn_lease_value(env, acquire->lease);
    acquire->lease = NULL;
    return value;
}

static void free_acquire(lhn_call *call)
{
    struct lhn_acquire *acquire = (struct lhn_acquire *)call;
    free(acquire->key);
    lhn_acquire_options_free(&acquire->options);
    lh_lease_free(acquire->lease);
    lhn_ticket_end(acquire->ticket);
}

void lhn_acquire_leave(struct lhn_acquire *acquire)
{
    acquire->cancelled = true;
    stop_waiting(acquire);
    enter(acquire);
    run_next(acquire, work_leave);
}

/* ---- From JavaScript --------------------------------------------------------------------------
 */

void lhn_acquire_options_read(napi_env env, napi_value from, lhn_acquire_options *ret_options)
{
    lh_acquire_options *options = &ret_options->options;
    char **texts = ret_options->texts;
    lh_acquire_options_init(options, sizeof *options);
    options->ttl_ms = lhn_number_of(env, from, "ttl", options->ttl_ms);
    options->wait_ms = lhn_number_of(env, from, "wait", options->wait_ms);
    options->timeout_ms = lhn_number_of(env, from, "timeout", options->timeout_ms);
    options->mode = lhn_flag_of(env, from, "shared") ? LH_SHARED : LH_EXCLUSIVE;
    options->path = lhn_flag_of(env, from, "path");
    options->resume = lhn_flag_of(env, from, "resume");
    options->owner = texts[0] = lhn_text_of(env, from, "owner");
    options->purpose = texts[1] = lhn_text_of(env, from, "purpose");
    options->lease_id = texts[2] = lhn_text_of(env, from, "leaseId");
}

void lhn_acquire_options_free(lhn_acquire_options *options)
{
    for (size_t i = 0; i < sizeof options->texts / sizeof options->texts[0]; i++)
        free(options->texts[i]);
}

/* (store, key, options, the array to which the ticket is added, or undefined): a lease */
napi_value lhn_acquire(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    lhn_store *store = lhn_pointer(env, arguments[0]);
    struct lhn_acquire *acquire = lhn_call_new(env, sizeof *acquire, store, arguments[0], work_ask);
    acquire->of = store;
    acquire->call.done = done_acquire;
    acquire->call.value = value_acquire;
    acquire->call.free = free_acquire;
    acquire->key = lhn_text(env, arguments[1]);
    lhn_acquire_options_read(env, arguments[2], &acquire->options);
    bool wanted = false;
    napi_is_array(env, arguments[3], &wanted);
    if (wanted)
        acquire->ticket = lhn_ticket_new(env, acquire, arguments[3]);
    return lhn_call_start(env, &acquire->call);
}

/* (ticket). The promise is rejected once nothing is held and the queue is left. */
napi_value lhn_cancel(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    struct lhn_acquire *acquire = ((lhn_ticket *)lhn_pointer(env, arguments[0]))->target;
    if (!acquire || acquire->cancelled)
        return NULL;
    acquire->cancelled = true;
    /* A store that is closing ends the wait by itself. */
    if (acquire->poll && !acquire->of->leaving)
        lhn_acquire_leave(acquire);
    return NULL;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The addon of Node: libleasehold as functions that return promises. `lib/index.js` is its only
 * caller, and checks all arguments first.
 *
 * The loop's thread sends no command. Each call that does is an `lhn_call`, which runs in a thread
 * of a small pool of the addon's own: libuv's threads would be missing for files and names while a
 * server hangs. An acquire that waits needs no thread (acquire.c). What may last long and has no
 * descriptor has a thread of its own (apart.c): a watch, and an acquire of several keys. */
#ifndef LEASEHOLD_NODE_ADDON_H
#define LEASEHOLD_NODE_ADDON_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <uv.h>

#include <leasehold/leasehold.h>

typedef struct lhn_addon lhn_addon; /* what belongs to one environment (a thread of JavaScript) */
typedef struct lhn_store lhn_store; /* store.c */

/* ---- Calls (call.c) ------------------------------------------------------------------------- */

/* One call of the library. It is the first member of a struct with its arguments and results. */
typedef struct lhn_call lhn_call;
struct lhn_call {
    lhn_call *next; /* in the list of the addon */
    lhn_addon *addon;
    lhn_store *store; /* on which the call is; NULL: on none. Counted in store->calls */
    /* It has no promise, and neither the loop nor a close waits for it: lhn_event_new(). */
    bool event;
    /* The JavaScript value that keeps the handle alive during the call; NULL: there is none. */
    napi_ref hold;
    napi_deferred deferred; /* NULL: nobody gets the result */
    /* In a thread of the pool: calls the library, and sets `outcome` and `error`. */
    void (*work)(lhn_call *call);
    /* In the loop's thread, when `work` is done. Usually lhn_call_settle(). */
    void (*done)(napi_env env, lhn_call *call);
    /* Makes the value of a call with LH_OK; NULL: undefined. */
    napi_value (*value)(napi_env env, lhn_call *call);
    void (*free)(lhn_call *call); /* frees arguments and results; not the struct */
    int outcome;
    lh_error error;
    lh_record *record; /* the holder in the way */
};

/* Makes a call with a struct of `size` bytes, zeroed. `hold`: a handle that must outlive the call,
 * or NULL. Aborts without memory, as Node does. */
void *lhn_call_new(napi_env env, size_t size, lhn_store *store, napi_value hold,
                   void (*work)(lhn_call *call));
/* Makes something that `done` reports to JavaScript. From any thread; lhn_call_done() sends it.
 * NULL: no memory is left. */
void *lhn_event_new(lhn_addon *addon, size_t size, void (*done)(napi_env env, lhn_call *call));
/* Gives the call to the pool, and returns the promise of its result. */
napi_value lhn_call_start(napi_env env, lhn_call *call);
/* Gives the call to the pool, once more. */
void lhn_call_queue(lhn_call *call);
/* Resolves or rejects the promise, and frees the call. */
void lhn_call_settle(napi_env env, lhn_call *call);
void lhn_call_reject(napi_env env, lhn_call *call);
void lhn_call_free(napi_env env, lhn_call *call);
/* Runs `call->done` in the loop's thread. From any thread. */
void lhn_call_done(lhn_call *call);

/* What JavaScript cancels a call by; it may be kept longer than the call. */
typedef struct {
    void *target;   /* NULL: the call has ended */
    bool forgotten; /* JavaScript has no handle on it any more */
} lhn_ticket;
/* Makes a ticket, and puts its handle into the array. */
lhn_ticket *lhn_ticket_new(napi_env env, void *target, napi_value array);
/* The call ends. NULL is allowed. */
void lhn_ticket_end(lhn_ticket *ticket);

/* ---- Calls in a thread of their own (apart.c) -------------------------------------------------
 */

/* The first member of a struct, as lhn_call. It is in the list of its store until it is done. */
typedef struct lhn_apart lhn_apart;
struct lhn_apart {
    lhn_call call;
    lhn_apart *next;
    lh_cancel *cancel; /* for the options of the library's call */
    lhn_ticket *ticket;
    uv_thread_t thread;
    bool started; /* false: no descriptor or thread was left */
};

void *lhn_apart_new(napi_env env, size_t size, lhn_store *store, napi_value hold,
                    void (*work)(lhn_call *call));
/* Starts the thread; the promise of the result. The array gets the handle for lhn_apart_stop(). */
napi_value lhn_apart_start(napi_env env, lhn_apart *apart, napi_value array);
/* Ends the library's call, a watch within half a second. */
void lhn_apart_cancel(lhn_apart *apart);
/* When the environment ends: waits for the thread. */
void lhn_apart_join(lhn_apart *apart);
/* To be called by `free` of the call. */
void lhn_apart_free(lhn_apart *apart);

/* ---- The environment (addon.c, call.c) --------------------------------------------------------
 */

/* How many commands are sent at once. With more, the acquires of a thousand waiters of one key get
 * in each other's way at its document: with 8, they were in the queue after 72 s and not 24 s. */
enum { LHN_THREADS = 4 };

struct lhn_addon {
    napi_env env;
    napi_async_cleanup_hook_handle hook;
    napi_async_context context; /* for promises that are settled from the loop */
    napi_ref resource;
    uv_async_t done_async; /* wakes the loop: `done` is not empty */
    size_t pending;        /* calls under way; the loop goes on while there are some */
    lhn_store *stores;

    uv_mutex_t mutex; /* protects what follows */
    uv_cond_t todo_cond;
    uv_cond_t row_cond; /* JavaScript has taken a row of a list: operate.c */
    lhn_call *todo, **todo_end;
    lhn_call *done, **done_end;
    uv_thread_t threads[LHN_THREADS];
    size_t n_threads, n_idle;
    bool stopping;
};

lhn_addon *lhn_addon_of(napi_env env);
/* Keeps the loop going, or no longer. */
void lhn_addon_pending(lhn_addon *addon, int change);
/* To be called around whatever runs JavaScript or settles promises from the loop. */
napi_callback_scope lhn_addon_enter(lhn_addon *addon, napi_handle_scope *ret_handles);
void lhn_addon_leave(lhn_addon *addon, napi_callback_scope scope, napi_handle_scope handles);

void lhn_pool_init(lhn_addon *addon);
/* Runs what is queued, and ends the threads. */
void lhn_pool_drain(lhn_addon *addon);
/* Frees the calls that are done, without their results. */
void lhn_pool_discard(lhn_addon *addon);

/* ---- Stores (store.c) -------------------------------------------------------------------------
 */

struct lhn_store {
    lhn_store *next;
    lhn_addon *addon;
    lh_store *store;
    napi_ref on_lost;           /* a function of JavaScript: (lease id) */
    napi_ref log;               /* … (event); NULL: nobody listens */
    size_t calls;               /* under way, without acquires that wait in acquire.c */
    lhn_call *closing;          /* waits until `calls` is 0 */
    struct lhn_acquire *queued; /* acquires that wait: acquire.c */
    lhn_apart *apart;           /* calls in threads of their own */
    bool leaving;               /* its close was asked for */
    bool closed;
    bool forgotten; /* JavaScript has no handle on it any more */
};

/* A call on the store has ended: the last one lets the store be closed. */
void lhn_store_left(lhn_store *store);
/* When the environment ends: closes the store, in this thread. */
void lhn_store_end(lhn_store *store);

/* ---- Acquiring (acquire.c, many.c) ------------------------------------------------------------
 */

/* The options of an acquire, with copies of their texts. */
typedef struct {
    lh_acquire_options options;
    char *texts[3];
} lhn_acquire_options;
void lhn_acquire_options_read(napi_env env, napi_value from, lhn_acquire_options *ret_options);
void lhn_acquire_options_free(lhn_acquire_options *options);

/* Makes {handle, id, token, owner}. The handle frees the lease. */
napi_value lhn_lease_value(napi_env env, lh_lease *lease);
/* Leaves the queue, with a call that the pool runs. */
void lhn_acquire_leave(struct lhn_acquire *acquire);

/* In any thread: gives an event of the store's log to JavaScript (report.c). */
void lhn_log(void *store, const lh_log_event *event);

/* ---- What JavaScript calls; each file has the functions with their arguments ------------------
 */

napi_value lhn_open(napi_env env, napi_callback_info info);
napi_value lhn_close(napi_env env, napi_callback_info info);

napi_value lhn_status(napi_env env, napi_callback_info info);
napi_value lhn_list(napi_env env, napi_callback_info info);
napi_value lhn_break(napi_env env, napi_callback_info info);

napi_value lhn_metrics(napi_env env, napi_callback_info info);
napi_value lhn_key_join(napi_env env, napi_callback_info info);

napi_value lhn_acquire(napi_env env, napi_callback_info info);
napi_value lhn_cancel(napi_env env, napi_callback_info info);
napi_value lhn_acquire_many(napi_env env, napi_callback_info info);
napi_value lhn_apart_stop(napi_env env, napi_callback_info info);
napi_value lhn_watch(napi_env env, napi_callback_info info);

napi_value lhn_attach(napi_env env, napi_callback_info info);
napi_value lhn_renew(napi_env env, napi_callback_info info);
napi_value lhn_release(napi_env env, napi_callback_info info);
napi_value lhn_transfer(napi_env env, napi_callback_info info);
napi_value lhn_note(napi_env env, napi_callback_info info);
napi_value lhn_remaining(napi_env env, napi_callback_info info);

/* ---- Values (value.c) -------------------------------------------------------------------------
 */

enum { LHN_ARGUMENTS = 4 };
/* The arguments of a call from JavaScript; those that are missing are undefined. */
void lhn_arguments(napi_env env, napi_callback_info info, napi_value values[LHN_ARGUMENTS]);
void *lhn_pointer(napi_env env, napi_value external);
napi_value lhn_property(napi_env env, napi_value object, const char *name);

/* A copy, which free() frees. NULL: the value is not a string. */
char *lhn_text(napi_env env, napi_value value);
char *lhn_text_of(napi_env env, napi_value object, const char *name);
/* Copies of an array of strings, which lhn_texts_free() frees; NULL: there is none, or it is
 * empty. */
char **lhn_texts(napi_env env, napi_value array, size_t *ret_n);
void lhn_texts_free(char **texts, size_t n);
/* Infinity is INT64_MAX. */
int64_t lhn_number(napi_env env, napi_value value, int64_t otherwise);
int64_t lhn_number_of(napi_env env, napi_value object, const char *name, int64_t otherwise);
bool lhn_flag_of(napi_env env, napi_value object, const char *name);

napi_value lhn_object(napi_env env);
napi_value lhn_undefined(napi_env env);
napi_value lhn_text_value(napi_env env, const char *text);
/* INT64_MAX is Infinity. */
napi_value lhn_number_value(napi_env env, int64_t number);
void lhn_set(napi_env env, napi_value object, const char *name, napi_value value);
void lhn_set_text(napi_env env, napi_value object, const char *name, const char *text);
/* A token is a BigInt: it may be above 2^53, and surely is from the year 2038 on. */
void lhn_set_token(napi_env env, napi_value object, int64_t token);
int64_t lhn_token_of(napi_env env, napi_value object, const char *name, int64_t otherwise);
void lhn_set_number(napi_env env, napi_value object, const char *name, int64_t number);
void lhn_set_flag(napi_env env, napi_value object, const char *name, bool flag);

napi_value lhn_record_value(napi_env env, const lh_record *record);
/* Undefined if there is no text. */
napi_value lhn_note_value(napi_env env, const char *text, int64_t token, int64_t at_ms);
/* What a promise is rejected with: an object that lib/index.js makes an error of. */
napi_value lhn_failure(napi_env env, int outcome, const lh_error *error, const lh_record *record);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Watches. Each has a thread, because lh_watch() returns only at the end. */
#include "addon.h"

#include <stdlib.h>
#include <string.h>

struct lhn_watch {
    lhn_call call; /* ends with the watch */
    struct lhn_watch *next;
    lh_cancel *cancel;
    uv_thread_t thread;
    bool started;  /* false: no descriptor or thread was left */
    napi_ref each; /* a function of JavaScript: (event) */
    char *prefix, *after, **keys;
    size_t n_keys;
};

enum { TEXTS = 9 };
static const char *const text_names[TEXTS] = {"id",      "key", "how",    "owner", "host",
                                              "purpose", "by",  "reason", "note"};

/* A copy of an event, on its way to the loop's thread. */
struct event {
    lhn_call call;
    struct lhn_watch *watch; /* exists: its end is reported after its last event */
    lh_event event;
    char texts[]; /* those of text_names, each with its NUL */
};

static void report_event(napi_env env, lhn_call *call)
{
    struct event *event = (struct event *)call;
    napi_value value = lhn_object(env), function, ignored;
    const char *text = event->texts;
    for (size_t i = 0; i < TEXTS; text += strlen(text) + 1, i++)
        lhn_set_text(env, value, text_names[i], text);
    lhn_set_text(env, value, "kind", lh_event_word(event->event.kind));
    lhn_set_number(env, value, "at", event->event.at_ms);
    lhn_set_number(env, value, "pid", event->event.pid);
    lhn_set_flag(env, value, "shared", event->event.mode == LH_SHARED);
    lhn_set_token(env, value, event->event.token);
    lhn_set_number(env, value, "expiresAt", event->event.expires_at_ms);
    napi_get_reference_value(env, event->watch->each, &function);
    napi_call_function(env, lhn_undefined(env), function, 1, &value, &ignored);
    lhn_call_free(env, call);
}

/* In the watch's thread. */
static int each_event(void *arg, const lh_event *from)
{
    struct lhn_watch *watch = arg;
    const char *const texts[TEXTS] = {from->id,    from->key,    from->how,
                                      from->owner, from->host,   from->purpose,
                                      from->by,    from->reason, from->note};
    size_t size = sizeof(struct event);
    for (size_t i = 0; i < TEXTS; i++)
        size += strlen(texts[i]) + 1;
    struct event *event = lhn_event_new(watch->call.addon, size, report_event);
    if (!event)
        abort(); /* a missed event would be no less of an error */
    event->watch = watch;
    event->event = *from;
    char *end = event->texts;
    for (size_t i = 0; i < TEXTS; i++)
        end = stpcpy(end, texts[i]) + 1;
    lhn_call_done(&event->call);
    return 0;
}

static void run(void *arg)
{
    struct lhn_watch *watch = arg;
    lh_watch_options options = LH_WATCH_OPTIONS_INIT;
    options.keys = (const char *const *)watch->keys;
    options.n_keys = watch->n_keys;
    options.prefix = watch->prefix;
    options.after = watch->after;
    options.cancel = watch->cancel;
    int outcome =
        lh_watch(watch->call.store->store, &options, each_event, watch, &watch->call.error);
    watch->call.outcome = outcome == LH_CANCELLED ? LH_OK : outcome;
    lhn_call_done(&watch->call);
}

void lhn_watch_cancel(struct lhn_watch *watch)
{
    if (watch->started)
        lh_cancel_now(watch->cancel);
}

struct lhn_watch *lhn_watch_next(struct lhn_watch *watch)
{
    return watch->next;
}

void lhn_watch_join(struct lhn_watch *watch)
{
    if (watch->started)
        uv_thread_join(&watch->thread);
}

static void unlink_watch(struct lhn_watch *watch)
{
    struct lhn_watch **link = &watch->call.store->watches;
    while (*link != watch)
        link = &(*link)->next;
    *link = watch->next;
}

static void done_watch(napi_env env, lhn_call *call)
{
    struct lhn_watch *watch = (struct lhn_watch *)call;
    lhn_watch_join(watch);
    unlink_watch(watch);
    lhn_call_settle(env, call);
}

static void free_watch(lhn_call *call)
{
    struct lhn_watch *watch = (struct lhn_watch *)call;
    napi_delete_reference(call->addon->env, watch->each);
    lh_cancel_free(watch->cancel);
    for (size_t i = 0; i < watch->n_keys; i++)
        free(watch->keys[i]);
    free(watch->keys);
    free(watch->prefix);
    free(watch->after);
}

static void read_keys(napi_env env, napi_value keys, struct lhn_watch *watch)
{
    uint32_t n = 0;
    if (napi_get_array_length(env, keys, &n) != napi_ok || n == 0)
        return;
    watch->keys = calloc(n, sizeof *watch->keys);
    if (!watch->keys)
        abort();
    watch->n_keys = n;
    for (uint32_t i = 0; i < n; i++) {
        napi_value key;
        napi_get_element(env, keys, i, &key);
        watch->keys[i] = lhn_text(env, key);
    }
}

/* (store, {keys, prefix, after}, (event) => undefined, array): the end of the watch. The array
 * gets the handle for lhn_watch_stop(). */
napi_value lhn_watch_start(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    lhn_store *store = lhn_pointer(env, arguments[0]);
    struct lhn_watch *watch = lhn_call_new(env, sizeof *watch, store, arguments[0], NULL);
    watch->call.done = done_watch;
    watch->call.free = free_watch;
    napi_create_reference(env, arguments[2], 1, &watch->each);
    watch->prefix = lhn_text_of(env, arguments[1], "prefix");
    watch->after = lhn_text_of(env, arguments[1], "after");
    read_keys(env, lhn_property(env, arguments[1], "keys"), watch);
    napi_value handle, promise;
    napi_create_external(env, watch, NULL, NULL, &handle);
    napi_set_element(env, arguments[3], 0, handle);
    napi_create_promise(env, &watch->call.deferred, &promise);
    watch->next = store->watches;
    store->watches = watch;
    watch->call.outcome = lh_cancel_new(&watch->cancel, &watch->call.error);
    watch->started =
        watch->call.outcome == LH_OK && uv_thread_create(&watch->thread, run, watch) == 0;
    if (watch->started)
        return promise;
    if (watch->call.outcome == LH_OK)
        watch->call.outcome = LH_MEMORY;
    lhn_call_done(&watch->call);
    return promise;
}

/* (the handle of a watch that has not ended) */
napi_value lhn_watch_stop(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    lhn_watch_cancel(lhn_pointer(env, arguments[0]));
    return NULL;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Watches. Each has a thread, because lh_watch() returns only at the end. */
#include "addon.h"

#include <stdlib.h>
#include <string.h>

struct watch {
    lhn_apart apart; /* ends with the watch */
    napi_ref each;   /* a function of JavaScript: (event) */
    char *prefix, *after, **keys;
    size_t n_keys;
};

enum { TEXTS = 9 };
static const char *const text_names[TEXTS] = {"id",      "key", "how",    "owner", "host",
                                              "purpose", "by",  "reason", "note"};

/* A copy of an event, on its way to the loop's thread. */
struct event {
    lhn_call call;
    struct watch *watch; /* exists: its end is reported after its last event */
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
    lhn_set_number(env, value, "keptUntil", event->event.kept_until_ms);
    napi_get_reference_value(env, event->watch->each, &function);
    napi_call_function(env, lhn_undefined(env), function, 1, &value, &ignored);
    lhn_call_free(env, call);
}

/* In the watch's thread. */
static int each_event(void *arg, const lh_event *from)
{
    struct watch *watch = arg;
    const char *const texts[TEXTS] = {from->id,    from->key,    from->how,
                                      from->owner, from->host,   from->purpose,
                                      from->by,    from->reason, from->note};
    size_t size = sizeof(struct event);
    for (size_t i = 0; i < TEXTS; i++)
        size += strlen(texts[i]) + 1;
    struct event *event = lhn_event_new(watch->apart.call.addon, size, report_event);
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

static void work_watch(lhn_call *call)
{
    struct watch *watch = (struct watch *)call;
    lh_watch_options options = LH_WATCH_OPTIONS_INIT;
    options.keys = (const char *const *)watch->keys;
    options.n_keys = watch->n_keys;
    options.prefix = watch->prefix;
    options.after = watch->after;
    options.cancel = watch->apart.cancel;
    int outcome = lh_watch(call->store->store, &options, each_event, watch, &call->error);
    call->outcome = outcome == LH_CANCELLED ? LH_OK : outcome;
}

static void free_watch(lhn_call *call)
{
    struct watch *watch = (struct watch *)call;
    napi_delete_reference(call->addon->env, watch->each);
    lhn_texts_free(watch->keys, watch->n_keys);
    free(watch->prefix);
    free(watch->after);
    lhn_apart_free(&watch->apart);
}

/* (store, {keys, prefix, after}, (event) => undefined, array): the end of the watch. The array
 * gets the handle for lhn_apart_stop(). */
napi_value lhn_watch(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    lhn_store *store = lhn_pointer(env, arguments[0]);
    struct watch *watch = lhn_apart_new(env, sizeof *watch, store, arguments[0], work_watch);
    watch->apart.call.free = free_watch;
    napi_create_reference(env, arguments[2], 1, &watch->each);
    watch->prefix = lhn_text_of(env, arguments[1], "prefix");
    watch->after = lhn_text_of(env, arguments[1], "after");
    watch->keys = lhn_texts(env, lhn_property(env, arguments[1], "keys"), &watch->n_keys);
    return lhn_apart_start(env, &watch->apart, arguments[3]);
}

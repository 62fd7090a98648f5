/* SPDX-License-Identifier: Apache-2.0
 * The log of a store. Home of: no event contains a secret. Callers pass no command and no document;
 * what they pass of a lease id is cut here, and a message is searched for whole ones: the server
 * may have quoted one.
 *
 * Threads: the callback is constant, and called without a lock, in whichever thread has news, until
 * the store is closed. */
#include "store/log.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/store.h"

#define SHOWN 8 /* characters of a lease id */

/* The store in whose callback this thread is: from there nothing may be sent. */
static _Thread_local const lh_store *inside;

void lh_log_init(lh_store *store, const lh_store_options *options)
{
    store->log = (lh_log_to){.fn = options->log,
                             .arg = options->log_arg,
                             .level = options->log_level ? options->log_level : LH_LEVEL_INFO};
}

void lh_log_fini(lh_store *store)
{
    atomic_store(&store->log.over, true);
    while (atomic_load(&store->log.calls) > 0 && store->pid == getpid())
        lh_clock_sleep(1);
    if (store->log.arg_free)
        store->log.arg_free(store->log.arg);
}

bool lh_log_is_inside(const lh_store *store)
{
    return store->log.fn && inside == store;
}

/* The level of an event that did not fail. */
static int level_of_event(int event)
{
    switch (event) {
    case LH_LOG_LOST:
        return LH_LEVEL_WARNING;
    case LH_LOG_OPENED:
    case LH_LOG_CLOSED:
    case LH_LOG_REPEAT:
    case LH_LOG_ACQUIRE:
    case LH_LOG_RELEASE:
    case LH_LOG_TRANSFER:
        return LH_LEVEL_INFO;
    default:
        return LH_LEVEL_DEBUG;
    }
}

static int level_of(const lh_log_event *event)
{
    int level = level_of_event(event->event);
    switch (event->outcome) {
    case LH_OK:
        return level;
    case LH_LOST:
    case LH_UNKNOWN:
    case LH_UNREACHABLE:
        return event->event == LH_LOG_REPEAT ? level : LH_LEVEL_WARNING;
    case LH_DENIED:
    case LH_CONFIG:
    case LH_DATA:
    case LH_SERVER:
    case LH_MEMORY:
    case LH_BUG:
        return event->event == LH_LOG_COMMAND ? level : LH_LEVEL_ERROR;
    default: /* busy, cancelled, closed: everyday ends of an acquire */
        return LH_LEVEL_DEBUG;
    }
}

/* Of each run of hexadecimal digits that is long enough for a lease id, the beginning stays. */
static void hide_lease_ids(char *text)
{
    for (size_t run; *text; text += run ? run : 1) {
        run = strspn(text, "0123456789abcdef");
        if (run >= LH_LEASE_ID_LEN)
            memset(text + SHOWN, '*', run - SHOWN);
    }
}

static void give(lh_store *store, const lh_log_event *event, int level, const lh_error *error)
{
    lh_log_event all = *event;
    char lease[SHOWN + 1] = "", message[sizeof(((lh_error *)0)->message)] = "";
    all.size = sizeof all;
    all.level = level;
    if (event->lease) {
        memcpy(lease, event->lease, SHOWN);
        all.lease = lease;
    }
    if (error && event->outcome != LH_OK) {
        int reason = lh_error_reason(error, event->outcome);
        all.reason = reason == event->outcome ? 0 : reason;
        all.server_code = error->server_code;
        memcpy(message, error->message, sizeof message);
        hide_lease_ids(message);
    }
    all.message = message;
    const lh_store *outer = inside;
    inside = store;
    atomic_fetch_add(&store->log.calls, 1);
    if (!atomic_load(&store->log.over))
        store->log.fn(store->log.arg, &all);
    atomic_fetch_sub(&store->log.calls, 1);
    inside = outer;
}

void lh_log(lh_store *store, const lh_log_event *event, const lh_error *error)
{
    lh_meter_event(&store->meters, event);
    if (!store->log.fn)
        return;
    int level = level_of(event);
    if (level <= store->log.level)
        give(store, event, level, error);
}

const char *lh_log_word(int event)
{
    switch (event) {
#define X(name, number, word, sentence)                                                            \
    case name:                                                                                     \
        return word;
        LH_LOG_EVENTS(X)
#undef X
    default:
        return "";
    }
}

const char *lh_log_sentence(int event)
{
    switch (event) {
#define X(name, number, word, sentence)                                                            \
    case name:                                                                                     \
        return sentence;
        LH_LOG_EVENTS(X)
#undef X
    default:
        return "";
    }
}

const char *lh_level_word(int level)
{
    static const char *const words[] = {[LH_LEVEL_ERROR] = "error",
                                        [LH_LEVEL_WARNING] = "warning",
                                        [LH_LEVEL_INFO] = "info",
                                        [LH_LEVEL_DEBUG] = "debug"};
    return level >= LH_LEVEL_ERROR && level <= LH_LEVEL_DEBUG ? words[level] : "";
}

/* SPDX-License-Identifier: Apache-2.0
 * lh_watch(): checks the arguments, and starts the watch. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/key.h"
#include "base/options.h"
#include "operate/events_poll.h"
#include "operate/events_shadow.h"
#include "operate/events_stream.h"
#include "operate/events_watching.h"
#include "store/store.h"
#include "store/store_contact.h"
#include "store/store_run.h"

#define KEYS_MAX 1000

const char *lh_event_word(int event)
{
    switch (event) {
#define X(name, number, word)                                                                      \
    case name:                                                                                     \
        return word;
        LH_EVENTS(X)
#undef X
    default:
        return "";
    }
}

static int check_after(lh_watching *w)
{
    uint64_t t, i;
    int end = -1;
    if (!w->options.after || !*w->options.after)
        return LH_OK;
    w->after = true;
    bool good = strspn(w->options.after, "0123456789.") == strlen(w->options.after) &&
                sscanf(w->options.after, "%10" SCNu64 ".%10" SCNu64 ".%9" SCNu64 "%n", &t, &i,
                       &w->skip, &end) == 3 &&
                end == (int)strlen(w->options.after) && t > 0 && t <= UINT32_MAX && i > 0 &&
                i <= UINT32_MAX;
    if (good) {
        w->at = (lh_instant){(uint32_t)t, (uint32_t)i};
        return LH_OK;
    }
    return lh_fail(w->error, LH_INVALID, "\"%.40s\" is not the id of an event", w->options.after);
}

static int check(lh_watching *w)
{
    int outcome = lh_store_check(w->store, w->error);
    if (outcome == LH_OK && !w->each)
        outcome =
            lh_fail(w->error, LH_INVALID, "`each` is NULL: pass a function that takes the events");
    if (outcome == LH_OK && w->options.n_keys > KEYS_MAX)
        outcome =
            lh_fail(w->error, LH_INVALID, "%zu keys are too many: give at most 1,000, or a prefix",
                    w->options.n_keys);
    for (size_t i = 0; i < w->options.n_keys && outcome == LH_OK; i++)
        outcome = lh_key_check(w->options.keys[i],
                               w->options.keys[i] ? strlen(w->options.keys[i]) : 0, w->error);
    if (outcome == LH_OK && w->options.prefix)
        outcome = lh_text_check("prefix", w->options.prefix, strlen(w->options.prefix), 0,
                                LH_KEY_MAX, w->error);
    return outcome == LH_OK ? check_after(w) : outcome;
}

int lh_watch(lh_store *store, const lh_watch_options *options,
             int (*each)(void *arg, const lh_event *event), void *arg, lh_error *error)
{
    lh_error own = LH_ERROR_INIT;
    lh_watching w = {.store = store, .each = each, .arg = arg, .error = error ? error : &own};
    int outcome = lh_watch_options_take(&w.options, options, error);
    if (outcome == LH_OK)
        outcome = check(&w);
    if (outcome == LH_OK)
        outcome = lh_store_contact(store, lh_store_deadline(store, 0), w.error);
    if (outcome != LH_OK)
        return outcome;
    w.on_set = atomic_load(&store->topology) == LH_TOPOLOGY_SET;
    outcome = w.on_set ? lh_watching_follow(&w) : lh_watching_poll(&w);
    lh_shadow_fini(&w.shadow);
    return outcome;
}

/* SPDX-License-Identifier: Apache-2.0
 * Watches a standalone, which has no change streams: reads all watched documents again and
 * again. */
#include "operate/events_poll.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "operate/events_diff.h"
#include "operate/events_shadow.h"
#include "operate/events_watching.h"
#include "store/store.h"
#include "store/store_run.h"

#define PAUSE_MS     200
#define REFUSALS_MAX 8 /* in a row: a single one may pass, such as a killed cursor */
#define SHARE        4 /* a pause lasts at least this many times as long as the last read */

typedef struct {
    lh_watching *w;
    uint64_t round;
    int64_t now_ms, ahead_ms; /* the server's clock, and how far it is ahead of ours */
    int outcome;
} looking;

/* Reads the server's clock, which a read of an empty collection does not return. */
static int ask_clock(looking *l)
{
    bson_t *command = BCON_NEW("hello", BCON_INT32(1)), reply;
    bson_iter_t now;
    lh_call call = {.what = "read the server's clock",
                    .command = command,
                    .deadline = lh_store_deadline(l->w->store, 0),
                    .kind = LH_CALL_BARE};
    int outcome = lh_store_run(l->w->store, &call, &reply, NULL, l->w->error);
    if (outcome == LH_OK && bson_iter_init_find(&now, &reply, "localTime") &&
        BSON_ITER_HOLDS_DATE_TIME(&now))
        l->ahead_ms = bson_iter_date_time(&now) - lh_clock_ms();
    bson_destroy(&reply);
    bson_destroy(command);
    return outcome;
}

static int look_at_one(void *arg, const bson_t *document)
{
    looking *l = arg;
    bson_iter_t now;
    if (bson_iter_init_find(&now, document, "now") && BSON_ITER_HOLDS_DATE_TIME(&now))
        l->ahead_ms = (l->now_ms = bson_iter_date_time(&now)) - lh_clock_ms();
    if (!lh_watching_wants(l->w, document))
        return 0;
    l->outcome =
        lh_watching_put(l->w, lh_shadow_shrink(document), l->round, l->round == 1, l->now_ms);
    return l->outcome != LH_OK || l->w->stopped;
}

static int look(looking *l)
{
    lh_watching *w = l->w;
    bson_t command = BSON_INITIALIZER, part;
    BSON_APPEND_UTF8(&command, "find", w->store->collection);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "filter", &part);
    (void)lh_watching_append_filter(w, "workspace_id", &part);
    bson_append_document_end(&command, &part);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "projection", &part);
    lh_shadow_append_projection(&part);
    BSON_APPEND_UTF8(&part, "now", "$$NOW");
    bson_append_document_end(&command, &part);
    lh_call call = {.what = "watch the keys",
                    .command = &command,
                    .deadline = lh_store_deadline(w->store, 0),
                    .kind = LH_CALL_READ};
    l->round++;
    l->now_ms = lh_clock_ms() + l->ahead_ms;
    l->outcome = LH_OK;
    int outcome = lh_store_each(w->store, &call, look_at_one, l, w->error);
    bson_destroy(&command);
    if (l->outcome != LH_OK)
        return l->outcome;
    return outcome == LH_OK ? lh_watching_sweep(w, l->round, l->now_ms) : outcome;
}

int lh_watching_poll(lh_watching *w)
{
    looking l = {.w = w};
    int outcome = ask_clock(&l);
    if (outcome == LH_OK)
        outcome = look(&l);
    if (outcome != LH_OK)
        return outcome;
    lh_watching_mark(w, w->after ? LH_EVENT_GAP : LH_EVENT_OPENED, l.now_ms);
    for (int refused = 0; !w->stopped;) {
        int64_t start = lh_clock_ms();
        outcome = look(&l);
        if (w->stopped)
            break;
        refused = outcome == LH_SERVER ? refused + 1 : 0;
        if (outcome != LH_OK && outcome != LH_UNREACHABLE &&
            (outcome != LH_SERVER || refused == REFUSALS_MAX))
            return outcome;
        int64_t took = lh_clock_ms() - start;
        outcome = lh_watching_pause(w, took * SHARE > PAUSE_MS ? took * SHARE : PAUSE_MS);
        if (outcome != LH_OK)
            return outcome;
    }
    return lh_fail(w->error, LH_STOPPED, "stopped while watching");
}

/* SPDX-License-Identifier: Apache-2.0
 * Polling. Without a change stream (on a standalone, or while the stream is being opened) the
 * keeper reads the keys that have waiters, in batches. The delay grows from 5 to 250 ms; for the
 * first in the queue to 50 ms.
 *
 * With a change stream it still polls every two seconds. If a key is granted to another client,
 * which dies before it claims the lease, the lease ends sooner than the last known holder's, and no
 * event reports that. */
#include "acquire/wait_poll.h"

#include <stdlib.h>
#include <string.h>

#include "acquire/keeper.h"
#include "acquire/wait.h"
#include "acquire/wait_ask.h"
#include "acquire/wait_table.h"
#include "acquire/watch.h"
#include "base/clock.h"
#include "base/due.h"
#include "lease/lease_look.h"
#include "protocol/doc.h"

#define KEYS_MAX    200
#define IDS_MAX     1000
#define CAP_MS      250
#define HEAD_CAP_MS 50
#define AGAIN_MS    300 /* after the stream was opened: a majority may have had less */
#define PATIENCE_MS 1000

typedef struct {
    lh_store *store; /* first: lh_wait_note_granted() */
    bson_t keys, ids;
    uint32_t n_keys, n_ids;
} poll_batch;

static void schedule(struct lh_waits *waits, lh_spot *spot, int64_t now, bool live)
{
    if (live) {
        lh_due_set(&waits->polls, &spot->poll, now + (spot->again ? AGAIN_MS : LH_SLOW_POLL_MS));
        spot->again = false;
        return;
    }
    bool head = false;
    for (lh_waiting *w = spot->first; w && !head; w = w->next)
        head = w->core.place == 0;
    int64_t cap = head ? HEAD_CAP_MS : CAP_MS;
    if (spot->poll_ms > cap)
        spot->poll_ms = cap;
    lh_due_set(&waits->polls, &spot->poll,
               now + spot->poll_ms / 2 + lh_waits_jitter(waits, spot->poll_ms / 2) + 1);
    spot->poll_ms *= 2;
}

/* After the stream was opened or closed. */
static void change_pace(struct lh_waits *waits, int64_t now, bool live)
{
    waits->live = live;
    for (lh_spot *spot = waits->spots; spot; spot = spot->next) {
        bool late = spot->poll.at > now + CAP_MS;
        if (!live && late)
            lh_due_set(&waits->polls, &spot->poll, now);
        if (live && !late && !spot->again)
            lh_due_set(&waits->polls, &spot->poll, now + LH_SLOW_POLL_MS);
    }
}

static int64_t collect(struct lh_waits *waits, int64_t now, bool live, poll_batch *b)
{
    if (live != waits->live)
        change_pace(waits, now, live);
    while (lh_due_next(waits->polls) <= now + 2 && b->n_keys < KEYS_MAX && b->n_ids < IDS_MAX) {
        lh_spot *spot = lh_due_of(waits->polls, lh_spot, poll);
        lh_doc_append_text(&b->keys, &b->n_keys, spot->key, strlen(spot->key));
        for (lh_waiting *w = spot->first; w && b->n_ids < IDS_MAX; w = w->next)
            lh_doc_append_text(&b->ids, &b->n_ids, w->id, LH_LEASE_ID_LEN);
        schedule(waits, spot, now, live);
    }
    return lh_due_next(waits->polls);
}

static void note_queued(void *arg, const char *id, bool first)
{
    struct lh_waits *waits = ((poll_batch *)arg)->store->waits;
    if (!first)
        return;
    pthread_mutex_lock(&waits->lock);
    lh_waiting *w = lh_waits_find(waits, id);
    if (w)
        w->core.place = 0;
    pthread_mutex_unlock(&waits->lock);
}

static void note_end(void *arg, const char *key, int64_t in_ms)
{
    struct lh_waits *waits = ((poll_batch *)arg)->store->waits;
    pthread_mutex_lock(&waits->lock);
    lh_spot *spot = lh_waits_spot(waits, key);
    if (spot)
        lh_wait_set_timer(spot->first, in_ms);
    pthread_mutex_unlock(&waits->lock);
}

int64_t lh_wait_polls(lh_store *store, struct _mongoc_client_t *client, int64_t now)
{
    struct lh_waits *waits = store->waits;
    poll_batch b = {.store = store, .keys = BSON_INITIALIZER, .ids = BSON_INITIALIZER};
    pthread_mutex_lock(&waits->lock);
    bool any = waits->n > 0;
    pthread_mutex_unlock(&waits->lock);
    if (any)
        lh_watch_want(store);
    pthread_mutex_lock(&waits->lock);
    int64_t next = collect(waits, now, lh_watch_is_live(store), &b);
    pthread_mutex_unlock(&waits->lock);
    if (b.n_keys > 0) {
        lh_look to = {
            .granted = lh_wait_note_granted, .queued = note_queued, .ends = note_end, .arg = &b};
        lh_context context = {.deadline = lh_clock_ms() + PATIENCE_MS, .client = client};
        /* if it fails, the next poll follows */
        (void)lh_lease_look(store, &b.keys, &b.ids, &to, context, NULL);
    }
    bson_destroy(&b.keys);
    bson_destroy(&b.ids);
    return next;
}

void lh_wait_look_again(lh_store *store)
{
    struct lh_waits *waits = store->waits;
    int64_t now = lh_clock_ms();
    pthread_mutex_lock(&waits->lock);
    for (lh_spot *spot = waits->spots; spot; spot = spot->next) {
        lh_due_set(&waits->polls, &spot->poll, now);
        spot->again = true;
    }
    pthread_mutex_unlock(&waits->lock);
    lh_keeper_poke(store, now);
}

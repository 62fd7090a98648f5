/* SPDX-License-Identifier: Apache-2.0
 * Beats. A waiter shows three times in claim_ms that it is alive, by a timer that nothing else
 * resets. The keeper sends the beats of all waiters, up to 1,000 in a command; those of one key are
 * one statement. If a beat does not find its waiter in the queue, the waiter was granted or
 * dropped, and asks again. So this timer finds whatever no event reported. */
#include "acquire/wait_beat.h"

#include <stdlib.h>
#include <string.h>

#include "acquire/keeper.h"
#include "acquire/wait.h"
#include "acquire/wait_belief.h"
#include "acquire/wait_table.h"
#include "base/clock.h"
#include "base/due.h"
#include "lease/lease_look.h"
#include "protocol/doc.h"
#include "protocol/pipeline_batch.h"
#include "store/store_run.h"

#define BATCH_MAX 1000

typedef struct {
    lh_store *store;            /* first: lh_wait_note_granted() */
    lh_waiting *who[BATCH_MAX]; /* referenced */
    lh_batch_beat what[BATCH_MAX];
    char ids[BATCH_MAX][LH_LEASE_ID_ROOM]; /* as sent; a waiter may get another id meanwhile */
    size_t n;
    int64_t shortest_claim_ms, sent;
} batch;

static void add(batch *b, lh_waiting *w, int64_t now)
{
    lh_wait_beat_at(w, now + w->claim_ms / 3);
    if (!lh_wait_hears(w->core.state)) /* not asked for yet, or it begins anew */
        return;
    memcpy(b->ids[b->n], w->id, LH_LEASE_ID_ROOM);
    b->what[b->n] =
        (lh_batch_beat){.key = w->key, .id = b->ids[b->n], .beat = lh_beats_add(&w->beats, now)};
    b->who[b->n++] = w;
    w->refs++;
    w->seen = false;
    if (b->shortest_claim_ms == 0 || w->claim_ms < b->shortest_claim_ms)
        b->shortest_claim_ms = w->claim_ms;
}

/* Collects the waiters that are due or nearly so. With one waiter of a key it takes all that are
 * half-way to their next beat: a statement serves one key, and from then on they beat together. */
static void collect(struct lh_waits *waits, int64_t now, batch *b)
{
    while (b->n < BATCH_MAX && waits->beats) {
        lh_waiting *next = lh_due_of(waits->beats, lh_waiting, beat);
        if (next->beat.at > now + next->claim_ms / 12)
            return;
        for (lh_waiting *w = next->spot->first; w && b->n < BATCH_MAX; w = w->next)
            if (w->beat.at <= now + w->claim_ms / 6)
                add(b, w, now);
    }
}

static void note_queued(void *arg, const char *id, bool first)
{
    batch *b = arg;
    struct lh_waits *waits = b->store->waits;
    pthread_mutex_lock(&waits->lock);
    lh_waiting *w = lh_waits_find(waits, id);
    if (w) {
        w->seen = true;
        if (first)
            w->core.place = 0;
    }
    pthread_mutex_unlock(&waits->lock);
}

/* Finds out which of them are still in their queues. */
static int look(batch *b, lh_context context)
{
    bson_t keys = BSON_INITIALIZER, ids = BSON_INITIALIZER;
    uint32_t n_keys = 0, n_ids = 0;
    for (size_t i = 0; i < b->n; i++) {
        lh_doc_append_text(&ids, &n_ids, b->ids[i], LH_LEASE_ID_LEN);
        if (i > 0 && strcmp(b->what[i].key, b->what[i - 1].key) == 0)
            continue;
        lh_doc_append_text(&keys, &n_keys, b->what[i].key, strlen(b->what[i].key));
    }
    lh_look to = {.granted = lh_wait_note_granted, .queued = note_queued, .arg = b};
    int outcome = lh_lease_look(b->store, &keys, &ids, &to, context, NULL);
    bson_destroy(&keys);
    bson_destroy(&ids);
    return outcome;
}

/* `all`: every statement matched. Else the waiters that were seen beat again at once, without
 * those that are gone. */
static void finish(batch *b, bool answered, bool all)
{
    struct lh_waits *waits = b->store->waits;
    int64_t now = lh_clock_ms();
    pthread_mutex_lock(&waits->lock);
    for (size_t i = 0; i < b->n; i++) {
        lh_waiting *w = b->who[i];
        if (!lh_wait_is_waiting(w->core.state) || strcmp(w->id, b->ids[i]) != 0 ||
            (answered && all))
            continue;
        if (!answered || w->seen)
            lh_wait_beat_at(w, answered ? now : now + w->claim_ms / 12);
        else
            (void)lh_wait_apply(w, &(lh_wait_event){.kind = LH_WAIT_MISSED, .now = now});
    }
    pthread_mutex_unlock(&waits->lock);
    for (size_t i = 0; i < b->n; i++)
        lh_wait_unref(b->who[i]);
}

static void send(batch *b, struct _mongoc_client_t *client)
{
    lh_store *store = b->store;
    lh_context context = {.deadline = lh_clock_ms() + b->shortest_claim_ms / 2, .client = client};
    bson_t command = BSON_INITIALIZER, reply;
    size_t statements;
    lh_batch_beats(store->collection, b->what, b->n, &statements, &command);
    lh_call call = {.what = "keep the place in the queue",
                    .operation = LH_OPERATION_WAIT,
                    .command = &command,
                    .deadline = context.deadline,
                    .client = client};
    int outcome = lh_store_run(store, &call, &reply, NULL, NULL);
    bool all = outcome == LH_OK && lh_reply_n(&reply) == (int64_t)statements;
    if (outcome == LH_OK && !all)
        outcome = look(b, context);
    finish(b, outcome == LH_OK, all);
    bson_destroy(&command);
    bson_destroy(&reply);
}

int64_t lh_wait_beats(lh_store *store, struct _mongoc_client_t *client, int64_t now)
{
    struct lh_waits *waits = store->waits;
    batch *b = NULL;
    pthread_mutex_lock(&waits->lock);
    int64_t next = lh_due_next(waits->beats);
    if (next <= now && (b = malloc(sizeof *b))) {
        b->store = store;
        b->n = 0;
        b->shortest_claim_ms = 0;
        collect(waits, now, b);
    }
    pthread_mutex_unlock(&waits->lock);
    if (!b)
        return next <= now ? now + 100 : next; /* out of memory: try again soon */
    if (b->n > 0)
        send(b, client);
    free(b);
    return now; /* other beats may have become due during the batch */
}

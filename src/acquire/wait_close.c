/* SPDX-License-Identifier: Apache-2.0
 * A store's waiters, keeper and watcher from its opening to its end. */
#include "acquire/wait_close.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acquire/keeper.h"
#include "acquire/wait.h"
#include "acquire/wait_ask.h"
#include "acquire/wait_beat.h"
#include "acquire/wait_poll.h"
#include "acquire/wait_table.h"
#include "acquire/watch.h"
#include "base/clock.h"
#include "base/error.h"
#include "lease/lease.h"
#include "lease/lease_held.h"
#include "lease/lease_look.h"
#include "protocol/doc.h"
#include "protocol/pipeline_batch.h"
#include "store/store_run.h"

#define BATCH_MAX 1000

/* The keeper's duty: all that waiters need. */
static int64_t do_duty(lh_store *store, struct _mongoc_client_t *client, int64_t now)
{
    int64_t (*const parts[])(lh_store *, struct _mongoc_client_t *,
                             int64_t) = {lh_wait_beats, lh_wait_asks, lh_wait_polls};
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !atomic_load(&store->stopping); i++) {
        int64_t part = parts[i](store, client, i == 0 ? now : lh_clock_ms());
        if (part < next)
            next = part;
    }
    return next;
}

void lh_wait_fini(lh_store *store)
{
    lh_keeper_free(store);
    lh_watch_free(store);
    if (!store->waits)
        return;
    pthread_cond_destroy(&store->waits->changed);
    pthread_mutex_destroy(&store->waits->lock);
    free(store->waits);
    store->waits = NULL;
}

int lh_wait_init(lh_store *store, lh_error *error)
{
    struct lh_waits *waits = calloc(1, sizeof *waits);
    if (!waits)
        return lh_fail_memory(error);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&waits->lock, NULL);
    pthread_cond_init(&waits->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    waits->dice = (uint64_t)lh_clock_ms() ^ (uintptr_t)waits;
    store->waits = waits;
    int outcome = lh_keeper_new(store, do_duty, error);
    if (outcome == LH_OK)
        outcome = lh_watch_new(
            store, (lh_watch_to){.granted = lh_wait_granted, .opened = lh_wait_look_again}, error);
    return outcome;
}

/* Waiters that the closing found in the table, with their places in queues. */
typedef struct {
    lh_store *store;
    lh_waiting *who[BATCH_MAX]; /* referenced */
    size_t n;
    int64_t deadline;
} leavers;

static void leave_granted(void *arg, const lh_grant *grant, int64_t now_ms)
{
    leavers *l = arg;
    (void)now_ms;
    for (size_t i = 0; i < l->n && lh_clock_ms() < l->deadline; i++)
        if (strcmp(l->who[i]->id, grant->id) == 0)
            lh_lease_release_id(l->store, l->who[i]->key, grant->id, l->who[i]->o.ttl_ms,
                                (lh_context){l->deadline, NULL});
}

/* Takes them out of their queues, and releases those that were granted meanwhile. */
static void unqueue(leavers *l)
{
    lh_batch_beat what[BATCH_MAX];
    bson_t command = BSON_INITIALIZER, reply, keys = BSON_INITIALIZER, ids = BSON_INITIALIZER;
    uint32_t n_keys = 0, n_ids = 0;
    for (size_t i = 0; i < l->n; i++) {
        lh_doc_append_text(&keys, &n_keys, l->who[i]->key, strlen(l->who[i]->key));
        lh_doc_append_text(&ids, &n_ids, l->who[i]->id, LH_LEASE_ID_LEN);
        what[i] = (lh_batch_beat){.key = l->who[i]->key, .id = l->who[i]->id};
    }
    if (lh_clock_ms() < l->deadline) {
        lh_batch_unqueue(l->store->collection, what, l->n, &command);
        lh_call call = {.what = "leave the queues",
                        .operation = LH_OPERATION_WAIT,
                        .command = &command,
                        .deadline = l->deadline};
        (void)lh_store_run(l->store, &call, &reply, NULL, NULL);
        bson_destroy(&reply);
        lh_look look = {.granted = leave_granted, .arg = l};
        (void)lh_lease_look(l->store, &keys, &ids, &look, (lh_context){l->deadline, NULL}, NULL);
    }
    bson_destroy(&command);
    bson_destroy(&keys);
    bson_destroy(&ids);
}

/* Ends all waits. Returns the waiters that stood in queues, each with a reference, chained by
 * `next`: closing allocates no memory. */
static lh_waiting *close_table(lh_store *store)
{
    struct lh_waits *waits = store->waits;
    lh_waiting *chain = NULL;
    pthread_mutex_lock(&waits->lock);
    waits->closed = true;
    while (waits->spots) {
        lh_waiting *w = waits->spots->first;
        w->refs++;
        (void)lh_fail(&w->error, LH_CLOSED, "the store was closed during the wait for \"%s\"",
                      w->key);
        (void)lh_wait_apply(w, &(lh_wait_event){.kind = LH_WAIT_CLOSE}); /* out of the table */
        w->next = chain;
        chain = w;
    }
    pthread_mutex_unlock(&waits->lock);
    return chain;
}

/* Takes up to a batch of them out of their queues. Returns the rest of the chain. */
static lh_waiting *leave_some(lh_store *store, lh_waiting *chain, int64_t deadline)
{
    leavers l = {.store = store, .deadline = deadline};
    for (; chain && l.n < BATCH_MAX; chain = chain->next)
        l.who[l.n++] = chain;
    unqueue(&l);
    for (size_t i = 0; i < l.n; i++)
        lh_wait_unref(l.who[i]);
    return chain;
}

void lh_wait_stop(lh_store *store, int64_t deadline)
{
    struct lh_waits *waits = store->waits;
    if (!waits)
        return;
    atomic_store(&store->stopping, true);
    lh_held_shut(store);
    lh_waiting *chain = close_table(store);
    lh_watch_stop(store);
    lh_keeper_stop(store);
    pthread_mutex_lock(&waits->lock);
    while (waits->leaving > 0) /* other threads are at it; their commands are bounded */
        pthread_cond_wait(&waits->changed, &waits->lock);
    pthread_mutex_unlock(&waits->lock);
    lh_held_await_empty(store);
    while (chain)
        chain = leave_some(store, chain, deadline);
}

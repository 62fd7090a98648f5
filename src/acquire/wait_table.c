/* SPDX-License-Identifier: Apache-2.0
 * The table of a store's waiters, by lease id and by key; and the effect of a grant by another
 * client's command. */
#include "acquire/wait_table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "acquire/keeper.h"
#include "acquire/wait.h"
#include "acquire/wait_belief.h"
#include "acquire/watch.h"
#include "base/clock.h"
#include "base/due.h"
#include "base/error.h"
#include "base/key.h"
#include "lease/lease.h"
#include "lease/lease_handle.h"
#include "lease/lease_held.h"
#include "store/store.h"

#define FIRST_POLL_MS  5
#define CLAIM_AFTER_MS 100

static size_t bucket_of(const char *text)
{
    uint64_t hash = lh_text_hash(text);
    return (size_t)(hash ^ (hash >> 32)) % LH_WAIT_BUCKETS;
}

int64_t lh_waits_jitter(struct lh_waits *waits, int64_t max)
{
    waits->dice = waits->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return max > 0 ? (int64_t)((waits->dice >> 33) % (uint64_t)(max + 1)) : 0;
}

lh_spot *lh_waits_spot(struct lh_waits *waits, const char *key)
{
    lh_spot *spot = waits->keys[bucket_of(key)];
    while (spot && strcmp(spot->key, key) != 0)
        spot = spot->next_of_key;
    return spot;
}

static lh_spot *make_spot(const lh_store *store, const char *key)
{
    struct lh_waits *waits = store->waits;
    size_t size = strlen(key) + 1;
    lh_spot *spot = calloc(1, sizeof *spot + size);
    if (!spot)
        return NULL;
    memcpy(spot->key, key, size);
    spot->end = spot->poll = (lh_due)LH_DUE_NEVER;
    spot->poll_ms = FIRST_POLL_MS;
    lh_due_set(&waits->polls, &spot->poll,
               lh_clock_ms() + (lh_watch_is_live(store) ? LH_SLOW_POLL_MS : FIRST_POLL_MS));
    lh_spot **bucket = &waits->keys[bucket_of(key)];
    spot->next_of_key = *bucket;
    *bucket = spot;
    spot->next = waits->spots;
    if (waits->spots)
        waits->spots->previous = spot;
    waits->spots = spot;
    return spot;
}

static void drop_spot(struct lh_waits *waits, lh_spot *spot)
{
    lh_spot **link = &waits->keys[bucket_of(spot->key)];
    while (*link != spot)
        link = &(*link)->next_of_key;
    *link = spot->next_of_key;
    if (spot->previous)
        spot->previous->next = spot->next;
    else
        waits->spots = spot->next;
    if (spot->next)
        spot->next->previous = spot->previous;
    lh_due_set(&waits->ends, &spot->end, INT64_MAX);
    lh_due_set(&waits->polls, &spot->poll, INT64_MAX);
    free(spot);
}

static void link_id(struct lh_waits *waits, lh_waiting *w)
{
    lh_waiting **bucket = &waits->ids[bucket_of(w->id)];
    w->next_of_id = *bucket;
    *bucket = w;
}

static void unlink_id(struct lh_waits *waits, lh_waiting *w)
{
    lh_waiting **link = &waits->ids[bucket_of(w->id)];
    while (*link != w)
        link = &(*link)->next_of_id;
    *link = w->next_of_id;
}

int lh_waits_add(struct lh_waits *waits, lh_waiting *w, lh_error *error)
{
    int outcome = LH_OK;
    pthread_mutex_lock(&waits->lock);
    lh_spot *spot = NULL;
    if (waits->closed)
        outcome = lh_fail(error, LH_CLOSED, "the store is being closed");
    else if (!(spot = lh_waits_spot(waits, w->key)) && !(spot = make_spot(w->store, w->key)))
        outcome = lh_fail_memory(error);
    if (spot) {
        w->spot = spot;
        w->previous = spot->last;
        w->next = NULL;
        if (spot->last)
            spot->last->next = w;
        else
            spot->first = w;
        spot->last = w;
        link_id(waits, w);
        waits->n++;
        lh_meter_add(&w->store->meters, LH_METER(waiting), 1);
        lh_wait_beat_at(w, lh_clock_ms() + w->claim_ms / 3);
        lh_wait_plan(w);
    }
    pthread_mutex_unlock(&waits->lock);
    return outcome;
}

void lh_waits_remove(struct lh_waits *waits, lh_waiting *w)
{
    lh_spot *spot = w->spot;
    if (!spot)
        return;
    unlink_id(waits, w);
    if (w->previous)
        w->previous->next = w->next;
    else
        spot->first = w->next;
    if (w->next)
        w->next->previous = w->previous;
    else
        spot->last = w->previous;
    w->spot = NULL;
    lh_due_set(&waits->beats, &w->beat, INT64_MAX);
    lh_due_set(&waits->turns, &w->turn, INT64_MAX);
    waits->n--;
    lh_meter_drop(&w->store->meters, LH_METER(waiting));
    if (!spot->first)
        drop_spot(waits, spot);
}

void lh_wait_plan(lh_waiting *w)
{
    if (!w->spot)
        return;
    int64_t ask_at = w->core.ask_at;
    bool idle = w->core.state == LH_WAIT_QUEUED || w->core.state == LH_WAIT_SPENT;
    int64_t at = w->attended || w->until > ask_at ? ask_at : w->until;
    lh_due_set(&w->store->waits->turns, &w->turn, idle ? at : INT64_MAX);
}

void lh_wait_beat_at(lh_waiting *w, int64_t at)
{
    if (w->spot)
        lh_due_set(&w->store->waits->beats, &w->beat, at);
}

void lh_waits_rename(struct lh_waits *waits, lh_waiting *w, const char *id)
{
    if (w->spot)
        unlink_id(waits, w);
    memcpy(w->id, id, LH_LEASE_ID_ROOM);
    if (w->spot)
        link_id(waits, w);
}

lh_waiting *lh_waits_find(struct lh_waits *waits, const char *id)
{
    lh_waiting *w = waits->ids[bucket_of(id)];
    while (w && strcmp(w->id, id) != 0)
        w = w->next_of_id;
    return w;
}

static void follow(lh_waiting *w, unsigned actions)
{
    struct lh_waits *waits = w->store->waits;
    uint64_t one = 1;
    if (lh_wait_is_waiting(w->core.state))
        lh_wait_plan(w);
    else
        lh_waits_remove(waits, w);
    if (!(actions & LH_WAIT_DO_SETTLE))
        return;
    if (w->fd >= 0) {
        ssize_t wrote = write(w->fd, &one, sizeof one);
        (void)wrote; /* an eventfd takes it */
    }
    pthread_cond_broadcast(&waits->changed);
}

unsigned lh_wait_apply(lh_waiting *w, const lh_wait_event *event)
{
    unsigned actions = lh_wait_step(&w->core, event);
    follow(w, actions);
    return actions;
}

void lh_wait_settle(lh_waiting *w, int outcome)
{
    follow(w, lh_wait_settle_core(&w->core, outcome));
}

static void free_waiting(lh_waiting *w)
{
    if (w->fd >= 0)
        (void)close(w->fd);
    lh_lease_free(w->lease);
    lh_record_free(w->record);
    free(w->key);
    free(w->owner);
    free(w->purpose);
    lh_store_unref(w->store);
    free(w);
}

void lh_wait_unref(lh_waiting *w)
{
    struct lh_waits *waits = w->store->waits;
    pthread_mutex_lock(&waits->lock);
    bool last = --w->refs == 0;
    pthread_mutex_unlock(&waits->lock);
    if (last)
        free_waiting(w);
}

/* The grant is believed until `deadline`. The lease is in `held` and known to the keeper before
 * its waiter can learn of it and release it. */
static int take_grant(lh_waiting *w, const lh_grant *grant, int64_t deadline)
{
    lh_lease *lease;
    int outcome = lh_lease_believe(&(lh_granted){.store = w->store,
                                                 .key = w->key,
                                                 .id = w->id,
                                                 .o = &w->o,
                                                 .deadline = deadline,
                                                 .token = grant->token,
                                                 .expires_at_ms = grant->expires_at_ms,
                                                 .crowded = w->waiting > 1,
                                                 .unclaimed = true},
                                   &lease, &w->error);
    if (outcome != LH_OK)
        return outcome;
    /* The keeper claims it by a renewal, but not at once: a lease that is released by then needs
     * no claim. Where a key changes hands quickly, that saves a third of all writes. */
    int64_t now = lh_clock_ms(), pause = (deadline - now) / 20;
    outcome =
        lh_keeper_take(lease, now + (pause < CLAIM_AFTER_MS ? pause : CLAIM_AFTER_MS), &w->error);
    if (outcome == LH_OK) {
        w->lease = lease;
        return outcome;
    }
    (void)lh_lease_end(lease); /* no thread can be started to keep it */
    lh_lease_free(lease);
    return outcome;
}

void lh_wait_granted(lh_store *store, const lh_grant *grant)
{
    struct lh_waits *waits = store->waits;
    char granted[LH_KEY_MAX + 1] = ""; /* the key: the waiting thread may free the waiter at once */
    pthread_mutex_lock(&waits->lock);
    lh_waiting *w = lh_waits_find(waits, grant->id);
    if (w && lh_wait_hears(w->core.state)) {
        int64_t now = lh_clock_ms(),
                deadline = lh_beats_deadline(&w->beats, grant->beat, w->o.ttl_ms, w->claim_ms);
        bool good = grant->beat >= 0 && deadline > now;
        lh_wait_event event = {.kind = LH_WAIT_GRANTED,
                               .now = now,
                               .outcome = good ? take_grant(w, grant, deadline) : LH_BUSY,
                               .token = grant->token,
                               .spends = grant->beat >= 0};
        memcpy(granted, w->key, event.outcome == LH_OK ? strlen(w->key) : 0);
        if (!(lh_wait_apply(w, &event) & LH_WAIT_DO_SETTLE))
            lh_keeper_poke(store, now);
    }
    pthread_mutex_unlock(&waits->lock);
    if (*granted)
        lh_log(
            store,
            &(lh_log_event){
                .event = LH_LOG_GRANTED, .token = grant->token, .key = granted, .lease = grant->id},
            NULL);
}

void lh_wait_note_granted(void *arg, const lh_grant *grant, int64_t now_ms)
{
    (void)now_ms;
    lh_wait_granted(*(lh_store **)arg, grant);
}

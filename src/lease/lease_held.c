/* SPDX-License-Identifier: Apache-2.0
 * What a store holds and what it doubts, in two lists, with a lock of their own. */
#include "lease/lease_held.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/due.h"
#include "base/error.h"
#include "base/known.h"

/* of more than these the caller alone is told; they end with their ttls */
#define DOUBTS_MAX     1000
#define PAUSE_FIRST_MS 250 /* after a release that was not answered */
#define PAUSE_CAP_MS   5000

/* A straggler (an acquire whose sender stopped listening) may still be applied until its maxTimeMS
 * after it arrives: only an answer to a release that was sent after that, `sure_at`, settles the
 * matter. The settled ones are kept until their end: an answer to somebody who renews it under its
 * id may be on its way still. */
struct lh_doubt {
    struct lh_doubt *next;
    int64_t until; /* on lh_clock_ms(), as all: by then it has ended by itself */
    int64_t sure_at, try_at, pause_ms;
    bool sent, settled;
    char id[LH_LEASE_ID_ROOM];
    char key[];
};

int lh_held_new(lh_store *store, const lh_store_options *options, lh_error *error)
{
    struct lh_held *held = calloc(1, sizeof *held);
    if (!held || !(held->known = lh_known_new())) {
        free(held);
        return lh_fail_memory(error);
    }
    held->on_lost = options->on_lost;
    held->on_lost_arg = options->on_lost_arg;
    held->enforced = store->rollout == LH_ENFORCE;
    atomic_init(&held->clock_ahead, INT64_MIN);
    pthread_mutex_init(&held->lock, NULL);
    pthread_cond_init(&held->changed, NULL);
    store->held = held;
    return LH_OK;
}

void lh_held_free(lh_store *store)
{
    if (!store->held)
        return;
    lh_known_free(store->held->known);
    pthread_cond_destroy(&store->held->changed);
    pthread_mutex_destroy(&store->held->lock);
    free(store->held);
    store->held = NULL;
}

int lh_held_enter(lh_store *store, lh_error *error)
{
    pthread_mutex_lock(&store->held->lock);
    bool closing = store->held->closing;
    if (!closing)
        store->held->inside++;
    pthread_mutex_unlock(&store->held->lock);
    return closing ? lh_fail(error, LH_CLOSED, "the store is being closed") : LH_OK;
}

void lh_held_exit(lh_store *store)
{
    pthread_mutex_lock(&store->held->lock);
    lh_assert(store->held->inside > 0);
    if (--store->held->inside == 0)
        pthread_cond_broadcast(&store->held->changed);
    pthread_mutex_unlock(&store->held->lock);
}

void lh_held_shut(lh_store *store)
{
    pthread_mutex_lock(&store->held->lock);
    store->held->closing = true;
    pthread_mutex_unlock(&store->held->lock);
}

void lh_held_await_empty(lh_store *store)
{
    pthread_mutex_lock(&store->held->lock);
    while (store->held->inside > 0)
        pthread_cond_wait(&store->held->changed, &store->held->lock);
    pthread_mutex_unlock(&store->held->lock);
}

void lh_held_set_released(lh_store *store)
{
    pthread_mutex_lock(&store->held->lock);
    store->held->released = true;
    pthread_cond_broadcast(&store->held->changed);
    pthread_mutex_unlock(&store->held->lock);
}

void lh_held_await_released(lh_store *store)
{
    pthread_mutex_lock(&store->held->lock);
    while (!store->held->released)
        pthread_cond_wait(&store->held->changed, &store->held->lock);
    pthread_mutex_unlock(&store->held->lock);
}

bool lh_held_add(lh_lease *lease)
{
    lh_store *store = lease->store;
    pthread_mutex_lock(&store->held->lock);
    bool added = !lease->held;
    if (added) {
        lease->next = store->held->leases;
        if (store->held->leases)
            store->held->leases->previous = lease;
        store->held->leases = lease;
        lease->held = true;
        lh_meter_add(&store->meters, LH_METER(holding), 1);
    }
    pthread_mutex_unlock(&store->held->lock);
    return added;
}

static bool unlink_locked(lh_lease *lease)
{
    if (!lease->held)
        return false;
    if (lease->previous)
        lease->previous->next = lease->next;
    else
        lease->store->held->leases = lease->next;
    if (lease->next)
        lease->next->previous = lease->previous;
    lease->next = lease->previous = NULL;
    lease->held = false;
    lh_meter_drop(&lease->store->meters, LH_METER(holding));
    lh_due_set(&lease->store->held->renewals[lease->hurried], &lease->renewal, INT64_MAX);
    lh_due_set(&lease->store->held->ends, &lease->end, INT64_MAX);
    return true;
}

bool lh_held_remove(lh_lease *lease)
{
    if (lease->store->pid !=
        /* a forked child frees it: nobody looks at the list there, or lets go of its lock */
        getpid())
        return false;
    pthread_mutex_lock(&lease->store->held->lock);
    bool was_held = unlink_locked(lease);
    pthread_mutex_unlock(&lease->store->held->lock);
    return was_held;
}

void lh_held_by_hand(lh_lease *lease)
{
    lh_store *store = lease->store;
    pthread_mutex_lock(&store->held->lock);
    lease->by_hand = true;
    if (!atomic_load(&lease->unclaimed))
        lh_due_set(&store->held->renewals[lease->hurried], &lease->renewal, INT64_MAX);
    pthread_mutex_unlock(&store->held->lock);
}

/* The doubt of `lease_id`, or NULL. Takes out those whose time has passed. */
static struct lh_doubt *find_doubt_locked(lh_store *store, const char *lease_id, int64_t now)
{
    struct lh_doubt *found = NULL;
    for (struct lh_doubt **at = &store->held->doubts; *at;) {
        struct lh_doubt *doubt = *at;
        if (strcmp(doubt->id, lease_id) == 0)
            found = doubt;
        if (doubt->until > now || doubt == found) {
            at = &doubt->next;
            continue;
        }
        *at = doubt->next;
        store->held->n_doubts--;
        free(doubt);
    }
    return found;
}

static struct lh_doubt *add_doubt_locked(lh_store *store, const char *key, const char *lease_id)
{
    size_t len = strlen(key) + 1;
    struct lh_doubt *doubt =
        store->held->n_doubts < DOUBTS_MAX ? calloc(1, sizeof *doubt + len) : NULL;
    if (!doubt)
        return NULL;
    memcpy(doubt->id, lease_id, LH_LEASE_ID_ROOM);
    memcpy(doubt->key, key, len);
    doubt->next = store->held->doubts;
    store->held->doubts = doubt;
    store->held->n_doubts++;
    return doubt;
}

/* False: no room or memory for it. */
static bool doubt(lh_store *store, const char *key, const char *lease_id, int64_t ttl_ms, bool sent,
                  bool settled)
{
    int64_t now = lh_clock_ms(), sure_at = now + store->socket_timeout_ms, until = sure_at + ttl_ms;
    pthread_mutex_lock(&store->held->lock);
    struct lh_doubt *d = find_doubt_locked(store, lease_id, now);
    if (!d)
        d = add_doubt_locked(store, key, lease_id);
    if (d) {
        d->until = until > d->until ? until : d->until;
        d->sure_at = sure_at;
        d->try_at = now;
        d->pause_ms = PAUSE_FIRST_MS;
        d->settled = settled;
        d->sent |= sent;
    }
    pthread_mutex_unlock(&store->held->lock);
    return d != NULL;
}

void lh_held_doubt(lh_store *store, const char *key, const char *lease_id, int64_t ttl_ms,
                   bool sent)
{
    if (doubt(store, key, lease_id, ttl_ms, sent, false))
        store->hooks->doubted(store);
}

void lh_held_bar(lh_store *store, const char *key, const char *lease_id, int64_t ttl_ms)
{
    (void)doubt(store, key, lease_id, ttl_ms, true, true);
}

bool lh_held_forget_doubt(lh_store *store, const char *lease_id)
{
    pthread_mutex_lock(&store->held->lock);
    struct lh_doubt *doubt =
        store->held->doubts ? find_doubt_locked(store, lease_id, lh_clock_ms()) : NULL;
    bool sent = doubt && doubt->sent;
    if (doubt && !sent) {
        struct lh_doubt **at = &store->held->doubts;
        while (*at != doubt)
            at = &(*at)->next;
        *at = doubt->next;
        store->held->n_doubts--;
        free(doubt);
    }
    pthread_mutex_unlock(&store->held->lock);
    return !sent;
}

static void copy_doubt(const struct lh_doubt *doubt, lh_doubtful *ret)
{
    memcpy(ret->id, doubt->id, sizeof doubt->id);
    memcpy(ret->key, doubt->key, strlen(doubt->key) + 1);
}

bool lh_held_next_doubt(lh_store *store, int64_t now, lh_doubtful *ret_doubt, int64_t *ret_next)
{
    struct lh_doubt *found = NULL;
    *ret_next = INT64_MAX;
    pthread_mutex_lock(&store->held->lock);
    for (struct lh_doubt *doubt = store->held->doubts; doubt; doubt = doubt->next) {
        if (doubt->settled || doubt->until <= now)
            continue;
        if (doubt->try_at <= now && !found)
            found = doubt;
        if (doubt->try_at < *ret_next)
            *ret_next = doubt->try_at;
    }
    if (found) {
        found->sent = true;
        copy_doubt(found, ret_doubt);
    }
    pthread_mutex_unlock(&store->held->lock);
    return found != NULL;
}

void lh_held_doubt_answered(lh_store *store, const char *lease_id, int64_t sent)
{
    pthread_mutex_lock(&store->held->lock);
    struct lh_doubt *doubt = find_doubt_locked(store, lease_id, lh_clock_ms());
    if (doubt) {
        doubt->settled = sent >= doubt->sure_at;
        doubt->try_at = doubt->sure_at;
        doubt->pause_ms = PAUSE_FIRST_MS;
    }
    pthread_mutex_unlock(&store->held->lock);
}

/* The others would not be answered either: they wait as long. */
void lh_held_doubt_unanswered(lh_store *store, const char *lease_id)
{
    int64_t now = lh_clock_ms();
    pthread_mutex_lock(&store->held->lock);
    struct lh_doubt *doubt = find_doubt_locked(store, lease_id, now);
    int64_t pause_ms = doubt ? doubt->pause_ms : PAUSE_FIRST_MS;
    if (doubt)
        doubt->pause_ms = pause_ms * 2 < PAUSE_CAP_MS ? pause_ms * 2 : PAUSE_CAP_MS;
    for (struct lh_doubt *other = store->held->doubts; other; other = other->next)
        if (other->try_at < now + pause_ms)
            other->try_at = now + pause_ms;
    pthread_mutex_unlock(&store->held->lock);
}

bool lh_held_take_doubt(lh_store *store, lh_doubtful *ret_doubt)
{
    bool open = false;
    while (store->held->doubts && !open) {
        struct lh_doubt *doubt = store->held->doubts;
        open = !doubt->settled && lh_clock_ms() < doubt->until;
        copy_doubt(doubt, ret_doubt);
        store->held->doubts = doubt->next;
        store->held->n_doubts--;
        free(doubt);
    }
    return open;
}

/* SPDX-License-Identifier: Apache-2.0
 * Acquires until a deadline. The caller's own thread sends the first command that queues. From then
 * on the waiter is an entry in the store's table, and the keeper acts for it. lh_wait_acquire() is
 * start and finish in turn. */
#include "acquire/wait.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "acquire/keeper.h"
#include "acquire/wait_ask.h"
#include "acquire/wait_table.h"
#include "base/assert.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "lease/lease.h"
#include "lease/lease_acquire.h"
#include "lease/lease_held.h"
#include "store/store.h"

#define FEEDBACK_MS 200 /* the longest delay of feedback */

int lh_wait_pause(lh_store *store, const lh_cancel *cancel, int64_t ms, lh_error *error)
{
    struct pollfd poller = {.fd = lh_cancel_fd(cancel), .events = POLLIN};
    (void)poll(&poller, 1, (int)ms);
    pthread_mutex_lock(&store->waits->lock);
    bool closed = store->waits->closed;
    pthread_mutex_unlock(&store->waits->lock);
    if (closed)
        return lh_fail(error, LH_CLOSED, "the store was closed during the wait");
    return lh_cancel_is_now(cancel) ? lh_fail(error, LH_CANCELLED, "the wait was cancelled")
                                    : LH_OK;
}

/* ---- Starting ---------------------------------------------------------------------------------*/

lh_waiting *lh_wait_new(const lh_request *r)
{
    lh_waiting *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->fd = -1;
    w->refs = 1;
    w->error = (lh_error)LH_ERROR_INIT;
    w->store = lh_store_ref(r->store);
    w->key = strdup(r->key);
    w->owner = strdup(r->o.owner);
    w->purpose = r->o.purpose ? strdup(r->o.purpose) : NULL;
    w->o = r->o;
    w->o.owner = w->owner;
    w->o.purpose = w->purpose;
    w->core = (lh_wait_core){.own_id = r->o.lease_id != NULL, .ask_at = INT64_MAX, .place = -1};
    if (w->core.own_id)
        memcpy(w->id, r->o.lease_id, LH_LEASE_ID_ROOM);
    w->o.lease_id = w->core.own_id ? w->id : NULL;
    w->claim_ms = lh_request_claim_ms(&r->o);
    w->began_us = r->began_us;
    w->until = r->until;
    w->beat = w->turn = (lh_due)LH_DUE_NEVER;
    if (w->key && w->owner && (w->purpose || !r->o.purpose))
        return w;
    lh_wait_unref(w);
    return NULL;
}

void lh_wait_discard(lh_waiting *w)
{
    lh_wait_unref(w);
}

void lh_wait_replied(lh_waiting *w, lh_request *r, int outcome, const lh_error *why)
{
    lh_assert(w->core.state == LH_WAIT_NEW && !w->spot);
    memcpy(w->id, r->id, LH_LEASE_ID_ROOM); /* an unknown outcome is reported with it */
    (void)lh_wait_settle_core(&w->core, outcome);
    w->error = *why;
    w->lease = r->lease;
    w->record = r->busy;
    r->lease = NULL;
    r->busy = NULL;
}

bool lh_wait_is_crowded(lh_store *store, const char *key)
{
    struct lh_waits *waits = store->waits;
    pthread_mutex_lock(&waits->lock);
    bool crowded = lh_waits_spot(waits, key) != NULL;
    pthread_mutex_unlock(&waits->lock);
    return crowded;
}

/* It enters the table before it is asked for: news of a grant may come before the reply. */
int lh_wait_queue_up(lh_waiting *w, lh_error *error)
{
    lh_assert(w->core.state == LH_WAIT_NEW && !w->spot && w->until > 0);
    int outcome = *w->id ? LH_OK : lh_lease_id_new(w->id, error);
    if (outcome != LH_OK)
        return outcome;
    outcome = lh_keeper_start(w->store, error);
    if (outcome == LH_OK)
        outcome = lh_waits_add(w->store->waits, w, error);
    if (outcome != LH_OK)
        return outcome;
    lh_wait_ask(w, NULL);
    lh_keeper_poke(w->store, lh_clock_ms()); /* a new timer, a new key to look after */
    return LH_OK;
}

/* ---- Finishing --------------------------------------------------------------------------------*/

static int make_fd_locked(lh_waiting *w)
{
    if (w->fd < 0)
        w->fd = eventfd(lh_wait_is_settled(w->core.state) ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
    return w->fd;
}

int lh_waiting_fd(lh_waiting *w)
{
    if (!w || w->store->pid != getpid())
        return -1;
    pthread_mutex_lock(&w->store->waits->lock);
    int fd = make_fd_locked(w);
    pthread_mutex_unlock(&w->store->waits->lock);
    return fd;
}

/* With the lock; releases it during the call. */
static void tell_news(lh_waiting *w)
{
    struct lh_waits *waits = w->store->waits;
    lh_record *record = w->record;
    uint32_t place = w->core.place > 0 ? (uint32_t)w->core.place : 0;
    w->news = false;
    if (!w->o.feedback || !record)
        return;
    w->record = NULL;
    pthread_mutex_unlock(&waits->lock);
    w->o.feedback(w->o.feedback_arg, record, place);
    pthread_mutex_lock(&waits->lock);
    if (w->record)
        lh_record_free(record); /* a newer one has come */
    else
        w->record = record;
}

/* With the lock; releases it while it sleeps. */
static void sleep_a_little(lh_waiting *w, int64_t now)
{
    struct lh_waits *waits = w->store->waits;
    int64_t ms = w->until - now;
    if (w->o.feedback && ms > FEEDBACK_MS)
        ms = FEEDBACK_MS;
    if (ms > 60000)
        ms = 60000;
    int fd = make_fd_locked(w);
    if (fd < 0 && ms > 10)
        ms = 10; /* no descriptor is left: look instead */
    pthread_mutex_unlock(&waits->lock);
    struct pollfd pollers[] = {{.fd = fd, .events = POLLIN},
                               {.fd = lh_cancel_fd(w->o.cancel), .events = POLLIN}};
    (void)poll(pollers, 2, (int)ms);
    pthread_mutex_lock(&waits->lock);
}

static void wait_until_settled(lh_waiting *w)
{
    struct lh_waits *waits = w->store->waits;
    w->attended = true;
    lh_wait_plan(w);
    while (!lh_wait_is_settled(w->core.state)) {
        int64_t now = lh_clock_ms();
        if (!lh_wait_is_waiting(w->core.state)) { /* another thread makes it leave */
            pthread_cond_wait(&waits->changed, &waits->lock);
        } else if (lh_cancel_is_now(w->o.cancel)) {
            (void)lh_fail(&w->error, LH_CANCELLED, "the wait for \"%s\" was cancelled", w->key);
            lh_wait_leave(w, LH_CANCELLED, NULL);
        } else if (now >= w->until) {
            lh_wait_time_out(w, NULL);
        } else {
            if (w->news)
                tell_news(w);
            if (lh_wait_is_waiting(w->core.state))
                sleep_a_little(w, now);
        }
    }
}

int lh_wait_finish(lh_waiting *w, lh_lease **ret_lease, lh_record **ret_busy, lh_error *error)
{
    pthread_mutex_lock(&w->store->waits->lock);
    wait_until_settled(w);
    pthread_mutex_unlock(&w->store->waits->lock);
    int outcome = w->core.outcome;
    if (outcome == LH_OK) {
        *ret_lease = w->lease;
        w->lease = NULL;
    } else if (w->lease &&
               lh_held_enter(w->store, NULL) == LH_OK) { /* granted, but no thread to keep it */
        (void)lh_core_release(w->lease, NULL, NULL);
        lh_held_exit(w->store);
    }
    if (outcome == LH_BUSY && ret_busy) {
        *ret_busy = w->record;
        w->record = NULL;
    }
    if (outcome != LH_OK && error) {
        lh_error_give(error, &w->error);
        lh_error_recode(error, outcome);
        if (outcome == LH_UNKNOWN)
            memcpy(error->lease_id, w->id, LH_LEASE_ID_ROOM);
    }
    lh_wait_unref(w);
    return outcome;
}

/* It was granted, and the caller does not know that. */
static int cancel_granted(lh_waiting *w, lh_error *error)
{
    /* closing released it, or nothing of it is stored */
    if (atomic_load(&w->store->closed) || w->lease->absent)
        return LH_OK;
    int outcome = lh_core_release(w->lease, NULL, error);
    if (outcome == LH_UNREACHABLE)
        lh_held_doubt(w->store, w->key, w->id, w->o.ttl_ms, true);
    return outcome == LH_LOST ? LH_OK : outcome;
}

/* Outcomes after which the server stores nothing of the wait. After all others it may. */
static bool has_left(int outcome)
{
    return outcome == LH_BUSY || outcome == LH_CANCELLED || outcome == LH_CLOSED ||
           outcome == LH_LOST;
}

int lh_wait_cancel(lh_waiting *w, lh_error *error)
{
    lh_assert(w && w->store->pid == getpid());
    struct lh_waits *waits = w->store->waits;
    pthread_mutex_lock(&waits->lock);
    w->attended = true;
    while (!lh_wait_is_waiting(w->core.state) && !lh_wait_is_settled(w->core.state))
        pthread_cond_wait(&waits->changed, &waits->lock);
    if (lh_wait_is_waiting(w->core.state))
        lh_wait_leave(w, LH_CANCELLED, NULL);
    pthread_mutex_unlock(&waits->lock);
    int outcome = LH_OK;
    if (w->core.outcome == LH_OK)
        outcome = cancel_granted(w, error);
    else if (!has_left(w->core.outcome))
        outcome = w->core.outcome;
    if (outcome != LH_OK && w->core.outcome != LH_OK)
        lh_error_give(error, &w->error);
    lh_wait_unref(w);
    return outcome;
}

int lh_wait_acquire(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy)
{
    lh_assert(r->checked && r->o.wait_ms > 0 && !r->lease && !r->busy);
    lh_waiting *w = lh_wait_new(r);
    if (!w)
        return lh_fail_memory(r->error);
    int outcome = lh_held_enter(r->store, r->error);
    if (outcome == LH_OK) {
        outcome = lh_wait_queue_up(w, r->error);
        lh_held_exit(r->store);
    }
    if (outcome == LH_OK)
        return lh_wait_finish(w, ret_lease, ret_busy, r->error);
    lh_wait_unref(w);
    return outcome;
}

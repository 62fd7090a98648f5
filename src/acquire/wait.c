/* SPDX-License-Identifier: Apache-2.0
 * Acquiring until a deadline. The first command is the caller's thread's own; from then on a waiter
 * is an entry in the store's table, and the keeper does what it needs. lh_wait_acquire() is start
 * and finish, one after the other. */
#include "acquire/wait.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "acquire/keeper.h"
#include "acquire/keeper_renew.h"
#include "acquire/wait_ask.h"
#include "acquire/wait_table.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "lease/lease.h"
#include "lease/lease_acquire.h"
#include "lease/lease_audit.h"
#include "lease/lease_held.h"
#include "store/store.h"

#define FEEDBACK_MS 200 /* how late news may be told */

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

int lh_wait_enter(lh_store *store, lh_error *error)
{
    pthread_mutex_lock(&store->waits->lock);
    bool closed = store->waits->closed;
    if (!closed)
        store->waits->leaving++;
    pthread_mutex_unlock(&store->waits->lock);
    return closed ? lh_fail(error, LH_CLOSED, "the store is being closed") : LH_OK;
}

void lh_wait_exit(lh_store *store)
{
    pthread_mutex_lock(&store->waits->lock);
    store->waits->leaving--;
    pthread_cond_broadcast(&store->waits->changed);
    pthread_mutex_unlock(&store->waits->lock);
}

/* ---- Starting ---------------------------------------------------------------------------------*/

static lh_waiting *make_waiting(const lh_request *r)
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
    w->own_id = r->o.lease_id != NULL;
    if (w->own_id)
        memcpy(w->id, r->o.lease_id, LH_LEASE_ID_ROOM);
    w->o.lease_id = w->own_id ? w->id : NULL;
    w->claim_ms = lh_request_claim_ms(&r->o);
    int64_t now = lh_clock_ms();
    w->until = r->o.wait_ms > INT64_MAX - now ? INT64_MAX : now + r->o.wait_ms;
    w->ask_at = INT64_MAX;
    w->beat = w->turn = (lh_due)LH_DUE_NEVER;
    w->place = -1;
    if (w->key && w->owner && (w->purpose || !r->o.purpose))
        return w;
    lh_wait_unref(w);
    return NULL;
}

/* Asked once, not queued. */
static void settle_once(lh_waiting *w, lh_request *r, int outcome)
{
    memcpy(w->id, r->id, LH_LEASE_ID_ROOM); /* an unknown outcome is told with it */
    w->state = LH_SETTLED;
    w->outcome = outcome;
    w->lease = r->lease;
    w->record = r->busy;
    if (outcome != LH_OK)
        return;
    int64_t first =
        r->o.by_hand ? INT64_MAX : lh_keeper_renewal(lh_clock_ms(), r->o.ttl_ms, r->lease);
    w->outcome = lh_keeper_take(r->lease, first, &w->error);
    if (w->outcome == LH_OK)
        return;
    /* closed meanwhile, or there is no thread to keep it */
    (void)lh_real_release(w->lease, NULL, NULL);
    lh_lease_free(w->lease);
    w->lease = NULL;
}

/* Into the table before it is asked for: a grant may be heard of before the answer. */
static int queue_up(lh_waiting *w, lh_error *error)
{
    if (!*w->id && !lh_lease_id_new(w->id))
        return lh_fail(error, LH_BUG, "the system gives no random bytes");
    int outcome = lh_keeper_start(w->store, error);
    w->busy = true;
    if (outcome == LH_OK)
        outcome = lh_waits_add(w->store->waits, w, error);
    if (outcome != LH_OK)
        return outcome;
    lh_wait_ask(w, NULL);
    lh_keeper_poke(w->store, lh_clock_ms()); /* a new timer, a new key to look after */
    return LH_OK;
}

/* The caller's thread's own commands, which a closing of the store waits for. */
static int send_first(lh_waiting *w, lh_request *r, lh_error *error)
{
    struct lh_waits *waits = w->store->waits;
    pthread_mutex_lock(&waits->lock);
    bool crowd = lh_waits_spot(waits, w->key) != NULL; /* then it is surely not free */
    pthread_mutex_unlock(&waits->lock);
    r->error = &w->error;
    r->way.deadline = lh_store_deadline(w->store, r->o.timeout_ms);
    if (!crowd || r->o.wait_ms == 0 || r->o.resume) {
        int outcome = lh_request_run(r);
        bool wait = outcome == LH_BUSY && r->o.wait_ms > 0 && r->busy->why != LH_WHY_MALFORMED;
        if (!wait) {
            settle_once(w, r, outcome);
            return LH_OK;
        }
        lh_record_free(r->busy);
    }
    return queue_up(w, error);
}

lh_waiting *lh_wait_settled(const lh_request *r, lh_lease *lease)
{
    lh_waiting *w = make_waiting(r);
    if (!w)
        return NULL;
    w->state = LH_SETTLED;
    w->outcome = LH_OK;
    w->lease = lease;
    return w;
}

int lh_wait_check(lh_request *r, const lh_acquire_options *options)
{
    int outcome = lh_request_check(r, options);
    if (outcome == LH_OK && r->o.path)
        outcome = lh_fail(r->error, LH_INVALID,
                          "path needs a thread that looks above and below the key: lh_acquire()");
    return outcome;
}

int lh_real_acquire_start(lh_store *store, const char *key, const lh_acquire_options *options,
                          lh_waiting **ret_waiting, lh_error *error)
{
    lh_request r = {.store = store, .key = key, .error = error};
    int outcome = lh_wait_check(&r, options);
    if (outcome != LH_OK)
        return outcome;
    lh_waiting *w = make_waiting(&r);
    if (!w)
        return lh_fail_memory(error);
    outcome = lh_wait_enter(store, error);
    if (outcome == LH_OK) {
        outcome = send_first(w, &r, error);
        lh_wait_exit(store);
    }
    if (outcome == LH_OK)
        *ret_waiting = w;
    else
        lh_wait_unref(w);
    return outcome;
}

/* ---- Finishing --------------------------------------------------------------------------------*/

static int make_fd_locked(lh_waiting *w)
{
    if (w->fd < 0)
        w->fd = eventfd(w->state == LH_SETTLED ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
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

/* With the lock, which is let go of during the call. */
static void tell_news(lh_waiting *w)
{
    struct lh_waits *waits = w->store->waits;
    lh_record *record = w->record;
    uint32_t place = w->place > 0 ? (uint32_t)w->place : 0;
    w->news = false;
    if (!w->o.feedback || !record)
        return;
    w->record = NULL;
    pthread_mutex_unlock(&waits->lock);
    w->o.feedback(w->o.feedback_arg, record, place);
    pthread_mutex_lock(&waits->lock);
    if (w->record)
        lh_record_free(record); /* there is a newer one */
    else
        w->record = record;
}

/* With the lock; lets go of it while it sleeps. */
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
        ms = 10; /* no descriptor is left: by looking */
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
    while (w->state != LH_SETTLED) {
        int64_t now = lh_clock_ms();
        if (w->state == LH_LEAVES) { /* the keeper has begun to */
            pthread_cond_wait(&waits->changed, &waits->lock);
        } else if (lh_cancel_is_now(w->o.cancel)) {
            (void)lh_fail(&w->error, LH_CANCELLED, "the wait for \"%s\" was cancelled", w->key);
            lh_wait_leave(w, LH_CANCELLED, NULL);
        } else if (now >= w->until) {
            (void)lh_fail(&w->error, LH_REASON_TIMEOUT, "the wait is over: \"%s\" is still held",
                          w->key);
            lh_wait_leave(w, LH_BUSY, NULL);
        } else {
            if (w->news)
                tell_news(w);
            if (w->state == LH_WAITS)
                sleep_a_little(w, now);
        }
    }
}

/* Without the trail: for grants that are not handed out yet. */
static int finish(lh_waiting *w, lh_lease **ret_lease, lh_record **ret_busy, lh_error *error)
{
    pthread_mutex_lock(&w->store->waits->lock);
    wait_until_settled(w);
    pthread_mutex_unlock(&w->store->waits->lock);
    int outcome = w->outcome;
    if (outcome == LH_OK) {
        *ret_lease = w->lease;
        w->lease = NULL;
    } else if (w->lease &&
               lh_wait_enter(w->store, NULL) == LH_OK) { /* granted, but no thread to keep it */
        (void)lh_real_release(w->lease, NULL, NULL);
        lh_wait_exit(w->store);
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

/* Between enter and exit, so that a closing of the store waits for it. Closed already: it released
 * what was granted. */
static int finish_and_acknowledge(lh_waiting *w, lh_lease **ret_lease, lh_record **ret_busy,
                                  lh_error *error)
{
    lh_store *store = lh_store_ref(w->store);
    char *purpose = w->purpose;
    w->purpose = NULL; /* else it goes with the waiting */
    bool open = lh_wait_enter(store, NULL) == LH_OK;
    lh_lease *lease = NULL;
    int outcome = finish(w, &lease, ret_busy, error);
    if (outcome == LH_OK && open) {
        outcome = lh_lease_acknowledge(lease, purpose, error);
    } else if (outcome == LH_OK) {
        lh_lease_free(lease);
        outcome = lh_fail(error, LH_CLOSED, "the store is closed");
    }
    if (open)
        lh_wait_exit(store);
    if (outcome == LH_OK)
        *ret_lease = lease;
    free(purpose);
    lh_store_unref(store);
    return outcome;
}

int lh_waiting_finish(lh_waiting *w, lh_lease **ret_lease, lh_record **ret_busy, lh_error *error)
{
    if (!w)
        return lh_fail(error, LH_INVALID, "no waiting was given");
    if (lh_error_check(error) != LH_OK)
        return LH_INVALID;
    if (w->store->pid != getpid())
        return lh_store_check(w->store, error);
    if (w->store->audit)
        return finish_and_acknowledge(w, ret_lease, ret_busy, error);
    return finish(w, ret_lease, ret_busy, error);
}

/* It was granted, and nobody was told. */
static int cancel_granted(lh_waiting *w, lh_error *error)
{
    /* closing released it; nothing of it is stored */
    if (atomic_load(&w->store->closed) || w->lease->absent)
        return LH_OK;
    int outcome = lh_real_release(w->lease, NULL, error);
    if (outcome == LH_UNREACHABLE)
        lh_held_doubt(w->store, w->key, w->id, w->o.ttl_ms, true);
    return outcome == LH_LOST ? LH_OK : outcome;
}

/* Ends of a wait with which nothing of it is stored; with all others something may be. */
static bool has_left(int outcome)
{
    return outcome == LH_BUSY || outcome == LH_CANCELLED || outcome == LH_CLOSED ||
           outcome == LH_LOST;
}

int lh_real_waiting_cancel(lh_waiting *w, lh_error *error)
{
    if (!w)
        return LH_OK;
    if (w->store->pid != getpid())
        return lh_store_check(w->store, error);
    struct lh_waits *waits = w->store->waits;
    pthread_mutex_lock(&waits->lock);
    w->attended = true;
    while (w->state == LH_LEAVES)
        pthread_cond_wait(&waits->changed, &waits->lock);
    if (w->state == LH_WAITS)
        lh_wait_leave(w, LH_CANCELLED, NULL);
    pthread_mutex_unlock(&waits->lock);
    int outcome = LH_OK;
    if (w->outcome == LH_OK)
        outcome = cancel_granted(w, error);
    else if (!has_left(w->outcome))
        outcome = w->outcome;
    if (outcome != LH_OK && w->outcome != LH_OK)
        lh_error_give(error, &w->error);
    lh_wait_unref(w);
    return outcome;
}

int lh_wait_acquire(lh_store *store, const char *key, const lh_acquire_options *options,
                    lh_lease **ret_lease, lh_record **ret_busy, lh_error *error)
{
    lh_waiting *w = NULL;
    int outcome = lh_real_acquire_start(store, key, options, &w, error);
    return w ? finish(w, ret_lease, ret_busy, error) : outcome;
}

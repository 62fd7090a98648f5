/* SPDX-License-Identifier: Apache-2.0
 * Two threads of a store, each started when it is first needed:
 *
 * - the keeper does all that needs the server: renewals, and the waiters' beats and questions. If
 * the server hangs, one of its commands may take as long as the socket timeout. - the alarm tells
 * of leases whose local deadline passed, and never talks to the server: only so is `on_lost` called
 * in time while the keeper hangs. It exists only where the store has an `on_lost`. (The descriptor
 * of lh_lease_lost_fd() is a timer of the kernel's: it needs no thread.)
 *
 * Both sleep on CLOCK_BOOTTIME (a timerfd), so that a machine that was suspended tells at once what
 * it lost. Threads: `lock` guards starting; `next` is when a thread wakes up, so that a poke costs
 * nothing when it is not sooner.  */
#include "acquire/keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "acquire/keeper_renew.h"
#include "acquire/keeper_settle.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/due.h"
#include "base/error.h"
#include "lease/lease.h"
#include "lease/lease_handle.h"
#include "lease/lease_held.h"
#include "store/store.h"
#include "store/store_client.h"
#include "store/store_run.h"

typedef struct {
    pthread_t thread;
    bool running;
    _Atomic int wake_fd, timer_fd;
    _Atomic int64_t next;
} sleeper;

struct lh_keeper {
    pthread_mutex_t lock;
    bool stopped; /* nothing is started any more */
    lh_duty duty;
    sleeper keeper, alarm;
};

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Until `at`, or until somebody says that something is due before. */
static void sleep_until(sleeper *s, int64_t at)
{
    if (at < 1)
        at = 1; /* 0 would switch the timer off */
    struct itimerspec spec = {0};
    if (at != INT64_MAX)
        spec.it_value = (struct timespec){.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000};
    (void)timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    struct pollfd pollers[] = {{.fd = s->wake_fd, .events = POLLIN},
                               {.fd = s->timer_fd, .events = POLLIN}};
    (void)poll(pollers, 2, -1);
    uint64_t ignored;
    while (read(s->wake_fd, &ignored, sizeof ignored) > 0)
        ;
    while (read(s->timer_fd, &ignored, sizeof ignored) > 0)
        ;
}

static void wake(sleeper *s)
{
    uint64_t one = 1;
    ssize_t written = write(s->wake_fd, &one, sizeof one);
    (void)written; /* an eventfd takes it */
}

static void poke(sleeper *s, int64_t at)
{
    if (at < atomic_load(&s->next))
        wake(s);
}

static void *keep(void *arg)
{
    lh_store *store = arg;
    (void)pthread_setname_np(pthread_self(), "lh-keeper");
    struct lh_keeper *keeper = store->keeper;
    sleeper *s = &keeper->keeper;
    struct _mongoc_client_t *client = lh_store_reserve(store);
    while (!atomic_load(&store->stopping)) {
        atomic_store(&s->next, INT64_MAX); /* what comes to be due from here on wakes it up again */
        int64_t next = lh_keeper_renew(store, client, lh_clock_ms());
        next = lesser(next, keeper->duty(store, client, lh_clock_ms()));
        next = lesser(next, lh_keeper_settle(store, client, lh_clock_ms()));
        atomic_store(&s->next, next);
        if (next > lh_clock_ms() && !atomic_load(&store->stopping))
            sleep_until(s, next);
    }
    lh_store_unreserve(store, client);
    return NULL;
}

/* The first lease whose deadline has passed, referenced; else when the next one may. Renewals do
 * not tell: what looks due may have a later deadline by now. */
static lh_lease *find_lost(lh_store *store, int64_t *ret_next)
{
    lh_lease *lost = NULL;
    pthread_mutex_lock(&store->held->lock);
    int64_t now = lh_clock_ms();
    while (!lost && lh_due_next(store->held->ends) <= now) {
        lh_lease *lease = lh_due_of(store->held->ends, lh_lease, end);
        pthread_mutex_lock(&lease->lock);
        int64_t deadline = lease->deadline;
        pthread_mutex_unlock(&lease->lock);
        lh_due_set(&store->held->ends, &lease->end, deadline > now ? deadline : INT64_MAX);
        if (deadline <= now)
            lost = lh_lease_ref(lease);
    }
    *ret_next = lh_due_next(store->held->ends);
    pthread_mutex_unlock(&store->held->lock);
    return lost;
}

static void *alarm_losses(void *arg)
{
    lh_store *store = arg;
    (void)pthread_setname_np(pthread_self(), "lh-losses");
    sleeper *s = &store->keeper->alarm;
    while (!atomic_load(&store->stopping)) {
        atomic_store(&s->next, INT64_MAX);
        int64_t next;
        lh_lease *lost = find_lost(store, &next);
        if (lost) {
            lh_lease_lose(lost);
            lh_lease_unref(lost);
            continue;
        }
        atomic_store(&s->next, next);
        if (!atomic_load(&store->stopping))
            sleep_until(s, next);
    }
    return NULL;
}

/* What is there from an earlier attempt stays: somebody may be poking it. */
static bool sleeper_init(sleeper *s)
{
    if (s->wake_fd < 0)
        s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->timer_fd < 0)
        s->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return s->wake_fd >= 0 && s->timer_fd >= 0;
}

static void sleeper_fini(sleeper *s)
{
    if (s->wake_fd >= 0)
        (void)close(s->wake_fd);
    if (s->timer_fd >= 0)
        (void)close(s->timer_fd);
}

/* With all signals blocked: they are for the application's threads. */
static bool start(sleeper *s, void *(*run)(void *), lh_store *store)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&s->next, INT64_MAX);
    s->running = !store->keeper->stopped && sleeper_init(s) &&
                 pthread_create(&s->thread, NULL, run, store) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s->running;
}

int lh_keeper_start(lh_store *store, lh_error *error)
{
    struct lh_keeper *keeper = store->keeper;
    pthread_mutex_lock(&keeper->lock);
    bool stopped = keeper->stopped;
    /* Nobody would join what is started while the store is being closed; then there is nothing to
     * keep either. */
    bool good = keeper->keeper.running || atomic_load(&store->stopping) ||
                start(&keeper->keeper, keep, store);
    pthread_mutex_unlock(&keeper->lock);
    if (stopped)
        return lh_fail(error, LH_CLOSED, "the store is being closed");
    return good ? LH_OK
                : lh_fail(error, LH_MEMORY, "the system has no thread or file descriptor left");
}

void lh_keeper_poke(lh_store *store, int64_t at)
{
    if (store->keeper->keeper.wake_fd >= 0)
        poke(&store->keeper->keeper, at);
}

void lh_keeper_settle_doubts(lh_store *store)
{
    if (lh_keeper_start(store, NULL) == LH_OK) /* else closing the store releases it */
        lh_keeper_poke(store, lh_clock_ms());
}

int lh_keeper_take(lh_lease *lease, int64_t first_renewal_at, lh_error *error)
{
    lh_store *store = lease->store;
    struct lh_keeper *keeper = store->keeper;
    lh_assert(lh_lease_token(lease) != 0); /* it was granted, and is held */
    int outcome =
        lease->by_hand && first_renewal_at == INT64_MAX ? LH_OK : lh_keeper_start(store, error);
    bool alarmed = true;
    pthread_mutex_lock(&keeper->lock);
    if (store->held->on_lost)
        alarmed = keeper->alarm.running || start(&keeper->alarm, alarm_losses, store);
    bool stopped = keeper->stopped;
    pthread_mutex_unlock(&keeper->lock);
    if (outcome == LH_OK && !alarmed)
        outcome =
            stopped ? lh_fail(error, LH_CLOSED, "the store is being closed")
                    : lh_fail(error, LH_MEMORY, "the system has no thread or file descriptor left");
    if (outcome != LH_OK)
        return outcome;
    pthread_mutex_lock(&lease->lock);
    int64_t deadline = lease->deadline;
    pthread_mutex_unlock(&lease->lock);
    lh_keeper_plan(lease, first_renewal_at);
    pthread_mutex_lock(&store->held->lock);
    if (store->held->on_lost && lease->held)
        lh_due_set(&store->held->ends, &lease->end, deadline);
    pthread_mutex_unlock(&store->held->lock);
    lh_keeper_poke(store, first_renewal_at);
    if (store->held->on_lost)
        poke(&keeper->alarm, deadline);
    return LH_OK;
}

int lh_core_keep(lh_lease *lease, lh_error *error)
{
    lh_assert(lease && !lease->absent);
    pthread_mutex_lock(&lease->lock);
    int64_t token = lease->token,
            sent = lease->deadline + LH_DRIFT_MS(lease->ttl_ms) - lease->ttl_ms;
    pthread_mutex_unlock(&lease->lock);
    if (token == 0)
        return lh_fail(error, LH_INVALID,
                       "the lease was attached and not yet renewed: renew it first");
    lease->by_hand = false;
    bool added = lh_held_add(lease);
    int outcome =
        lh_keeper_take(lease, lh_keeper_renewal(sent, lh_lease_ttl_ms(lease), lease), error);
    if (outcome == LH_OK &&
        /* seen after it was added: from then on a loss would take it out again */
        !lh_lease_believed(lease))
        outcome = lh_fail(error, LH_REASON_ENDED,
                          "the lease has ended: it was released, or not renewed in time");
    if (outcome != LH_OK) {
        lease->by_hand = true;
        /* else this store acquired it: it stays the store's to release, and to tell of */
        if (added)
            lh_held_remove(lease);
    }
    return outcome;
}

static void stop(struct lh_keeper *keeper, sleeper *s)
{
    pthread_mutex_lock(&keeper->lock);
    bool running = s->running;
    pthread_mutex_unlock(&keeper->lock);
    if (!running)
        return;
    wake(s);
    (void)pthread_join(s->thread, NULL);
    pthread_mutex_lock(&keeper->lock);
    s->running = false;
    pthread_mutex_unlock(&keeper->lock);
}

void lh_keeper_stop(lh_store *store)
{
    if (!store->keeper)
        return;
    pthread_mutex_lock(&store->keeper->lock);
    store->keeper->stopped = true;
    pthread_mutex_unlock(&store->keeper->lock);
    stop(store->keeper, &store->keeper->keeper);
    stop(store->keeper, &store->keeper->alarm);
}

int lh_keeper_new(lh_store *store, lh_duty duty, lh_error *error)
{
    struct lh_keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return lh_fail_memory(error);
    pthread_mutex_init(&keeper->lock, NULL);
    keeper->duty = duty;
    keeper->keeper.wake_fd = keeper->keeper.timer_fd = keeper->alarm.wake_fd =
        keeper->alarm.timer_fd = -1;
    store->keeper = keeper;
    return LH_OK;
}

void lh_keeper_free(lh_store *store)
{
    if (!store->keeper)
        return;
    sleeper_fini(&store->keeper->keeper);
    sleeper_fini(&store->keeper->alarm);
    pthread_mutex_destroy(&store->keeper->lock);
    free(store->keeper);
    store->keeper = NULL;
}

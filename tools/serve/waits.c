/* SPDX-License-Identifier: Apache-2.0
 * For each wait two descriptors are watched: the library's, which is readable when the wait is
 * settled, and the client's connection, which libmicrohttpd leaves alone meanwhile: it would not
 * notice that the client has gone.
 *
 * Events are taken one at a time, and each is looked after under the lock, under which alone
 * descriptors come and go: so what an event points to is there. */
#include "serve/waits.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "serve/repeat.h"

struct waits {
    struct server *server;
    const struct waits_ends *ends;
    pthread_mutex_t lock;
    pthread_t thread;
    int epoll, wake;
    bool stops;
    struct ask *first;  /* watched */
    struct ask *ending; /* at the server's end */
};

/* epoll gives back one word: an ask's address, or a request's with the lowest bit set. */
static epoll_data_t word_of(const void *object, bool is_request)
{
    return (epoll_data_t){.u64 = (uint64_t)(uintptr_t)object | is_request};
}

static bool watch(struct waits *waits, int fd, uint32_t events, epoll_data_t data)
{
    struct epoll_event event = {.events = events, .data = data};
    return epoll_ctl(waits->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void unwatch(struct waits *waits, int fd)
{
    (void)epoll_ctl(waits->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static void drop(struct waits *waits, struct ask *ask)
{
    for (struct request *request = ask->requests; request; request = request->next)
        unwatch(waits, request->fd);
    unwatch(waits, lh_waiting_fd(ask->waiting));
    *(ask->before ? &ask->before->next : &waits->first) = ask->next;
    if (ask->next)
        ask->next->before = ask->before;
    ask->watched = false;
}

static void forget_client(struct waits *waits, struct request *gone)
{
    struct ask *ask = gone->ask;
    struct request **at = &ask->requests;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
    unwatch(waits, gone->fd);
    answer_failure(gone, MHD_HTTP_REQUEST_TIMEOUT, "gone",
                   "the client has closed its connection"); /* for the log */
    if (ask->requests)
        return;
    ask->deserted_ms = serve_now_ms();
    if (!ask->repeat) {
        drop(waits, ask);
        waits->ends->deserted(ask);
    }
}

/* With an Idempotency-Key a client may come back. */
static void tick(struct waits *waits)
{
    int64_t now = serve_now_ms();
    for (struct ask *ask = waits->first, *next; ask; ask = next) {
        next = ask->next;
        if (ask->deserted_ms && now - ask->deserted_ms >= GRACE_MS) {
            drop(waits, ask);
            waits->ends->deserted(ask);
        }
    }
}

static void look_after(struct waits *waits, uint64_t word)
{
    union {
        uintptr_t number;
        void *object;
    } data = {.number = (uintptr_t)(word & ~UINT64_C(1))};
    if (word & 1) {
        forget_client(waits, data.object);
    } else if (data.object) {
        drop(waits, data.object);
        waits->ends->settled(data.object);
    }
}

static void *keep_watch(void *arg)
{
    struct waits *waits = arg;
    struct epoll_event event;
    int64_t next_tick = serve_now_ms() + TICK_MS;
    for (;;) {
        int64_t now = serve_now_ms();
        int n = epoll_wait(waits->epoll, &event, 1, next_tick > now ? (int)(next_tick - now) : 0);
        pthread_mutex_lock(&waits->lock);
        bool stops = waits->stops;
        if (n == 1 && !stops)
            look_after(waits, event.data.u64);
        now = serve_now_ms();
        if (now >= next_tick && !stops) {
            tick(waits);
            next_tick = now + TICK_MS;
        }
        pthread_mutex_unlock(&waits->lock);
        if (stops)
            return NULL;
    }
}

int waits_new(struct server *server, const struct waits_ends *ends, struct waits **ret_waits,
              lh_error *error)
{
    struct waits *waits = calloc(1, sizeof *waits);
    if (!waits)
        return out_fail(error, LH_MEMORY, "out of memory");
    waits->server = server;
    waits->ends = ends;
    (void)pthread_mutex_init(&waits->lock, NULL);
    waits->epoll = epoll_create1(EPOLL_CLOEXEC);
    waits->wake = eventfd(0, EFD_CLOEXEC);
    if (waits->epoll < 0 || waits->wake < 0 ||
        !watch(waits, waits->wake, EPOLLIN, word_of(NULL, false)) ||
        pthread_create(&waits->thread, NULL, keep_watch, waits) != 0) {
        waits->stops = true;
        waits_free(waits);
        return out_fail(error, LH_MEMORY, "the system has no thread or file descriptor left");
    }
    (void)pthread_setname_np(waits->thread, "serve-waits");
    *ret_waits = waits;
    return LH_OK;
}

void waits_lock(struct waits *waits)
{
    pthread_mutex_lock(&waits->lock);
}

void waits_unlock(struct waits *waits)
{
    pthread_mutex_unlock(&waits->lock);
}

/* ---- coming and going ---- */

void waits_join(struct waits *waits, struct ask *ask, struct request *request)
{
    request->ask = ask;
    request->next = ask->requests;
    ask->requests = request;
    ask->deserted_ms = 0;
    if (ask->watched)
        (void)watch(waits, request->fd, EPOLLRDHUP,
                    word_of(request, true)); /* unseen, it waits until its time is over */
}

bool waits_add(struct waits *waits, struct ask *ask)
{
    pthread_mutex_lock(&waits->lock);
    bool added = !waits->stops && !atomic_load(&ask->client->revoked) &&
                 watch(waits, lh_waiting_fd(ask->waiting), EPOLLIN, word_of(ask, false));
    if (added) {
        ask->watched = true;
        ask->before = NULL;
        ask->next = waits->first;
        if (ask->next)
            ask->next->before = ask;
        waits->first = ask;
        for (struct request *request = ask->requests; request; request = request->next)
            (void)watch(waits, request->fd, EPOLLRDHUP, word_of(request, true));
    }
    pthread_mutex_unlock(&waits->lock);
    return added;
}

void waits_revoke(struct waits *waits)
{
    pthread_mutex_lock(&waits->lock);
    for (struct ask *ask = waits->stops ? NULL : waits->first, *next; ask; ask = next) {
        next = ask->next;
        if (!atomic_load(&ask->client->revoked))
            continue;
        drop(waits, ask);
        while (ask->requests) {
            struct request *request = ask->requests;
            ask->requests = request->next;
            request_revoke(request);
        }
        waits->ends->deserted(ask);
    }
    repeats_revoke(waits->server->repeats);
    pthread_mutex_unlock(&waits->lock);
}

/* ---- the end ---- */

static void end_thread(struct waits *waits)
{
    uint64_t one = 1;
    pthread_mutex_lock(&waits->lock);
    waits->stops = true;
    pthread_mutex_unlock(&waits->lock);
    ssize_t written = write(waits->wake, &one, sizeof one);
    (void)written; /* an eventfd takes it */
    (void)pthread_join(waits->thread, NULL);
}

void waits_stop(struct waits *waits)
{
    end_thread(waits);
    pthread_mutex_lock(&waits->lock);
    while (waits->first) {
        struct ask *ask = waits->first;
        drop(waits, ask);
        while (ask->requests) {
            struct request *request = ask->requests;
            ask->requests = request->next;
            answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "stopping",
                           "the server is stopping; nothing is held: try again");
        }
        ask->next = waits->ending;
        waits->ending = ask;
    }
    pthread_mutex_unlock(&waits->lock);
}

void waits_free(struct waits *waits)
{
    if (!waits)
        return;
    for (struct ask *ask = waits->ending, *next; ask; ask = next) {
        next = ask->next;
        (void)lh_waiting_cancel(ask->waiting, NULL);
        waits->ends->release(ask);
    }
    if (waits->epoll >= 0)
        (void)close(waits->epoll);
    if (waits->wake >= 0)
        (void)close(waits->wake);
    (void)pthread_mutex_destroy(&waits->lock);
    free(waits);
}

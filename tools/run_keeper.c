/* SPDX-License-Identifier: Apache-2.0
 * The thread that renews. It alone talks to the server while the child runs, because a renewal may block for as long as
 * the store's timeout, and nothing may delay the end of the child. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

enum { RETRY_MS = 1000 };

int64_t run_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void run_alarm(int timer_fd, int64_t at_ms)
{
    if (at_ms < 1)
        at_ms = 1; /* 0 would switch it off */
    struct itimerspec spec = {.it_value = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000}};
    (void)timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void raise_event(int fd)
{
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one);
    (void)written; /* an eventfd takes it */
}

/* Only ever to a later time: a renewal never shortens. */
static void note_deadline(struct keeper *keeper)
{
    atomic_store(&keeper->deadline_ms, run_now_ms() + lh_lease_remaining_ms(keeper->lease));
}

/* Renews once; returns when to do it again, or -1 when there is nothing left to renew. */
static int64_t renew(struct keeper *keeper, bool *failing)
{
    int64_t sent_ms = run_now_ms();
    int code = lh_lease_renew(keeper->lease, 0, NULL, &keeper->error);
    if (code == LH_OK) {
        note_deadline(keeper);
        keeper->error = (lh_error){0};
        if (*failing)
            out_note(keeper->out, "renewed again");
        *failing = false;
        return sent_ms + keeper->ttl_ms / 3;
    }
    if (code == LH_LOST) {
        atomic_store(&keeper->lost, true);
        raise_event(keeper->lost_fd);
        return -1;
    }
    if (!*failing)
        out_note(keeper->out, "not renewed, trying on: %s", keeper->error.message);
    *failing = true;
    int64_t pause_ms = keeper->ttl_ms / 10;
    return run_now_ms() + (pause_ms < RETRY_MS ? pause_ms : RETRY_MS);
}

static void *keep(void *arg)
{
    struct keeper *keeper = arg;
    int timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
    struct pollfd pollers[] = {{.fd = keeper->stop_fd, .events = POLLIN}, {.fd = timer_fd, .events = POLLIN}};
    bool failing = false;
    int64_t next_ms = atomic_load(&keeper->deadline_ms) - keeper->ttl_ms + keeper->ttl_ms / 3;
    while (next_ms >= 0) {
        run_alarm(timer_fd, next_ms);
        if (poll(pollers, 2, timer_fd < 0 ? RETRY_MS : -1) < 0 && errno == EINTR)
            continue;
        if (pollers[0].revents & POLLIN)
            break;
        next_ms = renew(keeper, &failing);
    }
    (void)close(timer_fd);
    return NULL;
}

bool keeper_start(struct keeper *keeper, lh_lease *lease, const struct out *out)
{
    *keeper = (struct keeper){.lease = lease, .out = out, .ttl_ms = lh_lease_ttl_ms(lease)};
    note_deadline(keeper);
    keeper->stop_fd = eventfd(0, EFD_CLOEXEC);
    keeper->lost_fd = eventfd(0, EFD_CLOEXEC);
    if (keeper->stop_fd >= 0 && keeper->lost_fd >= 0 && pthread_create(&keeper->thread, NULL, keep, keeper) == 0)
        return true;
    (void)close(keeper->stop_fd);
    (void)close(keeper->lost_fd);
    return false;
}

void keeper_stop(struct keeper *keeper)
{
    raise_event(keeper->stop_fd);
    (void)pthread_join(keeper->thread, NULL);
    (void)close(keeper->stop_fd);
    (void)close(keeper->lost_fd);
}

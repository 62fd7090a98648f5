/* SPDX-License-Identifier: Apache-2.0
 * The loop of `leasehold run`: it never calls the server, and blocks only on its own events, so the
 * child has ended before the lease can end, whatever the server does.
 *
 * The time line of an end:   … TERM … grace … KILL … margin … the lease's deadline */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "cli/run.h"
#include "common/clock.h"

const int run_forwarded[RUN_FORWARDED] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

enum { LOOK_AGAIN_MS = 10 };

struct watch {
    struct run *run;
    int timer_fd;
    int64_t deadline_ms; /* on CLOCK_BOOTTIME: until then the lease is ours, as last seen */
    int64_t margin_ms;   /* what KILL may take */
    bool ending;         /* TERM was sent */
    bool killed;         /* KILL was sent */
    int64_t kill_at_ms;  /* while ending */
};

/* Makes the timer descriptor readable at that time. */
static void set_alarm(int timer_fd, int64_t at_ms)
{
    if (at_ms < 1)
        at_ms = 1; /* 0 would switch it off */
    struct itimerspec spec = {
        .it_value = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000}};
    (void)timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* Of the lease that ends first. */
static int64_t remaining_of(const struct run *run)
{
    int64_t least_ms = INT64_MAX;
    for (size_t i = 0; i < run->n_leases; i++) {
        int64_t ms = lh_lease_remaining_ms(run->leases[i]);
        least_ms = ms < least_ms ? ms : least_ms;
    }
    return least_ms;
}

/* TERM, when the lease is lost or the grace would no longer fit in; then KILL. It is called first
 * after each wake-up, because this process may have been stopped, or the machine asleep, for any
 * time. A lost lease has no time left; then the deadline that was seen last limits the grace. */
static void look_at_lease(struct watch *watch)
{
    struct run *run = watch->run;
    int64_t now_ms = clock_boot_ms(), remaining_ms = remaining_of(run);
    if (remaining_ms > 0)
        watch->deadline_ms = now_ms + remaining_ms;
    int64_t left_ms = watch->deadline_ms - watch->margin_ms - now_ms;
    if (!watch->ending && (remaining_ms == 0 || left_ms <= run->grace_ms)) {
        watch->ending = true;
        watch->kill_at_ms = now_ms + clamp(left_ms, 0, run->grace_ms);
        run->lost = remaining_ms == 0 && left_ms > 0;
        if (!run->child.ended)
            out_note(run->out, "%s: ending the command",
                     run->lost ? "the lease was lost" : "the lease could not be renewed");
        child_signal(&run->child, SIGTERM);
    }
    if (watch->ending && !watch->killed && now_ms >= watch->kill_at_ms) {
        watch->killed = true;
        child_signal(&run->child, SIGKILL);
    }
}

static int64_t next_look_ms(const struct watch *watch)
{
    const struct run *run = watch->run;
    if (run->child.ended)
        return clock_boot_ms() + LOOK_AGAIN_MS;
    if (watch->killed)
        return clock_boot_ms() + 100 * LOOK_AGAIN_MS;
    if (watch->ending)
        return watch->kill_at_ms;
    return watch->deadline_ms - watch->margin_ms - run->grace_ms;
}

static void look_at_child(struct watch *watch)
{
    struct run *run = watch->run;
    if (!child_look(&run->child) || watch->ending)
        return;
    out_note(run->out, "stopped; the lease is not renewed until the command continues");
    child_stop_with(&run->child);
    look_at_lease(watch); /* before the child is woken */
    if (!watch->ending)
        (void)kill(-run->child.pid, SIGCONT);
}

static void read_signals(struct watch *watch)
{
    struct run *run = watch->run;
    struct signalfd_siginfo info;
    while (read(run->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            look_at_child(watch);
        else
            (void)kill(-run->child.pid, (int)info.ssi_signo);
    }
}

/* Whether the child has ended, and, if this loop ended it, also all processes that it had
 * started. */
static bool is_over(const struct watch *watch)
{
    const struct child *child = &watch->run->child;
    return child->ended && (!watch->ending || watch->killed || !child_group_exists(child));
}

bool run_watch(struct run *run)
{
    struct watch watch = {.run = run,
                          .margin_ms = clamp(lh_lease_ttl_ms(run->leases[0]) / 20, 50, 500)};
    watch.timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
    struct pollfd pollers[2 + RUN_KEYS] = {{.fd = run->signal_fd, .events = POLLIN},
                                           {.fd = watch.timer_fd, .events = POLLIN}};
    for (size_t i = 0; i < run->n_leases; i++)
        pollers[2 + i] = (struct pollfd){.fd = lh_lease_lost_fd(run->leases[i]), .events = POLLIN};
    for (;;) {
        look_at_lease(&watch);
        read_signals(&watch);
        if (is_over(&watch))
            break;
        set_alarm(watch.timer_fd, next_look_ms(&watch));
        /* once one was heard to be lost, no more of them is listened to */
        (void)poll(pollers, watch.ending ? 2 : 2 + run->n_leases,
                   watch.timer_fd < 0 ? LOOK_AGAIN_MS : -1);
    }
    (void)close(watch.timer_fd);
    return !watch.ending;
}

/* SPDX-License-Identifier: Apache-2.0
 * A thread reads signals from a descriptor, so there is no signal handler, and no code that must be
 * safe in a handler. The thread never calls the server, so it reacts to a signal even while the
 * server does not respond. */
#include "cli/interrupt.h"

#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/out.h"

enum { TICK_MS = 100, LAST_PATIENCE_MS = 1000 };

static void *listen_for_signals(void *arg)
{
    struct interrupt *interrupt = arg;
    struct pollfd pollers[] = {{.fd = interrupt->done_fd, .events = POLLIN},
                               {.fd = interrupt->signal_fd, .events = POLLIN}};
    struct signalfd_siginfo info;
    int n;
    while ((n = poll(pollers, 2, interrupt->tick ? TICK_MS : -1)) <= 0)
        if (n == 0 && interrupt->tick)
            interrupt->tick(interrupt->arg);
    if (!(pollers[1].revents & POLLIN) ||
        read(interrupt->signal_fd, &info, sizeof info) != sizeof info)
        return NULL;
    interrupt->signal = (int)info.ssi_signo;
    lh_cancel_now(interrupt->cancel);
    if (poll(pollers, 1, LAST_PATIENCE_MS) != 1) {
        interrupt->give_up(interrupt->arg);
        _exit(EXIT_SIGNAL + interrupt->signal);
    }
    return NULL;
}

static void close_all(struct interrupt *interrupt)
{
    (void)close(interrupt->signal_fd);
    (void)close(interrupt->done_fd);
    lh_cancel_free(interrupt->cancel);
}

static void undo_nothing(void *arg)
{
    (void)arg;
}

void interrupt_init_reader(struct interrupt *interrupt, sigset_t *signals)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigemptyset(signals);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        (void)sigaddset(signals, ending[i]);
    (void)sigprocmask(SIG_BLOCK, signals, NULL); /* the store's threads inherit it */
    *interrupt = (struct interrupt){.signals = signals, .give_up = undo_nothing};
}

int interrupt_start(struct interrupt *interrupt, lh_error *error)
{
    int code = lh_cancel_new(&interrupt->cancel, error);
    if (code != LH_OK)
        return code;
    interrupt->signal_fd = signalfd(-1, interrupt->signals, SFD_CLOEXEC);
    interrupt->done_fd = eventfd(0, EFD_CLOEXEC);
    if (interrupt->signal_fd >= 0 && interrupt->done_fd >= 0 &&
        pthread_create(&interrupt->thread, NULL, listen_for_signals, interrupt) == 0)
        return LH_OK;
    close_all(interrupt);
    return out_fail(error, LH_MEMORY, "the system has no thread or file descriptor left");
}

int interrupt_stop(struct interrupt *interrupt)
{
    uint64_t one = 1;
    ssize_t written = write(interrupt->done_fd, &one, sizeof one);
    (void)written; /* an eventfd takes it */
    (void)pthread_join(interrupt->thread, NULL);
    close_all(interrupt);
    return interrupt->signal;
}

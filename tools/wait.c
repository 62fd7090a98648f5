/* SPDX-License-Identifier: Apache-2.0
 * Acquiring with patience, by polling: what the library will do by queueing replaces this file.
 *
 * The asking is done by a thread, so that a signal is answered at once even while the server keeps silent; the calling
 * thread waits for the answer and for signals. Granted in the moment of the signal means released again. */
#include "wait.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

enum { FIRST_DELAY_MS = 25, LONGEST_DELAY_MS = 500, LAST_PATIENCE_MS = 1000 };

struct asker {
    struct wait *wait;
    int stop_fd, done_fd; /* eventfds */
    int code;
};

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool readable_within(int fd, int64_t ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, (int)ms) == 1;
}

static void raise_event(int fd)
{
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one);
    (void)written; /* an eventfd takes it */
}

/* Half to all of `ms`: those who were refused together must not come back together. */
static int64_t jittered(int64_t ms)
{
    uint32_t random = 0;
    ssize_t n = getrandom(&random, sizeof random, 0);
    (void)n;
    return ms / 2 + (int64_t)random % (ms / 2 + 1);
}

static void tell_waiting(const struct wait *wait)
{
    if (!wait->out->progress && !wait->out->verbose)
        return;
    char *sentence = record_sentence(wait->key, wait->busy);
    if (sentence)
        out_note(wait->out, "waiting: %s", sentence);
    free(sentence);
}

static void *ask(void *arg)
{
    struct asker *asker = arg;
    struct wait *wait = asker->wait;
    int64_t start = now_ms(), delay = FIRST_DELAY_MS;
    bool told = false;
    for (;;) {
        lh_record *busy = NULL;
        asker->code = lh_acquire(wait->store, wait->key, wait->options, &wait->lease, &busy, &wait->error);
        int64_t left = wait->wait_ms - (now_ms() - start);
        if (asker->code != LH_BUSY)
            break;
        lh_record_free(wait->busy);
        wait->busy = busy;
        if (left <= 0)
            break;
        if (!told)
            tell_waiting(wait);
        told = true;
        int64_t pause = jittered(delay);
        if (busy && busy->retry_after_ms > 0 && busy->retry_after_ms < pause)
            pause = busy->retry_after_ms;
        if (readable_within(asker->stop_fd, pause < left ? pause : left))
            break;
        delay = delay * 2 < LONGEST_DELAY_MS ? delay * 2 : LONGEST_DELAY_MS;
    }
    raise_event(asker->done_fd);
    return NULL;
}

/* Waits for the asker; a signal stops it. Returns the signal, 0 without one. */
static int attend(const struct asker *asker, int signal_fd)
{
    struct pollfd pollers[] = {{.fd = asker->done_fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
    while (poll(pollers, 2, -1) < 0)
        continue;
    struct signalfd_siginfo info = {0};
    if (!(pollers[1].revents & POLLIN) || read(signal_fd, &info, sizeof info) != sizeof info)
        return 0;
    raise_event(asker->stop_fd);
    if (!readable_within(asker->done_fd, LAST_PATIENCE_MS)) {
        out_note(asker->wait->out,
                 "the server was asked and has not answered: a lease that it still grants ends with its ttl");
        _exit(EXIT_SIGNAL + (int)info.ssi_signo);
    }
    return (int)info.ssi_signo;
}

static int ask_in_thread(struct asker *asker, int signal_fd)
{
    struct wait *wait = asker->wait;
    pthread_t thread;
    if (asker->stop_fd < 0 || asker->done_fd < 0 || signal_fd < 0 || pthread_create(&thread, NULL, ask, asker) != 0)
        return out_fail(&wait->error, LH_MEMORY, "the system has no thread or file descriptor left");
    wait->signal = attend(asker, signal_fd);
    (void)pthread_join(thread, NULL);
    if (!wait->signal)
        return asker->code;
    lh_error ignored; /* it ends with its ttl then */
    if (wait->lease)
        (void)lh_lease_release(wait->lease, &ignored);
    lh_lease_free(wait->lease);
    wait->lease = NULL;
    return LH_STOPPED;
}

int wait_acquire(struct wait *wait)
{
    struct asker asker = {
        .wait = wait, .stop_fd = eventfd(0, EFD_CLOEXEC), .done_fd = eventfd(0, EFD_CLOEXEC), .code = LH_BUG};
    int signal_fd = signalfd(-1, wait->signals, SFD_CLOEXEC);
    int code = ask_in_thread(&asker, signal_fd);
    (void)close(signal_fd);
    (void)close(asker.done_fd);
    (void)close(asker.stop_fd);
    return code;
}

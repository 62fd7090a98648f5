/* SPDX-License-Identifier: Apache-2.0
 * The library waits. This file shows the wait, and lets a signal end it. A lease that is granted at
 * the moment of the signal is released again. */
#include "cli/wait.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "cli/record.h"
#include "common/claim.h"
#include "common/clock.h"
#include "common/text.h"

enum { SPINNER_STEPS = 4, LINE_SIZE = 1024 };

/* The last feedback, and its time. */
struct view {
    const struct out *out;
    const char *key;
    pthread_mutex_t lock;
    bool waits; /* the wait has begun */
    char owner[LH_OWNER_MAX + 1];
    int64_t began_ms, ends_ms; /* ends_ms LH_NEVER: the holder's lease has no end */
    uint32_t place;
    int step;
};

static void hear(void *arg, const lh_record *record, uint32_t place)
{
    struct view *view = arg;
    const lh_holder *holder = lh_record_holder(record, 0);
    int64_t now = clock_boot_ms();
    bool first = !view->waits;
    pthread_mutex_lock(&view->lock);
    view->place = place;
    (void)snprintf(view->owner, sizeof view->owner, "%s", holder ? holder->owner : "");
    view->ends_ms =
        !holder || holder->remaining_ms == LH_NEVER ? LH_NEVER : now + holder->remaining_ms;
    if (first)
        view->began_ms = now;
    view->waits = true;
    pthread_mutex_unlock(&view->lock);
    char *sentence = first && view->out->verbose && !view->out->progress
                         ? record_sentence(view->key, record)
                         : NULL;
    if (sentence)
        out_note(view->out, "waiting: %s", sentence);
    free(sentence);
}

/* "| waiting 12 s for project:42: held by alice, 28 s left unless renewed; next in line" */
static void compose(const struct view *view, char line[LINE_SIZE])
{
    char waited[TEXT_DURATION_SIZE], left[TEXT_DURATION_SIZE + 32] = ", without an end",
                                                               place[32] = "next in line";
    int64_t now = clock_boot_ms();
    text_from_duration(now - view->began_ms, waited);
    if (view->ends_ms != LH_NEVER) {
        char duration[TEXT_DURATION_SIZE];
        text_from_duration(view->ends_ms > now ? view->ends_ms - now : 0, duration);
        (void)snprintf(left, sizeof left, ", %s left unless renewed", duration);
    }
    if (view->place > 0)
        (void)snprintf(place, sizeof place, "%u ahead", view->place);
    bool held = *view->owner;
    (void)snprintf(line, LINE_SIZE, "%c %s: waiting for %s, %s; %s%s%s",
                   "|/-\\"[view->step % SPINNER_STEPS], waited, view -> key, place,
                   held ? "held by " : "free soon", view->owner, held ? left : "");
}

static void draw(void *arg)
{
    struct view *view = arg;
    char line[LINE_SIZE] = "";
    pthread_mutex_lock(&view->lock);
    if (view->waits)
        compose(view, line);
    view->step++;
    pthread_mutex_unlock(&view->lock);
    struct winsize size = {0};
    size_t columns =
        ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1U : 79;
    char *safe = *line ? text_safe(line, NULL) : NULL;
    if (safe) {
        text_cut(safe, columns);
        out_progress(view->out, safe);
    }
    free(safe);
}

static void erase(struct view *view)
{
    pthread_mutex_lock(&view->lock);
    bool waited = view->waits;
    pthread_mutex_unlock(&view->lock);
    if (waited)
        out_progress(view->out, NULL);
}

static void give_up(void *arg)
{
    struct view *view = arg;
    erase(view);
    out_note(view->out, "the server has not replied to the acquire. If it still grants a lease, "
                        "the lease ends with its ttl");
}

static void give_back(struct wait *wait)
{
    for (size_t i = 0; i < wait->n_keys; i++) {
        if (wait->leases[i])
            (void)lh_lease_release(wait->leases[i], NULL); /* it ends with its ttl else */
        lh_lease_free(wait->leases[i]);
        wait->leases[i] = NULL;
    }
}

int wait_acquire(struct wait *wait)
{
    struct view view = {.out = wait->out, .key = wait->keys[0], .lock = PTHREAD_MUTEX_INITIALIZER};
    bool shows = wait->out->progress && !wait->out->quiet;
    struct interrupt interrupt = {
        .signals = wait->signals, .tick = shows ? draw : NULL, .give_up = give_up, .arg = &view};
    int code = interrupt_start(&interrupt, &wait->error);
    if (code != LH_OK)
        return code;
    wait->options.cancel = interrupt.cancel;
    wait->options.feedback = hear;
    wait->options.feedback_arg = &view;
    code = wait->n_keys == 1
               ? lh_acquire(wait->store, wait->keys[0], &wait->options, wait->leases, &wait->busy,
                            &wait->error)
               : lh_acquire_many(wait->store, wait->keys, wait->n_keys, &wait->options,
                                 wait->leases, &wait->busy, &wait->error);
    for (size_t i = 0; i < wait->n_keys && code == LH_OK; i++)
        code = claim_lease(wait->leases[i], &wait->error);
    wait->signal = interrupt_stop(&interrupt);
    erase(&view);
    if (wait->signal || code != LH_OK)
        give_back(wait);
    return wait->signal ? LH_CANCELLED : code;
}

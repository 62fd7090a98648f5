/* SPDX-License-Identifier: Apache-2.0
 * Invariant 7 in the committed order: nobody is overtaken, and a free key is granted to a living
 * head in time. */
#include <inttypes.h>
#include <string.h>

#include "torture/check.h"

#define BOUND_MS 6000 /* from free to granted, on a deployment that nobody disturbs */

static bool is_alive(const struct queued *queued, int64_t now)
{
    return queued->beat_at + queued->claim_ms > now;
}

/* Checks that all living waiters ahead of `holder` in the queue were granted the key too, or have
 * left. */
static void judge_order(struct check *check, size_t at, const struct state *before,
                        const struct state *after, const struct holder *holder, int64_t now)
{
    for (size_t i = 0; i < before->n_waiters; i++) {
        const struct queued *queued = &before->waiters[i];
        if (strcmp(queued->id, holder->id) == 0)
            return;
        if (!is_alive(queued, now) || check_holder(after, queued->id) ||
            !check_queued(after, queued->id))
            continue;
        check_violation(check, 7, at, SIZE_MAX,
                        "\"%s\" was granted to process %d, ahead of process %d, which had waited "
                        "for it for %" PRId64 " ms",
                        check->events[at].key, holder->who.p, queued->who.p, now - queued->since);
        return;
    }
}

/* The time from which this waiter could have been granted the key: there was no holder, and no
 * living waiter ahead. CHECK_NEVER: never. */
static int64_t could_from(const struct check *check, const struct state *before, const char *id)
{
    int64_t from = before->released_at;
    for (size_t i = 0; i < before->n_holders; i++) {
        if (before->holders[i].expires_at == CHECK_NEVER)
            return CHECK_NEVER;
        int64_t end = before->holders[i].expires_at + check->grace_ms;
        from = end > from ? end : from;
    }
    for (size_t i = 0; i < before->n_waiters; i++) {
        const struct queued *queued = &before->waiters[i];
        int64_t end = queued->beat_at + queued->claim_ms;
        if (strcmp(queued->id, id) == 0)
            return queued->since > from ? queued->since : from;
        from = end > from ? end : from;
    }
    return CHECK_NEVER; /* it was not in the queue */
}

static void judge_patience(struct check *check, size_t at, const struct state *before,
                           const char *id, int p, int64_t now)
{
    int64_t from = could_from(check, before, id), t = check->events[at].t;
    if (from == CHECK_NEVER || now - from <= BOUND_MS ||
        check_disturbed(check, p, t - (now - from) * 1000000, t))
        return;
    check_violation(check, 7, at, SIZE_MAX,
                    "\"%s\" was free for %" PRId64 " ms while process %d was first in its queue",
                    check->events[at].key, now - from, p);
}

static void judge_step(struct check *check, size_t at, const struct state *before)
{
    const struct state *after = check->events[at].state;
    if (after->removed)
        return;
    /* Found by its id, because its time is that of the start of the command, which may be earlier
     * than the change before it. */
    bool transfer = strcmp(after->released_how, "transfer") == 0 &&
                    strcmp(after->released_id, before->released_id) != 0;
    int64_t now = check_granted_at(before, after);
    if (now && !transfer)
        for (size_t i = 0; i < after->n_holders; i++) {
            const struct holder *holder = &after->holders[i];
            if (check_holder(before, holder->id) || holder->who.p < 0)
                continue;
            judge_order(check, at, before, after, holder, now);
            judge_patience(check, at, before, holder->id, holder->who.p, now);
        }
    now = check_now(before, after);
    for (size_t i = 0; i < before->n_waiters; i++) {
        const struct queued *queued = &before->waiters[i];
        if (!check_queued(after, queued->id) && !check_holder(after, queued->id) &&
            is_alive(queued, now))
            judge_patience(check, at, before, queued->id, queued->who.p, now);
    }
}

void check_queues(struct check *check)
{
    static const struct state none;
    for (size_t i = 0; i < check->n; i++) {
        const struct event *event = &check->events[i];
        const struct state *before = &none;
        if (event->kind != EV_COMMIT)
            continue;
        for (size_t j = i; j-- > 0;)
            if (check->events[j].kind == EV_COMMIT &&
                strcmp(check->events[j].key, event->key) == 0) {
                before = check->events[j].state->removed ? &none : check->events[j].state;
                break;
            }
        judge_step(check, i, before);
    }
}

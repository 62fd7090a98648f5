/* SPDX-License-Identifier: Apache-2.0
 * The functions that the parts of the checker share, and violations. */
#include "torture/check.h"

#include <stdarg.h>
#include <string.h>

void check_violation(struct check *check, int invariant, size_t at, size_t other,
                     const char *format, ...)
{
    check->of[invariant]++;
    if (check->n_violations == CHECK_VIOLATIONS)
        return;
    struct violation *violation = &check->violations[check->n_violations++];
    *violation = (struct violation){.invariant = invariant, .at = at, .other = other};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(violation->text, sizeof violation->text, format, args);
    va_end(args);
}

bool check_same_who(const struct who *a, const struct who *b)
{
    return a->p == b->p && a->life == b->life && a->n == b->n;
}

size_t check_call_of(const struct check *check, const struct who *who)
{
    if (who->p < 0)
        return SIZE_MAX;
    for (size_t i = 0; i < check->n; i++)
        if (check->events[i].kind == EV_CALL && check_same_who(&check->events[i].who, who))
            return i;
    return SIZE_MAX;
}

const struct holder *check_holder(const struct state *state, const char *id)
{
    for (size_t i = 0; state && i < state->n_holders; i++)
        if (strcmp(state->holders[i].id, id) == 0)
            return &state->holders[i];
    return NULL;
}

const struct queued *check_queued(const struct state *state, const char *id)
{
    for (size_t i = 0; state && i < state->n_waiters; i++)
        if (strcmp(state->waiters[i].id, id) == 0)
            return &state->waiters[i];
    return NULL;
}

int64_t check_granted_at(const struct state *before, const struct state *after)
{
    int64_t at = 0;
    for (size_t i = 0; i < after->n_holders; i++)
        if (!check_holder(before, after->holders[i].id) && after->holders[i].acquired_at > at)
            at = after->holders[i].acquired_at;
    return at;
}

int64_t check_now(const struct state *before, const struct state *after)
{
    int64_t now = check_granted_at(before, after);
    if (now)
        return now;
    return before && after->released_at <= before->released_at ? after->wall : after->released_at;
}

bool check_disturbed(const struct check *check, int p, int64_t from, int64_t to)
{
    for (size_t i = 0; i < check->n; i++) {
        const struct event *event = &check->events[i];
        bool ours = event->who.p < 0 ? strcmp(event->fault, "old") != 0 : event->who.p == p;
        if (event->kind == EV_FAULT && ours && event->t <= to &&
            event->t + event->ms * 1000000 >= from)
            return true;
    }
    return false;
}

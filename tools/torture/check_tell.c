/* SPDX-License-Identifier: Apache-2.0
 * Prints a violation as a story: the events of the key around that time, in order, in words. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "torture/check.h"

enum { LINES_MAX = 60 };
#define BEFORE_NS INT64_C(4000000000)
#define AFTER_NS  INT64_C(300000000)

static const char *const words[OP_COUNT] = {"an acquire", "a renewal", "a release", "a transfer",
                                            "a break",    "a cleanup", "a write",   "?"};

static void tell_who(const struct who *who, FILE *to)
{
    if (who->p < 0)
        fputs("somebody else", to);
    else if (who->life)
        fprintf(to, "process %d (restarted %d×)", who->p, who->life);
    else
        fprintf(to, "process %d", who->p);
}

static void tell_state(const struct state *state, FILE *to)
{
    if (state->removed) {
        fputs("committed: the document is removed", to);
        return;
    }
    fputs("committed: ", to);
    if (state->n_holders == 0)
        fprintf(to, "free (%s)", *state->released_how ? state->released_how : "never held");
    for (size_t i = 0; i < state->n_holders; i++) {
        const struct holder *holder = &state->holders[i];
        fprintf(to, "%s%s by ", i ? ", " : "", holder->shared ? "shared" : "held");
        tell_who(&holder->who, to);
        fprintf(to, " (lease %.8s, token …%" PRId64, holder->id, holder->token % 100000000);
        if (holder->expires_at == CHECK_NEVER)
            fputs(", without an end)", to);
        else
            fprintf(to, ", for %" PRId64 " ms more)", holder->expires_at - state->wall);
    }
    for (size_t i = 0; i < state->n_waiters; i++) {
        fputs(i ? ", then " : "; next in line ", to);
        tell_who(&state->waiters[i].who, to);
    }
}

static void tell_end(const struct event *event, FILE *to)
{
    tell_who(&event->who, to);
    if (event->op == OP_ACQUIRE && strcmp(event->outcome, "ok") == 0)
        fprintf(to, " was granted it%s (lease %.8s, token …%" PRId64 ")",
                event->shared ? ", shared" : "", event->id, event->token % 100000000);
    else if (event->op == OP_TRANSFER && strcmp(event->outcome, "ok") == 0)
        fprintf(to, " handed it on (lease %.8s, now %.8s)", event->id, event->to);
    else
        fprintf(to, ": %s%s%.8s ended: %s", words[event->op], *event->id ? " of lease " : "",
                event->id, event->outcome);
    if (event->holder_token > 0) {
        fputs(", it is held by ", to);
        tell_who(&event->holder, to);
        fprintf(to, " (token …%" PRId64 ")", event->holder_token % 100000000);
    }
}

static void tell_event(const struct check *check, const struct event *event, FILE *to)
{
    switch (event->kind) {
    case EV_CALL:
        tell_who(&event->who, to);
        fprintf(to, " begins %s%s%.8s", words[event->op], *event->id ? " of lease " : "",
                event->id);
        if (event->op == OP_ACQUIRE)
            fprintf(to, "%s, ttl %" PRId64 " ms, wait %" PRId64 " ms",
                    event->shared ? ", shared" : "", event->ttl_ms, event->wait_ms);
        break;
    case EV_END:
        tell_end(event, to);
        if (event->end != SIZE_MAX)
            fprintf(to, ", after %.0f ms", (double)(event->t - check->events[event->end].t) / 1e6);
        break;
    case EV_BELIEF:
        tell_who(&event->who, to);
        if (event->remaining_ms > 0)
            fprintf(to, " relies on the lease, for %" PRId64 " ms more (lease %.8s)",
                    event->remaining_ms, event->id);
        else
            fprintf(to, " knows that the lease is over (lease %.8s)", event->id);
        break;
    case EV_LOST:
        tell_who(&event->who, to);
        fprintf(to, " is notified of the loss (lease %.8s)", event->id);
        break;
    case EV_FAULT:
        if (event->who.p >= 0)
            tell_who(&event->who, to);
        else
            fputs("the deployment", to);
        fprintf(to, ": %s", event->fault);
        if (event->ms)
            fprintf(to, ", for up to %" PRId64 " ms", event->ms);
        break;
    case EV_COMMIT:
        tell_state(event->state, to);
        break;
    case EV_WROTE:
        fputs("in the data, next: a write of ", to);
        tell_who(&event->holder, to);
        fprintf(to, " (token …%" PRId64 ")", event->token % 100000000);
        break;
    case EV_HOLE:
        fputs("the oplog was cut off before torture read it", to);
        break;
    case EV_DONE:
        fputs("the run was over", to);
        break;
    default:
        tell_who(&event->who, to);
        fputs(" began", to);
    }
}

static bool is_involved(const struct check *check, const struct violation *violation,
                        const struct event *event)
{
    const struct event *at = &check->events[violation->at];
    if (event->kind == EV_FAULT || event->kind == EV_START)
        return event->kind == EV_FAULT || event->who.life > 0;
    return strcmp(event->key, at->key) == 0;
}

/* Of the samples of a belief the first, the last, and those around the violation are enough. */
static bool is_dull(const struct check *check, const struct violation *violation, size_t at)
{
    const struct event *event = &check->events[at];
    if (event->kind != EV_BELIEF || at == violation->at || at == violation->other)
        return false;
    bool same_before = false;
    for (size_t i = at; i-- > 0;) {
        const struct event *other = &check->events[i];
        if (other->kind == EV_BELIEF && other->who.p == event->who.p &&
            strcmp(other->id, event->id) == 0) {
            same_before = (other->remaining_ms > 0) == (event->remaining_ms > 0);
            break;
        }
    }
    return same_before;
}

void check_tell(const struct check *check, FILE *to)
{
    if (check->n_violations == 0)
        return;
    const struct violation *violation = &check->violations[0];
    const struct event *at = &check->events[violation->at];
    int64_t from = at->t, until = at->t + AFTER_NS;
    if (violation->other != SIZE_MAX && check->events[violation->other].t < from)
        from = check->events[violation->other].t;
    from -= BEFORE_NS;
    size_t shown[LINES_MAX], n = 0;
    for (size_t i = violation->at + 1;
         i < check->n && check->events[i].t <= until && n < LINES_MAX / 4; i++)
        if (is_involved(check, violation, &check->events[i]) && !is_dull(check, violation, i))
            shown[n++] = i;
    size_t after = n;
    for (size_t i = violation->at + 1; i-- > 0 && check->events[i].t >= from && n < LINES_MAX;)
        if (is_involved(check, violation, &check->events[i]) && !is_dull(check, violation, i))
            shown[n++] = i;
    fprintf(to, "Invariant %d: %s.\n", violation->invariant, violation->text);
    fprintf(to,
            "%.3f s after the beginning, seed %" PRId64
            ". Times in ms, 0 is where it shows; events of \"%s\":\n",
            (double)(at->t - check->start) / 1e9, check->seed, at->key);
    for (size_t k = n; k-- > 0;) {
        size_t i = k >= after ? shown[k] : shown[after - 1 - k];
        const struct event *event = &check->events[i];
        fprintf(to, "%s %9.1f  ",
                i == violation->at      ? ">"
                : i == violation->other ? "*"
                                        : " ",
                (double)(event->t - at->t) / 1e6);
        tell_event(check, event, to);
        fprintf(to, "  [%zu]\n", event->line);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Invariant 1 in real time: no two processes relied on leases of one key at the same time, unless
 * both shared the key. */
#include <stdlib.h>
#include <string.h>

#include "torture/check.h"

/* From the first to the last sample that was "valid". Between them the lease was valid, because a
 * lease that has ended stays ended. */
struct belief {
    size_t first, last; /* events */
    int64_t from, to;
    bool open;
};

static bool same_handle(const struct event *a, const struct event *b)
{
    return a->who.p == b->who.p && a->who.life == b->who.life && strcmp(a->id, b->id) == 0;
}

static struct belief *open_belief(struct belief *beliefs, size_t n, const struct check *check,
                                  const struct event *event)
{
    for (size_t i = n; i-- > 0;)
        if (beliefs[i].open && same_handle(&check->events[beliefs[i].first], event))
            return &beliefs[i];
    return NULL;
}

static size_t collect(const struct check *check, struct belief *beliefs)
{
    size_t n = 0;
    for (size_t i = 0; i < check->n; i++) {
        const struct event *event = &check->events[i];
        if (event->kind != EV_BELIEF && event->kind != EV_LOST)
            continue;
        struct belief *belief = open_belief(beliefs, n, check, event);
        bool believes = event->kind == EV_BELIEF && event->remaining_ms > 0;
        if (belief && believes) {
            belief->last = i;
            belief->to = event->t;
        } else if (belief) {
            belief->open = false;
        } else if (believes) {
            beliefs[n++] = (struct belief){
                .first = i, .last = i, .from = event->t, .to = event->t, .open = true};
        }
    }
    return n;
}

/* The time of the acquire, if it is known: a waiter's grant may be broken before the waiter learns
 * of the grant. */
static int64_t asked_at(const struct check *check, const struct belief *belief)
{
    const struct event *first = &check->events[belief->first];
    for (size_t i = belief->first + 1; i-- > 0;) {
        const struct event *end = &check->events[i];
        if (end->kind == EV_END && end->end != SIZE_MAX && strcmp(end->id, first->id) == 0)
            return check->events[end->end].t;
    }
    return belief->from;
}

/* A holder whose lease was broken may rely on it until its deadline. So from the break on, its
 * belief does not count as a violation until its ttl has passed, which is 2.5 s at most in a
 * run. */
static void waive_broken(const struct check *check, struct belief *beliefs, size_t n)
{
    for (size_t i = 0; i < check->n; i++) {
        const struct event *call = &check->events[i];
        if (call->kind != EV_CALL || call->op != OP_BREAK)
            continue;
        const struct event *end = call->end != SIZE_MAX ? &check->events[call->end] : NULL;
        if (end && strcmp(end->outcome, "ok") != 0 && strcmp(end->outcome, "unknown") != 0)
            continue;
        int64_t done = end ? end->t : call->t + INT64_C(6000000000),
                until = done + INT64_C(3500000000);
        for (size_t b = 0; b < n; b++) {
            struct belief *belief = &beliefs[b];
            if (strcmp(check->events[belief->first].key, call->key) != 0 || belief->to < call->t ||
                belief->from > until || asked_at(check, belief) > done)
                continue;
            if (belief->to > until)
                belief->from = until;
            else if (belief->from < call->t)
                belief->to = call->t;
            else
                belief->to = belief->from - 1; /* nothing is left of it */
        }
    }
}

/* The latest end that was ever committed of a lease, on the history's clock; 0: none was. */
static int64_t committed_end(const struct check *check, const struct event *belief)
{
    int64_t end = 0;
    for (size_t i = 0; i < check->n; i++) {
        const struct event *commit = &check->events[i];
        if (commit->kind != EV_COMMIT || strcmp(commit->key, belief->key) != 0)
            continue;
        const struct holder *holder = check_holder(commit->state, belief->id);
        if (!holder || holder->expires_at == CHECK_NEVER)
            continue;
        int64_t at = commit->t + (holder->expires_at - commit->state->wall) * 1000000;
        end = at > end ? at : end;
    }
    return end;
}

/* No process may rely on a lease after its end + grace, because from then on any other process may
 * get the key. */
static void judge_end(struct check *check, const struct belief *belief)
{
    const struct event *last = &check->events[belief->last];
    int64_t end = committed_end(check, last), late_ms = (last->t - end) / 1000000 - check->grace_ms;
    if (end && late_ms > 0)
        check_violation(check, 1, belief->last, belief->first,
                        "process %d still relied on its lease on \"%s\" %lld ms after another "
                        "process could have taken the key over",
                        last->who.p, last->key, (long long)late_ms);
}

/* After a release or a transfer, the process no longer relies on the lease, whether or not the key
 * has a new holder. */
static void judge_given(struct check *check, const struct belief *belief)
{
    const struct event *last = &check->events[belief->last];
    for (size_t i = 0; i < belief->last; i++) {
        const struct event *end = &check->events[i];
        if (end->kind == EV_END && (end->op == OP_RELEASE || end->op == OP_TRANSFER) &&
            strcmp(end->outcome, "ok") == 0 && strcmp(end->id, last->id) == 0) {
            check_violation(check, 1, belief->last, i,
                            "process %d still relied on its lease on \"%s\", which it had %s",
                            last->who.p, last->key,
                            end->op == OP_RELEASE ? "released" : "handed on");
            return;
        }
    }
}

static void judge_pair(struct check *check, const struct belief *a, const struct belief *b)
{
    const struct event *one = &check->events[a->first], *two = &check->events[b->first];
    if (strcmp(one->key, two->key) != 0 || (one->shared && two->shared) || same_handle(one, two))
        return;
    int64_t from = a->from > b->from ? a->from : b->from, to = a->to < b->to ? a->to : b->to;
    if (from > to)
        return;
    const struct belief *later = a->from > b->from ? a : b, *sooner = later == a ? b : a;
    check_violation(check, 1, later->first, sooner->last,
                    "process %d and process %d relied on leases on \"%s\" at the same time, for at "
                    "least %.1f ms",
                    check->events[sooner->first].who.p, check->events[later->first].who.p, one->key,
                    (double)(to - from) / 1e6);
}

static void check_ids(struct check *check)
{
    for (size_t i = 0; i < check->n; i++) {
        const struct event *one = &check->events[i];
        if (one->kind != EV_END || one->op != OP_ACQUIRE || strcmp(one->outcome, "ok") != 0)
            continue;
        for (size_t j = i + 1; j < check->n; j++) {
            const struct event *two = &check->events[j];
            if (two->kind == EV_END && two->op == OP_ACQUIRE && strcmp(two->outcome, "ok") == 0 &&
                strcmp(one->id, two->id) == 0)
                check_violation(check, 5, j, i, "the lease id %.8s… was granted twice", one->id);
        }
    }
}

void check_beliefs(struct check *check)
{
    struct belief *beliefs = calloc(check->n + 1, sizeof *beliefs);
    if (!beliefs)
        return;
    size_t n = collect(check, beliefs);
    for (size_t i = 0; i < n; i++) {
        judge_given(check, &beliefs[i]);
        if (check->oplog)
            judge_end(check, &beliefs[i]);
    }
    waive_broken(check, beliefs, n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            judge_pair(check, &beliefs[i], &beliefs[j]);
    free(beliefs);
    check_ids(check);
}

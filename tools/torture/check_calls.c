/* SPDX-License-Identifier: Apache-2.0
 * Compares the replies to callers with the commits: invariants 3 and 6; and invariant 2 by the
 * order of the calls, which needs no oplog. */
#include <stdlib.h>
#include <string.h>

#include "torture/check.h"

#define SLACK_NS                                                                                   \
    (INT64_C(200) *                                                                                \
     1000000) /* a commit's time is a clock's, in milliseconds, before it is written */
#define STALE_NS                                                                                   \
    (INT64_C(15000) *                                                                              \
     1000000) /* the longest time for which a deposed primary replies `busy` with old data */

/* From here on the stored state is certainly later than `t`. */
static int64_t surely_after(const struct check *check, int64_t t)
{
    return t + SLACK_NS + check->clocks_ms * 1000000;
}

static bool is_grant(const struct event *event)
{
    return event->kind == EV_END && event->op == OP_ACQUIRE && strcmp(event->outcome, "ok") == 0;
}

/* If an acquire began after the reply to another grant, its grant has the higher token. */
static void check_tokens(struct check *check)
{
    for (size_t i = 0; i < check->n; i++) {
        const struct event *later = &check->events[i];
        if (!is_grant(later) || later->end == SIZE_MAX)
            continue;
        for (size_t j = later->end; j-- > 0;) {
            const struct event *before = &check->events[j];
            if (!is_grant(before) || strcmp(before->key, later->key) != 0)
                continue;
            if (before->token >= later->token)
                check_violation(
                    check, 2, i, j,
                    "\"%s\" was granted to process %d with token %lld, after token %lld",
                    later->key, later->who.p, (long long)later->token, (long long)before->token);
            break; /* those before were held to be lower than this one */
        }
    }
}

/* The last commit that granted the lease, and the number of such commits. */
static size_t find_grant(const struct check *check, const char *key, const char *id,
                         size_t *ret_times)
{
    size_t found = SIZE_MAX;
    bool held = false;
    *ret_times = 0;
    for (size_t i = 0; i < check->n; i++) {
        const struct event *event = &check->events[i];
        if (event->kind != EV_COMMIT || strcmp(event->key, key) != 0)
            continue;
        bool holds = check_holder(event->state, id) != NULL;
        if (holds && !held) {
            found = i;
            ++*ret_times;
        }
        held = holds;
    }
    return found;
}

/* There may be several: a grant whose lease ended before the reply came, and a second attempt with
 * the same id. check_commits checks that all belong to that one call. */
static void check_acknowledged(struct check *check, size_t at)
{
    const struct event *end = &check->events[at];
    size_t times, grant = find_grant(check, end->key, end->id, &times);
    if (times == 0)
        check_violation(check, 3, at, SIZE_MAX,
                        "process %d got the reply that it was granted \"%s\" (lease %.8s…), but "
                        "the grant was not committed",
                        end->who.p, end->key, end->id);
    else if (check_holder(check->events[grant].state, end->id)->token != end->token)
        check_violation(check, 3, at, grant,
                        "process %d got a token of \"%s\" that differs from the committed token",
                        end->who.p, end->key);
}

static const struct state *last_state(const struct check *check, const char *key)
{
    for (size_t i = check->n; i-- > 0;)
        if (check->events[i].kind == EV_COMMIT && strcmp(check->events[i].key, key) == 0)
            return check->events[i].state;
    return NULL;
}

/* An acknowledged release was committed. */
static void check_released(struct check *check, size_t at)
{
    const struct event *end = &check->events[at];
    if (check_holder(last_state(check, end->key), end->id))
        check_violation(check, 3, at, SIZE_MAX,
                        "process %d got the reply that \"%s\" (lease %.8s…) was released, but it "
                        "still held the key at the end",
                        end->who.p, end->key, end->id);
}

/* A caller that got the reply that it holds nothing must hold nothing: neither a lease nor a place
 * in the queue. */
static void check_nothing_held(struct check *check, size_t at)
{
    const struct event *end = &check->events[at];
    for (size_t i = at + 1; i < check->n; i++) {
        const struct event *commit = &check->events[i];
        if (commit->kind != EV_COMMIT || commit->t < surely_after(check, end->t) ||
            strcmp(commit->key, end->key) != 0)
            continue;
        for (size_t h = 0; h < commit->state->n_holders; h++)
            if (check_same_who(&commit->state->holders[h].who, &end->who)) {
                check_violation(check, 3, i, at,
                                "process %d got the reply \"%s\" for \"%s\", but holds the key "
                                "%.0f ms later without knowing it",
                                end->who.p, end->outcome, end->key,
                                (double)(commit->t - end->t) / 1e6);
                return;
            }
        for (size_t w = 0; w < commit->state->n_waiters; w++)
            if (check_same_who(&commit->state->waiters[w].who, &end->who)) {
                check_violation(check, 7, i, at,
                                "process %d got the reply \"%s\" for \"%s\", but is still in the "
                                "queue of the key %.0f ms later",
                                end->who.p, end->outcome, end->key,
                                (double)(commit->t - end->t) / 1e6);
                return;
            }
        return; /* the state before the next commit was stored until then */
    }
}

/* The time in which a lease with this token held the key; false: there was none. */
static bool find_token(const struct check *check, const char *key, int64_t token, int64_t *ret_from,
                       int64_t *ret_to)
{
    bool held = false, ever = false;
    for (size_t i = 0; i < check->n; i++) {
        const struct event *event = &check->events[i];
        if (event->kind != EV_COMMIT || strcmp(event->key, key) != 0)
            continue;
        bool holds = false;
        for (size_t h = 0; h < event->state->n_holders; h++)
            holds = holds || event->state->holders[h].token == token;
        if (holds && !ever)
            *ret_from = event->t;
        if (held && !holds)
            *ret_to = event->t;
        if (holds)
            *ret_to = INT64_MAX;
        ever = ever || holds;
        held = holds;
    }
    return ever;
}

/* Whether a call that began at `begin` got a reply about a state that ended at `to`. A primary's
 * reply is not older than the call. Only after a fault of the deployment, a server that does not
 * know yet that it is deposed may have sent the reply. */
static bool is_stale(const struct check *check, int64_t to, int64_t begin, int64_t end)
{
    if (to == INT64_MAX || surely_after(check, to) >= begin)
        return false;
    return to < begin - STALE_NS || !check_disturbed(check, -1, to, end);
}

static void check_busy(struct check *check, size_t at)
{
    const struct event *end = &check->events[at];
    int64_t from = 0, to = 0;
    if (!check->oplog || end->holder_token <= 0)
        return;
    bool ever = find_token(check, end->key, end->holder_token, &from, &to);
    if (ever && to > surely_after(check, end->t) && check_same_who(&end->holder, &end->who)) {
        check_violation(
            check, 3, at, SIZE_MAX,
            "process %d got the reply that \"%s\" is busy, but the process itself holds the key: "
            "the grant was committed, and the acquire was sent again with another lease id",
            end->who.p, end->key);
        return;
    }
    int64_t begin = end->end == SIZE_MAX ? end->t : check->events[end->end].t;
    if (!ever)
        check_violation(
            check, 6, at, SIZE_MAX,
            "process %d got the reply that \"%s\" is held with token %lld, which nobody had",
            end->who.p, end->key, (long long)end->holder_token);
    else if (from > surely_after(check, end->t) || is_stale(check, to, begin, end->t))
        check_violation(check, 6, at, SIZE_MAX,
                        "process %d got the reply that \"%s\" is held with token %lld, which was "
                        "not held at that time",
                        end->who.p, end->key, (long long)end->holder_token);
}

void check_calls(struct check *check)
{
    check_tokens(check);
    for (size_t i = 0; i < check->n; i++) {
        const struct event *end = &check->events[i];
        if (end->kind != EV_END)
            continue;
        bool ok = strcmp(end->outcome, "ok") == 0;
        bool nothing = strcmp(end->outcome, "busy") == 0 || strcmp(end->outcome, "cancelled") == 0;
        if (end->op == OP_ACQUIRE && strcmp(end->outcome, "busy") == 0)
            check_busy(check, i);
        if (!check->oplog)
            continue;
        if (end->op == OP_ACQUIRE && ok)
            check_acknowledged(check, i);
        else if (end->op == OP_ACQUIRE && nothing)
            check_nothing_held(check, i);
        else if (end->op == OP_RELEASE && ok)
            check_released(check, i);
    }
}

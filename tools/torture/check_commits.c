/* SPDX-License-Identifier: Apache-2.0
 * The committed order: each change of a key's document against the one before it. Invariants 1
 * (nobody is taken over before the end + grace), 2, 4 and 9. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "torture/check.h"

#define RETENTION_MIN_MS 1000 /* cleanup removes only documents that were free that long */
#define RENEW_SLACK_NS                                                                             \
    (INT64_C(4000) * 1000000) /* a renewal that was given up may still arrive: maxTimeMS */
#define LATE_NS                                                                                    \
    (INT64_C(15000) * 1000000) /* the longest time for which a disturbed network may delay a       \
                                  command: maxTimeMS counts from its arrival */

struct ended {
    char id[CHECK_ID];
};

struct walk {
    struct check *check;
    const char *key;
    struct state none; /* before the first */
    const struct state *before;
    size_t at; /* the commit that is looked at */
    int64_t highest;
    struct ended *ended;
    size_t n_ended, room;
};

static bool is_old(const char *id)
{
    return strncmp(id, "old", 3) == 0; /* a lock of older code, planted by the run */
}

static void note_ended(struct walk *walk, const char *id)
{
    if (walk->n_ended == walk->room) {
        walk->room = walk->room ? 2 * walk->room : 64;
        struct ended *more = realloc(walk->ended, walk->room * sizeof *more);
        if (!more)
            abort();
        walk->ended = more;
    }
    (void)snprintf(walk->ended[walk->n_ended++].id, CHECK_ID, "%s", id);
}

static bool has_ended(const struct walk *walk, const char *id)
{
    for (size_t i = walk->n_ended; i-- > 0;)
        if (strcmp(walk->ended[i].id, id) == 0)
            return true;
    return false;
}

/* The acquire continues: an earlier grant ended before its reply, and the acquire was sent again,
 * so no process relied on that grant. Or the acquire ended unknown, and an attempt arrives late;
 * but a lease id in `released` never acquires again. */
static bool is_asked_for(const struct walk *walk, const struct holder *holder)
{
    size_t at = check_call_of(walk->check, &holder->who);
    const struct event *call = at == SIZE_MAX ? NULL : &walk->check->events[at];
    int64_t t = walk->check->events[walk->at].t;
    const struct event *end =
        call && call->end != SIZE_MAX ? &walk->check->events[call->end] : NULL;
    bool late = end && strcmp(end->outcome, "unknown") == 0 && t <= end->t + LATE_NS &&
                strcmp(walk->before->released_id, holder->id) != 0 &&
                check_disturbed(walk->check, holder->who.p, call->t, t);
    bool over = end && !late && end->t + walk->check->clocks_ms * INT64_C(1000000) < t;
    return call && call->t - walk->check->clocks_ms * INT64_C(1000000) <= t && !over;
}

static void judge_granted(struct walk *walk, const struct holder *holder)
{
    if (is_old(holder->id))
        return;
    if (has_ended(walk, holder->id) && !is_asked_for(walk, holder))
        check_violation(walk->check, 4, walk->at, SIZE_MAX,
                        "the lease %.8s… of \"%s\" had ended, and was revived", holder->id,
                        walk->key);
    else if (holder->token <= walk->highest)
        check_violation(walk->check, 2, walk->at, SIZE_MAX,
                        "\"%s\" was granted with token %" PRId64 ", after token %" PRId64,
                        walk->key, holder->token, walk->highest);
    walk->highest =
        holder->token > walk->highest ? holder->token : walk->highest; /* of a run the next one */
}

static void judge_kept(struct walk *walk, const struct holder *was, const struct holder *is)
{
    if (is->token != was->token)
        check_violation(walk->check, 4, walk->at, SIZE_MAX,
                        "the lease %.8s… of \"%s\" got another token", is->id, walk->key);
    else if (is->expires_at < was->expires_at)
        check_violation(walk->check, 4, walk->at, SIZE_MAX,
                        "the lease %.8s… of \"%s\" was shortened by %" PRId64 " ms", is->id,
                        walk->key, was->expires_at - is->expires_at);
    else if (is->renewed_at > was->renewed_at && is->renewed_at >= was->expires_at)
        check_violation(walk->check, 4, walk->at, SIZE_MAX,
                        "the lease %.8s… of \"%s\" was renewed %" PRId64 " ms after it had ended",
                        is->id, walk->key, is->renewed_at - was->expires_at);
}

static void judge_gone(struct walk *walk, const struct holder *holder, const struct state *after)
{
    note_ended(walk, holder->id);
    bool news = after->released_at > walk->before->released_at ||
                strcmp(after->released_id, walk->before->released_id) != 0;
    bool released = news && strcmp(after->released_id, holder->id) == 0 &&
                    strcmp(after->released_how, "expire") != 0;
    bool broken = news && strcmp(after->released_how, "break") == 0;
    int64_t now = check_now(walk->before, after);
    if (released || broken)
        return;
    if (holder->expires_at == CHECK_NEVER)
        check_violation(walk->check, 1, walk->at, SIZE_MAX,
                        "\"%s\" was held without an end, and was taken over", walk->key);
    else if (now < holder->expires_at + walk->check->grace_ms)
        check_violation(walk->check, 1, walk->at, SIZE_MAX,
                        "\"%s\" was taken from the lease %.8s… %" PRId64
                        " ms before it could be (its end + %" PRId64 " ms of grace)",
                        walk->key, holder->id, holder->expires_at + walk->check->grace_ms - now,
                        walk->check->grace_ms);
}

static void judge_removed(struct walk *walk, const struct state *removal)
{
    int64_t latest = walk->before->end;
    for (size_t i = 0; i < walk->before->n_holders; i++) {
        const struct holder *holder = &walk->before->holders[i];
        note_ended(walk, holder->id);
        if (is_old(holder->id))
            return;
        latest = holder->expires_at > latest ? holder->expires_at : latest;
    }
    for (size_t i = 0; i < walk->before->n_waiters; i++) {
        const struct queued *queued = &walk->before->waiters[i];
        if (queued->beat_at + queued->claim_ms > removal->wall + walk->check->clocks_ms)
            check_violation(walk->check, 7, walk->at, SIZE_MAX,
                            "the document of \"%s\" was removed while process %d waited", walk->key,
                            queued->who.p);
    }
    if (latest == CHECK_NEVER || latest + RETENTION_MIN_MS > removal->wall + walk->check->clocks_ms)
        check_violation(walk->check, 2, walk->at, SIZE_MAX,
                        "the document of \"%s\" was removed although the key was in use less than "
                        "a second before: its token is lost",
                        walk->key);
}

static void judge_step(struct walk *walk, const struct state *after)
{
    const struct state *before = walk->before;
    if (after->removed) {
        judge_removed(walk, after);
        return;
    }
    if (before->doc_id[0] && !before->removed && strcmp(before->doc_id, after->doc_id) != 0)
        check_violation(walk->check, 9, walk->at, SIZE_MAX, "there are two documents of \"%s\"",
                        walk->key);
    for (size_t i = 0; i < after->n_holders; i++) {
        const struct holder *is = &after->holders[i], *was = check_holder(before, is->id);
        if (was)
            judge_kept(walk, was, is);
        else
            judge_granted(walk, is);
    }
    for (size_t i = 0; i < before->n_holders; i++)
        if (!check_holder(after, before->holders[i].id))
            judge_gone(walk, &before->holders[i], after);
}

static void walk_key(struct check *check, size_t first)
{
    struct walk walk = {.check = check, .key = check->events[first].key};
    walk.before = &walk.none;
    for (size_t i = first; i < check->n; i++) {
        const struct event *event = &check->events[i];
        if (event->kind != EV_COMMIT || strcmp(event->key, walk.key) != 0)
            continue;
        walk.at = i;
        judge_step(&walk, event->state);
        walk.before = event->state->removed ? &walk.none : event->state;
    }
    free(walk.ended);
}

static bool seen_before(const struct check *check, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (check->events[i].kind == EV_COMMIT &&
            strcmp(check->events[i].key, check->events[at].key) == 0)
            return true;
    return false;
}

void check_commits(struct check *check)
{
    for (size_t i = 0; i < check->n; i++)
        if (check->events[i].kind == EV_COMMIT && !seen_before(check, i))
            walk_key(check, i);
}

/* ---- Renewals: a lease that its holder renews by hand is renewed by nobody else -------------- */

static bool has_renewal(const struct check *check, const char *id, int64_t t)
{
    for (size_t i = 0; i < check->n; i++) {
        const struct event *call = &check->events[i];
        if (call->kind != EV_CALL || call->op != OP_RENEW || strcmp(call->id, id) != 0)
            continue;
        const struct event *end = call->end == SIZE_MAX ? call : &check->events[call->end];
        int64_t clocks_ns = check->clocks_ms * INT64_C(1000000);
        int64_t slack_ns = strcmp(end->outcome, "ok") == 0 ? clocks_ns : RENEW_SLACK_NS;
        if (t >= call->t - clocks_ns && t <= end->t + slack_ns)
            return true;
    }
    return false;
}

static void follow_renewals(struct check *check, const struct event *grant)
{
    const struct holder *was = NULL;
    for (size_t i = 0; i < check->n; i++) {
        const struct event *event = &check->events[i];
        if (event->kind != EV_COMMIT || strcmp(event->key, grant->key) != 0)
            continue;
        const struct holder *is = check_holder(event->state, grant->id);
        /* An acquire whose reply was lost is repeated, and extends its lease. */
        bool repeated = event->t <= grant->t + check->clocks_ms * INT64_C(1000000) ||
                        check_disturbed(check, grant->who.p, check->events[grant->end].t, event->t);
        if (was && is && is->expires_at > was->expires_at && !repeated &&
            !has_renewal(check, grant->id, event->t)) {
            check_violation(check, 4, i, SIZE_MAX,
                            "the lease %.8s… of \"%s\" was renewed, but its holder, process %d, "
                            "did not request that",
                            grant->id, grant->key, grant->who.p);
            return;
        }
        was = is;
    }
}

void check_renewals(struct check *check)
{
    for (size_t i = 0; i < check->n; i++) {
        const struct event *end = &check->events[i];
        if (end->kind != EV_END || end->op != OP_ACQUIRE || strcmp(end->outcome, "ok") != 0 ||
            end->end == SIZE_MAX)
            continue;
        const struct event *call = &check->events[end->end];
        if (call->by_hand &&
            call->wait_ms == 0) /* the library claims a waiter's grant by a renewal */
            follow_renewals(check, end);
    }
}

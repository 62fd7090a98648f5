/* SPDX-License-Identifier: Apache-2.0
 * The writes of callers under their leases: invariant 10. Each document lists the writes that
 * landed, in order; a guarded write records how many writes of older tokens it found. */
#include <string.h>

#include "torture/check.h"

static bool is_same_place(const struct event *one, const struct event *two)
{
    return two->kind == EV_WROTE && (one->older < 0) == (two->older < 0) &&
           strcmp(one->key, two->key) == 0;
}

static void check_once(struct check *check, size_t at)
{
    const struct event *wrote = &check->events[at];
    for (size_t i = at; i-- > 0;)
        if (is_same_place(wrote, &check->events[i]) &&
            check_same_who(&check->events[i].holder, &wrote->holder))
            check_violation(check, 10, at, i, "a write of process %d landed twice",
                            wrote->holder.p);
}

/* Checks that writes landed in the order of their tokens, and that no write with an older token
 * landed between a fenced read and the write that depends on it. */
static void check_order(struct check *check, size_t at)
{
    const struct event *wrote = &check->events[at];
    int64_t place = 0;
    bool last = true;
    for (size_t i = 0; i < at; i++)
        place += is_same_place(wrote, &check->events[i]);
    for (size_t i = at; i-- > 0;) {
        const struct event *before = &check->events[i];
        if (!is_same_place(wrote, before))
            continue;
        place--;
        if (last && before->token > wrote->token)
            check_violation(
                check, 10, at, i,
                "a write of process %d with token %lld landed after one with token %lld",
                wrote->holder.p, (long long)wrote->token, (long long)before->token);
        if (wrote->seen >= 0 && place >= wrote->seen && before->token < wrote->token)
            check_violation(
                check, 10, at, i,
                "a write of process %d with token %lld landed after one with token %lld had read",
                before->holder.p, (long long)before->token, (long long)wrote->token);
        last = false;
    }
}

/* A process that has guarded and read has seen all writes that older tokens can ever make. */
static void check_guarded(struct check *check, size_t at)
{
    const struct event *wrote = &check->events[at];
    int64_t older = 0;
    for (size_t i = 0; i < check->n; i++)
        older += is_same_place(wrote, &check->events[i]) && check->events[i].token < wrote->token;
    if (older != wrote->older)
        check_violation(check, 10, at, SIZE_MAX,
                        "process %d with token %lld found %lld guarded writes of older tokens, but "
                        "the data has %lld",
                        wrote->holder.p, (long long)wrote->token, (long long)wrote->older,
                        (long long)older);
}

/* Checks that the reply to the write is true. */
static void check_told(struct check *check, size_t at)
{
    const struct event *end = &check->events[at];
    size_t found = SIZE_MAX;
    for (size_t i = check->n; i-- > 0 && found == SIZE_MAX;)
        if (check->events[i].kind == EV_WROTE &&
            check_same_who(&check->events[i].holder, &end->who))
            found = i;
    static const char *const refusals[] = {"lost", "unreachable", "again", "stopped"};
    bool ok = strcmp(end->outcome, "ok") == 0, refused = false;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        refused = refused || strcmp(end->outcome, refusals[i]) == 0;
    if (ok && found == SIZE_MAX)
        check_violation(check, 10, at, SIZE_MAX,
                        "process %d got the reply that it wrote, but the write is missing",
                        end->who.p);
    if (refused && found != SIZE_MAX)
        check_violation(check, 10, at, found,
                        "process %d got the reply \"%s\" to a write, but the write landed",
                        end->who.p, end->outcome);
}

void check_writes(struct check *check)
{
    for (size_t i = 0; i < check->n; i++) {
        const struct event *event = &check->events[i];
        if (event->kind == EV_END && event->op == OP_WRITE)
            check_told(check, i);
        if (event->kind != EV_WROTE)
            continue;
        check_once(check, i);
        if (event->older < 0)
            check_order(check, i);
        else
            check_guarded(check, i);
    }
}

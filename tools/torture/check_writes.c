/* SPDX-License-Identifier: Apache-2.0
 * What the callers wrote under their leases: invariant 10. Each document says what landed in it, in order. */
#include <string.h>

#include "check.h"

/* In the order of the tokens, and each once. */
static void check_landed(struct check *check, size_t at)
{
    const struct event *wrote = &check->events[at];
    bool last = true;
    for (size_t i = at; i-- > 0;) {
        const struct event *before = &check->events[i];
        if (before->kind != EV_WROTE || strcmp(before->key, wrote->key) != 0)
            continue;
        if (last && before->token > wrote->token)
            check_violation(check, 10, at, i, "a write of process %d with token %lld landed after one with token %lld",
                            wrote->holder.p, (long long)wrote->token, (long long)before->token);
        if (check_same_who(&before->holder, &wrote->holder))
            check_violation(check, 10, at, i, "a write of process %d landed twice", wrote->holder.p);
        last = false;
    }
}

/* What was told of it is so. */
static void check_told(struct check *check, size_t at)
{
    const struct event *end = &check->events[at];
    size_t found = SIZE_MAX;
    for (size_t i = check->n; i-- > 0 && found == SIZE_MAX;)
        if (check->events[i].kind == EV_WROTE && check_same_who(&check->events[i].holder, &end->who))
            found = i;
    bool ok = strcmp(end->outcome, "ok") == 0;
    bool refused = strcmp(end->outcome, "lost") == 0 || strcmp(end->outcome, "unreachable") == 0;
    if (ok && found == SIZE_MAX)
        check_violation(check, 10, at, SIZE_MAX, "process %d was told that it wrote, and that is not there",
                        end->who.p);
    if (refused && found != SIZE_MAX)
        check_violation(check, 10, at, found, "process %d was told \"%s\" of a write, and it landed", end->who.p,
                        end->outcome);
}

void check_writes(struct check *check)
{
    for (size_t i = 0; i < check->n; i++) {
        if (check->events[i].kind == EV_WROTE)
            check_landed(check, i);
        else if (check->events[i].kind == EV_END && check->events[i].op == OP_WRITE)
            check_told(check, i);
    }
}

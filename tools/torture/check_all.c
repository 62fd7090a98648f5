/* SPDX-License-Identifier: Apache-2.0
 * Runs all checks, one after the other. */
#include <stdlib.h>
#include <string.h>

#include "torture/check.h"

static int earlier(const void *one, const void *two)
{
    const struct violation *a = one, *b = two;
    return a->at < b->at ? -1 : a->at > b->at;
}

bool check_all(struct check *check)
{
    for (size_t i = 0; i < check->n; i++) {
        const struct event *event = &check->events[i];
        check->calls += event->kind == EV_CALL;
        check->beliefs += event->kind == EV_BELIEF;
        check->commits += event->kind == EV_COMMIT;
        check->grants +=
            event->kind == EV_END && event->op == OP_ACQUIRE && strcmp(event->outcome, "ok") == 0;
    }
    check_beliefs(check);
    check_calls(check);
    check_writes(check);
    if (check->oplog) {
        check_commits(check);
        check_renewals(check);
        check_queues(check);
    }
    qsort(check->violations, check->n_violations, sizeof *check->violations, earlier);
    return check->n_violations == 0;
}

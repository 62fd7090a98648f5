/* SPDX-License-Identifier: Apache-2.0
 * Settles doubts. A doubt is a lease id that the server may have granted, or not released, although
 * no caller has the lease. It is released in the background, so that its key is not blocked for a
 * whole ttl. A few are settled at a time, between the renewals. If the server does not answer, the
 * pause before the next attempt grows. */
#include "acquire/keeper_settle.h"

#include "acquire/keeper.h"
#include "base/clock.h"
#include "lease/lease.h"
#include "lease/lease_held.h"

#define AT_ONCE     16  /* before the keeper returns to the renewals, and */
#define AT_ONCE_MS  100 /* … none after this time: the server may be slow */
#define PATIENCE_MS 1000

/* False: the server did not answer. */
static bool settle(lh_store *store, const lh_doubtful *doubt, struct _mongoc_client_t *client)
{
    int64_t sent = lh_clock_ms();
    int outcome = lh_lease_leave_queue(store, doubt->key, doubt->id,
                                       (lh_context){sent + PATIENCE_MS, client}, NULL, NULL);
    bool answered = outcome != LH_UNKNOWN && outcome != LH_UNREACHABLE;
    if (answered)
        lh_held_doubt_answered(store, doubt->id, sent);
    else
        lh_held_doubt_unanswered(store, doubt->id);
    return answered;
}

int64_t lh_keeper_settle(lh_store *store, struct _mongoc_client_t *client, int64_t now)
{
    lh_doubtful doubt;
    int64_t next = INT64_MAX, until = now + AT_ONCE_MS;
    for (int i = 0; i < AT_ONCE && lh_clock_ms() <= until && !atomic_load(&store->stopping); i++)
        if (!lh_held_next_doubt(store, now, &doubt, &next) || !settle(store, &doubt, client))
            break;
    return next;
}

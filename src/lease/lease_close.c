/* SPDX-License-Identifier: Apache-2.0
 * Closes a store: releases the leases that it holds or may hold, as far as the time allows. No
 * other thread uses the store at this point. */
#include "lease/lease_close.h"

#include "base/clock.h"
#include "lease/audit.h"
#include "lease/lease.h"
#include "lease/lease_held.h"
#include "lease/lease_look.h"
#include "protocol/pipeline_batch.h"
#include "store/store_run.h"

#define BATCH_MAX 1000

/* Takes the next lease from the list, and ends it locally. NULL: the list is empty. */
static lh_lease *take_first(lh_store *store)
{
    lh_lease *lease = store->held->leases;
    if (lease)
        (void)lh_lease_end(lease);
    return lease;
}

/* Most leases are exclusive and have no waiters: one command ends up to 1,000 of these. True: it
 * ended all. */
static bool release_many(lh_store *store, lh_batch_lease *leases, size_t n, int64_t deadline)
{
    bson_t command = BSON_INITIALIZER, reply;
    lh_batch_release(store->collection, leases, n, &command);
    lh_call call = {.what = "release the leases",
                    .operation = LH_OPERATION_RELEASE,
                    .command = &command,
                    .deadline = deadline};
    int outcome = lh_store_run(store, &call, &reply, NULL, NULL);
    bool all = outcome == LH_OK && lh_reply_n(&reply) == (int64_t)n;
    bson_destroy(&command);
    bson_destroy(&reply);
    return all;
}

/* The result is ignored: no caller is left to report it to. */
static void tell_released(lh_store *store, lh_lease *const *handles, size_t n)
{
    lh_audit_end ends[BATCH_MAX];
    size_t n_ends = 0;
    for (size_t i = 0; i < n; i++)
        if (handles[i]->in_trail)
            ends[n_ends++] =
                (lh_audit_end){.event = "released",
                               .key = handles[i]->key,
                               .owner = handles[i]->attached ? NULL : handles[i]->owner,
                               .token = handles[i]->token,
                               .reason = "its store was closed"};
    (void)lh_audit_ended(store, ends, n_ends, NULL);
}

/* Takes up to a batch of leases. The first *ret_simple of them can be released together. */
static size_t take_batch(lh_store *store, lh_lease **handles, size_t *ret_simple)
{
    size_t n = 0, simple = 0;
    for (lh_lease *lease; n < BATCH_MAX && (lease = take_first(store)); n++) {
        handles[n] = lease;
        if (lease->mode == LH_EXCLUSIVE && !atomic_load(&lease->crowded)) {
            handles[n] = handles[simple];
            handles[simple++] = lease;
        }
    }
    *ret_simple = simple;
    return n;
}

static void release_held(lh_store *store, int64_t deadline)
{
    lh_lease *handles[BATCH_MAX];
    lh_batch_lease leases[BATCH_MAX];
    size_t simple, released = 0, n = take_batch(store, handles, &simple);
    for (size_t i = 0; i < simple; i++)
        leases[i] = (lh_batch_lease){.key = handles[i]->key, .id = handles[i]->id};
    if (simple > 1 && lh_clock_ms() < deadline && release_many(store, leases, simple, deadline))
        released = simple;
    /* Shared leases, leases with waiters, and ended ones are released one by one. */
    for (size_t i = released; i < n && lh_clock_ms() < deadline; i++)
        if (lh_lease_release_id(store, handles[i]->key, handles[i]->id, handles[i]->ttl_ms,
                                (lh_context){deadline, NULL}))
            handles[released++] = handles[i];
    if (released > 0)
        lh_log(store,
               &(lh_log_event){.event = LH_LOG_RELEASE,
                               .count = released,
                               .key = handles[0]->key,
                               .lease = handles[0]->id},
               NULL);
    if (lh_clock_ms() < deadline)
        tell_released(store, handles, released);
}

void lh_held_release_all(lh_store *store, int64_t deadline)
{
    lh_doubtful doubt;
    if (!store->held) /* its opening failed */
        return;
    while (store->held->leases)
        release_held(store, deadline);
    while (lh_held_take_doubt(store, &doubt))
        if (lh_clock_ms() < deadline)
            (void)lh_lease_release_id(store, doubt.key, doubt.id, LH_TTL_DEFAULT_MS,
                                      (lh_context){deadline, NULL});
    lh_held_set_released(store);
}

/* SPDX-License-Identifier: Apache-2.0
 * The two lists of a store. Threads: the store's lock guards them; nothing is sent while it is held. */
#include "lease_held.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "pipeline_batch.h"

struct lh_doubt {
    struct lh_doubt *next;
    int64_t until; /* on lh_clock_ms(): by then it has ended by itself */
    char id[LH_LEASE_ID_ROOM];
    char key[];
};

void lh_held_add(lh_lease *lease)
{
    lh_store *store = lease->store;
    pthread_mutex_lock(&store->lock);
    lease->next = store->held;
    if (store->held)
        store->held->previous = lease;
    store->held = lease;
    lease->held = true;
    pthread_mutex_unlock(&store->lock);
}

static bool unlink_locked(lh_lease *lease)
{
    if (!lease->held)
        return false;
    if (lease->previous)
        lease->previous->next = lease->next;
    else
        lease->store->held = lease->next;
    if (lease->next)
        lease->next->previous = lease->previous;
    lease->next = lease->previous = NULL;
    lease->held = false;
    return true;
}

bool lh_held_remove(lh_lease *lease)
{
    pthread_mutex_lock(&lease->store->lock);
    bool was_held = unlink_locked(lease);
    pthread_mutex_unlock(&lease->store->lock);
    return was_held;
}

void lh_held_by_hand(lh_lease *lease)
{
    pthread_mutex_lock(&lease->store->lock);
    lease->by_hand = true;
    if (lease->renew_at > lh_clock_ms())
        lease->renew_at = INT64_MAX;
    pthread_mutex_unlock(&lease->store->lock);
}

/* Takes out the doubt of `lease_id` (NULL: of nobody), and those whose time has passed. */
static void forget_locked(lh_store *store, const char *lease_id)
{
    int64_t now = lh_clock_ms();
    for (struct lh_doubt **at = &store->doubts; *at;) {
        struct lh_doubt *doubt = *at;
        if (doubt->until > now && !(lease_id && strcmp(doubt->id, lease_id) == 0)) {
            at = &doubt->next;
            continue;
        }
        *at = doubt->next;
        free(doubt);
    }
}

void lh_held_doubt(lh_store *store, const char *key, const char *lease_id, int64_t ttl_ms)
{
    size_t len = strlen(key) + 1;
    struct lh_doubt *doubt = malloc(sizeof *doubt + len);
    if (!doubt)
        return; /* the caller is told its id, and it ends with its ttl */
    doubt->until =
        lh_clock_ms() + ttl_ms + store->timeout_ms; /* a straggler may still be applied until its maxTimeMS */
    memcpy(doubt->id, lease_id, LH_LEASE_ID_ROOM);
    memcpy(doubt->key, key, len);
    pthread_mutex_lock(&store->lock);
    forget_locked(store, lease_id);
    doubt->next = store->doubts;
    store->doubts = doubt;
    pthread_mutex_unlock(&store->lock);
}

void lh_held_forget_doubt(lh_store *store, const char *lease_id)
{
    pthread_mutex_lock(&store->lock);
    forget_locked(store, lease_id);
    pthread_mutex_unlock(&store->lock);
}

#define BATCH_MAX 1000

/* The next of the list, out of it and over; NULL: it is empty. */
static lh_lease *take_first(lh_store *store)
{
    lh_lease *lease = store->held; /* the caller says that no other thread uses the store */
    if (lease)
        (void)lh_lease_end(lease);
    return lease;
}

/* Most leases are exclusive, and nobody waits for their keys: one command ends up to 1,000 of these. True: all that were given. */
static bool release_many(lh_store *store, lh_batch_lease *leases, size_t n, int64_t deadline)
{
    bson_t command = BSON_INITIALIZER, reply;
    lh_batch_release(store->collection, leases, n, &command);
    lh_call call = {.what = "release the leases", .command = &command, .deadline = deadline};
    int outcome = lh_store_run(store, &call, &reply, NULL, NULL);
    bson_iter_t matched, errors;
    bool all = outcome == LH_OK && !bson_iter_init_find(&errors, &reply, "writeErrors") &&
               bson_iter_init_find(&matched, &reply, "n") && bson_iter_as_int64(&matched) == (int64_t)n;
    bson_destroy(&command);
    bson_destroy(&reply);
    return all;
}

static void release_held(lh_store *store, int64_t deadline)
{
    lh_lease *handles[BATCH_MAX];
    lh_batch_lease leases[BATCH_MAX];
    size_t n = 0;
    for (lh_lease *lease; n < BATCH_MAX && (lease = take_first(store));) {
        bool simple = lease->mode == LH_EXCLUSIVE && !atomic_load(&lease->crowded);
        if (simple) {
            handles[n] = lease;
            leases[n++] = (lh_batch_lease){.key = lease->key, .id = lease->id};
        } else if (lh_clock_ms() < deadline) {
            lh_lease_leave(store, lease->key, lease->id, (lh_way){deadline, NULL});
        }
    }
    if (n == 0 || lh_clock_ms() >= deadline || (n > 1 && release_many(store, leases, n, deadline)))
        return;
    for (size_t i = 0; i < n && lh_clock_ms() < deadline; i++) /* somebody waits, or it ended: one by one */
        lh_lease_leave(store, handles[i]->key, handles[i]->id, (lh_way){deadline, NULL});
}

void lh_held_release_all(lh_store *store, int64_t deadline)
{
    while (store->held)
        release_held(store, deadline);
    while (store->doubts) {
        struct lh_doubt *doubt = store->doubts;
        store->doubts = doubt->next;
        if (lh_clock_ms() < deadline && lh_clock_ms() < doubt->until)
            lh_lease_leave(store, doubt->key, doubt->id, (lh_way){deadline, NULL});
        free(doubt);
    }
}

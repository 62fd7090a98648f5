/* SPDX-License-Identifier: Apache-2.0
 * The two lists of a store. Threads: the store's lock guards them; nothing is sent while it is held. */
#include "lease_held.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

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

static void unlink_locked(lh_lease *lease)
{
    if (!lease->held)
        return;
    if (lease->previous)
        lease->previous->next = lease->next;
    else
        lease->store->held = lease->next;
    if (lease->next)
        lease->next->previous = lease->previous;
    lease->next = lease->previous = NULL;
    lease->held = false;
}

void lh_held_remove(lh_lease *lease)
{
    pthread_mutex_lock(&lease->store->lock);
    unlink_locked(lease);
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

void lh_held_release_all(lh_store *store, int64_t deadline)
{
    while (store->held) { /* the caller says that no other thread uses the store */
        lh_lease *lease = store->held;
        lh_held_remove(lease);
        pthread_mutex_lock(&lease->lock);
        lease->over = true;
        pthread_mutex_unlock(&lease->lock);
        if (lh_clock_ms() < deadline)
            lh_lease_leave(store, lease->key, lease->id, deadline);
    }
    while (store->doubts) {
        struct lh_doubt *doubt = store->doubts;
        store->doubts = doubt->next;
        if (lh_clock_ms() < deadline && lh_clock_ms() < doubt->until)
            lh_lease_leave(store, doubt->key, doubt->id, deadline);
        free(doubt);
    }
}

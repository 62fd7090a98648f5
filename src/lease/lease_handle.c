/* SPDX-License-Identifier: Apache-2.0
 * A lease's handle: its reference count, and the facts that need no command. */
#include "lease/lease_handle.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/key.h"
#include "lease/lease_held.h"
#include "store/store.h"

lh_lease *lh_lease_new(lh_store *store, const char *key, const char *lease_id, const char *owner)
{
    lh_lease *lease = calloc(1, sizeof *lease);
    if (!lease)
        return NULL;
    lease->key = strdup(key);
    lease->owner = strdup(owner);
    memcpy(lease->id, lease_id, LH_LEASE_ID_ROOM);
    pthread_mutex_init(&lease->lock, NULL);
    atomic_init(&lease->refs, 1);
    lease->lost_fd = -1;
    lease->renewal = lease->end = (lh_due)LH_DUE_NEVER;
    lease->store = lh_store_ref(store);
    lease->enforced = store->held->enforced;
    lease->in_trail = !store->audit;
    if (lease->key && lease->owner)
        return lease;
    lh_lease_free(lease);
    return NULL;
}

int lh_lease_attach(lh_store *store, const char *key, const char *lease_id, lh_lease **ret_lease,
                    lh_error *error)
{
    int outcome = lh_store_check(store, error);
    if (outcome == LH_OK)
        outcome = lh_key_check(key, key ? strlen(key) : 0, error);
    if (outcome == LH_OK)
        outcome = lh_lease_id_check(lease_id, error);
    if (outcome != LH_OK)
        return outcome;
    lh_lease *lease = lh_lease_new(store, key, lease_id, "");
    if (!lease)
        return lh_fail_memory(error);
    lease->attached = lease->in_trail = true;
    *ret_lease = lease;
    return LH_OK;
}

lh_lease *lh_lease_ref(lh_lease *lease)
{
    atomic_fetch_add(&lease->refs, 1);
    return lease;
}

void lh_lease_unref(lh_lease *lease)
{
    if (!lease || atomic_fetch_sub(&lease->refs, 1) != 1)
        return;
    if (lease->lost_fd >= 0)
        (void)close(lease->lost_fd);
    lh_store_unref(lease->store);
    pthread_mutex_destroy(&lease->lock);
    free(lease->note);
    free(lease->refusal);
    free(lease->owner);
    free(lease->key);
    free(lease);
}

void lh_lease_free(lh_lease *lease)
{
    if (!lease)
        return;
    lh_held_remove(lease);
    lh_lease_unref(lease);
}

bool lh_lease_lock(const lh_lease *lease)
{
    bool here = lease->store->pid == getpid();
    if (here)
        pthread_mutex_lock(&((lh_lease *)(uintptr_t)lease)->lock);
    return here;
}

void lh_lease_unlock(const lh_lease *lease, bool locked)
{
    if (locked)
        pthread_mutex_unlock(&((lh_lease *)(uintptr_t)lease)->lock);
}

static int64_t get_locked(const lh_lease *lease, const int64_t *number)
{
    bool locked = lh_lease_lock(lease);
    int64_t value = *number;
    lh_lease_unlock(lease, locked);
    return value;
}

int64_t lh_lease_token(const lh_lease *lease)
{
    return get_locked(lease, &lease->token);
}

int64_t lh_lease_ttl_ms(const lh_lease *lease)
{
    return get_locked(lease, &lease->ttl_ms);
}

int64_t lh_lease_expires_at_ms(const lh_lease *lease)
{
    return get_locked(lease, &lease->expires_at_ms);
}

const char *lh_lease_key(const lh_lease *lease)
{
    return lease->key;
}

const char *lh_lease_id(const lh_lease *lease)
{
    return lease->id;
}

const char *lh_lease_owner(const lh_lease *lease)
{
    return lease->owner;
}

int lh_lease_mode(const lh_lease *lease)
{
    return lease->mode;
}

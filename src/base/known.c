/* SPDX-License-Identifier: Apache-2.0
 * A table of hashes of keys. Two keys with the same hash are confused, which costs one command and
 * nothing else. */
#include "base/known.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/key.h"

#define SLOTS 4096

struct lh_known {
    _Atomic uint64_t hashes[SLOTS]; /* 0: empty */
};

lh_known *lh_known_new(void)
{
    return calloc(1, sizeof(lh_known));
}

void lh_known_free(lh_known *known)
{
    free(known);
}

/* Never 0. */
static uint64_t hash_of(const char *key)
{
    uint64_t hash = lh_text_hash(key);
    return hash ? hash : 1;
}

static size_t slot_of(uint64_t hash)
{
    return (hash ^ hash >> 32) % SLOTS;
}

bool lh_known_has(const lh_known *known, const char *key)
{
    uint64_t hash = hash_of(key);
    return atomic_load_explicit(&known->hashes[slot_of(hash)], memory_order_relaxed) == hash;
}

void lh_known_note(lh_known *known, const char *key, bool own)
{
    uint64_t hash = hash_of(key), held = hash;
    _Atomic uint64_t *slot = &known->hashes[slot_of(hash)];
    if (own && atomic_load_explicit(slot, memory_order_relaxed) != hash)
        atomic_store_explicit(slot, hash, memory_order_relaxed);
    else if (!own)
        (void)atomic_compare_exchange_strong(slot, &held, 0);
}

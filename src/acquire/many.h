/* SPDX-License-Identifier: Apache-2.0
 * The state of an acquire of many keys, shared by many.c and many_batch.c. */
#ifndef LH_MANY_H
#define LH_MANY_H

#include "acquire/path.h"

typedef struct lh_many_entry {
    const char *key;
    size_t at; /* where the caller has it */
    char id[LH_LEASE_ID_ROOM];
    lh_lease *lease; /* held, and not returned to the caller yet */
} lh_many_entry;

typedef struct lh_many {
    lh_store *store;
    lh_acquire_options o; /* complete; owner is there */
    size_t n;
    lh_many_entry *entries; /* sorted by key: all callers take them in this order */
    int64_t began_us;       /* its call */
    int64_t until;          /* the end of the wait */
    bool singly;            /* a batch met something unusual: no more batches */
    lh_record *busy;
    lh_error *error;
} lh_many;

/* Checks the arguments of lh_acquire_many(), and fills `many`, whose store, n and error are set.
 * lh_many_finish() frees it on every outcome. */
int lh_many_prepare(lh_many *many, const char *const *keys, const lh_acquire_options *options);
void lh_many_finish(lh_many *many);

/* lh_acquire_many() for a prepared `many`, in any rollout mode. */
int lh_core_acquire_many(lh_many *many, lh_lease **ret_leases, lh_record **ret_busy);

#endif

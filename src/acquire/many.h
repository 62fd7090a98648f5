/* SPDX-License-Identifier: Apache-2.0
 * Acquiring many keys: what many.c and many_batch.c share. */
#ifndef LH_MANY_H
#define LH_MANY_H

#include "acquire/path.h"

typedef struct lh_many_entry {
    const char *key;
    size_t at; /* where the caller has it */
    char id[LH_LEASE_ID_ROOM];
    lh_lease *lease; /* in hand, not handed out yet */
} lh_many_entry;

typedef struct lh_many {
    lh_store *store;
    lh_acquire_options o; /* complete; owner is there */
    size_t n;
    lh_many_entry *entries; /* in the order of their keys, in which everybody takes them */
    int64_t began_us;       /* its call */
    int64_t until;          /* the end of the wait */
    bool singly;            /* a batch met something unusual: no more of them */
    lh_record *busy;
    lh_error *error;
} lh_many;

/* Checks the arguments of lh_acquire_many(), and fills `many`, whose store, n and error are set.
 * lh_many_finish() frees it on every outcome. */
int lh_many_prepare(lh_many *many, const char *const *keys, const lh_acquire_options *options);
void lh_many_finish(lh_many *many);

/* lh_acquire_many(), of what is prepared, whatever the store's mode. */
int lh_core_acquire_many(lh_many *many, lh_lease **ret_leases, lh_record **ret_busy);

#endif

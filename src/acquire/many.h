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
    int64_t until;          /* the end of the wait */
    bool singly;            /* a batch met something unusual: no more of them */
    lh_record *busy;
    lh_error *error;
} lh_many;

/* lh_acquire() and lh_acquire_many(), whatever the store's mode. */
int lh_real_acquire_many(lh_store *store, const char *const *keys, size_t n,
                         const lh_acquire_options *options, lh_lease **ret_leases,
                         lh_record **ret_busy, lh_error *error);

/* What is wrong with the arguments of lh_acquire_many(); LH_OK: r->o is complete. */
int lh_many_check(lh_request *r, const char *const *keys, size_t n,
                  const lh_acquire_options *options);

#endif

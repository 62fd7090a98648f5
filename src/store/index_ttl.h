/* SPDX-License-Identifier: Apache-2.0
 * TTL indexes (expireAfterSeconds), with which the server deletes documents. */
#ifndef LH_INDEX_TTL_H
#define LH_INDEX_TTL_H

#include "store/store.h"

typedef enum {
    LH_TTL_NONE,   /* deletes nothing */
    LH_TTL_LATE,   /* deletes ended leases, after the grace */
    LH_TTL_UNSAFE, /* deletes leases that are held or within the grace */
} lh_ttl_kind;

/* The fault and the remedy, as two parts of a sentence. Long names are cut in the first part
 * only. */
typedef struct lh_ttl {
    char what[256], to_do[464];
} lh_ttl;

/* Judges an index as listIndexes describes it, also one under construction. Fills *ret_ttl unless
 * the result is LH_TTL_NONE. */
lh_ttl_kind lh_index_judge_ttl(const lh_store *store, const bson_t *index, lh_ttl *ret_ttl);

#endif

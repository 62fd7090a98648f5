/* SPDX-License-Identifier: Apache-2.0
 * Indexes by which the server deletes documents (expireAfterSeconds). */
#ifndef LH_INDEX_TTL_H
#define LH_INDEX_TTL_H

#include "store/store.h"

typedef enum {
    LH_TTL_NONE,   /* it deletes nothing */
    LH_TTL_LATE,   /* it deletes what has ended, and not before the grace is over */
    LH_TTL_UNSAFE, /* it deletes leases that are held, or whose grace is not over */
} lh_ttl_kind;

/* What is so, and what to do, as two parts of a sentence: long names are cut in the first one
 * alone. */
typedef struct lh_ttl {
    char what[256], to_do[464];
} lh_ttl;

/* Of an index as listIndexes describes it, also one that is being built. *ret_ttl is filled unless
 * it is LH_TTL_NONE. */
lh_ttl_kind lh_index_judge_ttl(const lh_store *store, const bson_t *index, lh_ttl *ret_ttl);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The unique index on the key: what the right one is, and whether it is there. Home of invariant 9
 * (no grant before). */
#ifndef LH_INDEX_H
#define LH_INDEX_H

#include "store/index_shape.h"
#include "store/store.h"

typedef enum {
    /* there, unique, simple collation, on {workspace_id: 1}, nothing partial or sparse */
    LH_INDEX_STATE_RIGHT,
    LH_INDEX_STATE_NONE, /* the collection is there, the index is not */
    /* of our name and key, but not unique: a migration was interrupted, or is under way */
    LH_INDEX_STATE_PLAIN,
    LH_INDEX_STATE_NO_COLLECTION,
} lh_index_state;

/* One round trip (listIndexes). LH_OK: *ret_state. LH_CONFIG: an index of that name with other
 * options or another key, one by which the server deletes leases that are held (index_ttl.h), a
 * view, …; the message says what and what to do. */
int lh_index_look(lh_store *store, int64_t deadline, lh_index_state *ret_state, lh_error *error);

/* LH_CONFIG when the collection is a view, a time-series or a capped one, deletes its documents by
 * itself, or has a collation of its own; LH_OK also when there is none. */
int lh_index_check_collection(lh_store *store, int64_t deadline, lh_error *error);

/* LH_OK: *ret_empty says whether there is no document (or no collection). */
int lh_index_is_empty(lh_store *store, int64_t deadline, bool *ret_empty, lh_error *error);

/* Creates the unique index on a collection that is missing or empty; LH_CONFIG when there are
 * documents. */
int lh_index_create_on_empty(lh_store *store, int64_t deadline, lh_error *error);

/* Before a grant: LH_OK when this store has seen the index in the last `max_age_ms` (INT64_MAX:
 * ever), or sees it now, or could create it on an empty collection. LH_CONFIG otherwise: run the
 * migration. */
int lh_index_require(lh_store *store, int64_t max_age_ms, int64_t deadline, lh_error *error);

#endif

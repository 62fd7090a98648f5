/* SPDX-License-Identifier: Apache-2.0
 * The unique index on the key: its definition, and whether it exists. Home of invariant 9: no
 * grant before it was seen. */
#ifndef LH_INDEX_H
#define LH_INDEX_H

#include "store/index_shape.h"
#include "store/store.h"

typedef enum {
    /* unique, on {workspace_id: 1}, with the simple collation, neither partial nor sparse */
    LH_INDEX_STATE_RIGHT,
    LH_INDEX_STATE_NONE, /* the collection exists, the index does not */
    /* it has our name and key but is not unique: a migration was interrupted, or is running */
    LH_INDEX_STATE_PLAIN,
    LH_INDEX_STATE_NO_COLLECTION,
} lh_index_state;

/* One round trip (listIndexes). LH_OK: *ret_state. LH_CONFIG: an index of that name has other
 * options or another key, an index makes the server delete held leases (index_ttl.h), or the
 * collection is unfit. The message names the fault and the remedy. */
int lh_index_look(lh_store *store, int64_t deadline, lh_index_state *ret_state, lh_error *error);

/* LH_CONFIG: the collection is a view, a time series, capped, deletes its documents by itself, or
 * has a collation. LH_OK also if it does not exist. */
int lh_index_check_collection(lh_store *store, int64_t deadline, lh_error *error);

/* LH_OK: *ret_empty is true if there is no document, or no collection. */
int lh_index_is_empty(lh_store *store, int64_t deadline, bool *ret_empty, lh_error *error);

/* Creates the unique index on a collection that is missing or empty. LH_CONFIG: it has
 * documents. */
int lh_index_create_on_empty(lh_store *store, int64_t deadline, lh_error *error);

/* Called before a grant. LH_OK: this store has seen the index within `max_age_ms` (INT64_MAX: at
 * any time), sees it now, or has created it on an empty collection. LH_CONFIG: run the
 * migration. */
int lh_index_require(lh_store *store, int64_t max_age_ms, int64_t deadline, lh_error *error);

#endif

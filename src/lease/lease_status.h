/* SPDX-License-Identifier: Apache-2.0
 * Reads the stored document of a key, with the server's clock. */
#ifndef LH_LEASE_STATUS_H
#define LH_LEASE_STATUS_H

#include "store/store.h"

/* A document as it is stored, and the server's clock. */
typedef struct lh_stored {
    bson_t reply, document; /* the document is a view of the reply */
    bool there;
    int64_t now_ms;
} lh_stored;

/* Adds a projection to a find, so that documents come as {d: the document, now: the server's
 * clock}. */
void lh_status_append_projection(bson_t *command);

/* The parts of such a document; `ret_document` is a view. */
bool lh_status_read(const bson_t *answer, bson_t *ret_document, int64_t *ret_now_ms);

/* Of several documents (duplicates before the migration) the one with the newest end. The caller
 * destroys ret_seen->reply on every outcome. */
int lh_status_find_key(lh_store *store, const char *key, lh_stored *ret_seen, lh_error *error);

/* Finds it by its _id, as extended JSON. LH_LOST: no such document. The caller destroys
 * ret_seen->reply on every outcome. */
int lh_status_find_id(lh_store *store, const char *id, lh_stored *ret_seen, lh_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Reading the document of a key as it is stored, with the clock of the server. */
#ifndef LH_LEASE_STATUS_H
#define LH_LEASE_STATUS_H

#include "store/store.h"

/* A document as it is stored, and the server's clock. */
typedef struct lh_stored {
    bson_t reply, document; /* the document is a view of the reply */
    bool there;
    int64_t now_ms;
} lh_stored;

/* Adds to a find the projection by which documents come as {d: the document, now: the server's
 * clock}. */
void lh_status_append_projection(bson_t *command);

/* The parts of such a document; `ret_document` is a view. */
bool lh_status_read(const bson_t *answer, bson_t *ret_document, int64_t *ret_now_ms);

/* Of several documents (duplicates that are not yet migrated) the one with the newest end.
 * ret_seen->reply is to be destroyed whatever is returned. */
int lh_status_find_key(lh_store *store, const char *key, lh_stored *ret_seen, lh_error *error);

/* By its _id, as extended JSON. LH_LOST: there is no such document. ret_seen->reply is to be
 * destroyed, whatever is returned. */
int lh_status_find_id(lh_store *store, const char *id, lh_stored *ret_seen, lh_error *error);

#endif

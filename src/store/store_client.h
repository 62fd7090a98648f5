/* SPDX-License-Identifier: Apache-2.0
 * The connections that commands travel on. */
#ifndef LH_STORE_CLIENT_H
#define LH_STORE_CLIENT_H

#include "store/store.h"

/* For one attempt of a call: its own connection, one of the pool's, or, if it is slow, a new one
 * whose socket waits as long as the call may take. NULL: `why` says why not. */
struct _mongoc_client_t *lh_store_take(lh_store *store, const lh_call *call,
                                       struct _bson_error_t *why);
void lh_store_give(lh_store *store, const lh_call *call, struct _mongoc_client_t *client);

/* A session for a cursor: the server wants it for all batches, and the driver takes any of the
 * pool's where it is given none: with several threads another one. To be destroyed. NULL: no server
 * answers. */
struct _mongoc_client_session_t *lh_store_session(struct _mongoc_client_t *client);

/* A connection kept for one of the library's own threads, so that no caller's burst takes it away.
 * NULL: none to be had. */
struct _mongoc_client_t *lh_store_reserve(lh_store *store);
void lh_store_unreserve(lh_store *store, struct _mongoc_client_t *client);

#endif

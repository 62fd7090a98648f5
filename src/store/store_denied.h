/* SPDX-License-Identifier: Apache-2.0
 * Naming the privilege that is missing. */
#ifndef LH_STORE_DENIED_H
#define LH_STORE_DENIED_H

#include "store/store.h"

/* `error` says that the server did not permit `call` on `client`: says instead what is missing, if
 * that can be found out. */
void lh_store_name_missing(const lh_store *store, struct _mongoc_client_t *client,
                           const lh_call *call, lh_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Names the missing privilege. */
#ifndef LH_STORE_DENIED_H
#define LH_STORE_DENIED_H

#include "store/store.h"

/* `error` reports that the server did not permit `call` on `client`. Rewrites it to name the
 * missing privilege, if that can be found. */
void lh_store_name_missing(const lh_store *store, struct _mongoc_client_t *client,
                           const lh_call *call, lh_error *error);

#endif

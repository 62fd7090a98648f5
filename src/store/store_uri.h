/* SPDX-License-Identifier: Apache-2.0
 * The connection string: what of it is honoured, what is refused, what is bounded. */
#ifndef LH_STORE_URI_H
#define LH_STORE_URI_H

#include <bson/bson.h>

#include "store/store_uri_options.h"

struct _mongoc_uri_t;

/* Parses options->uri for the store's pool. `socket_timeout_ms` bounds connecting, choosing a
 * server and each answer. `remarks` (to be freed on any outcome) gets what of it has no effect.
 * LH_CONFIG: it does not parse, or asks for less than majority writes, for TLS that checks less,
 * or for what cannot be; the sentence never quotes a value of it. */
int lh_store_uri_parse(const lh_store_options *options, int64_t socket_timeout_ms,
                       struct _mongoc_uri_t **ret_uri, lh_remarks *remarks, lh_error *error);

/* Does this thread let the driver read a URI just now? What the driver logs meanwhile quotes it. */
bool lh_store_uri_is_parsing(void);

#endif

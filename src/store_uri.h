/* SPDX-License-Identifier: Apache-2.0
 * The connection string: what of it is honoured, what is refused, what is bounded. */
#ifndef LH_STORE_URI_H
#define LH_STORE_URI_H

#include "error.h"

struct _mongoc_uri_t;

/* Parses options->uri for the store's pool. `socket_timeout_ms` bounds connecting, choosing a server and each answer.
 * LH_CONFIG: it does not parse, or asks for less than majority writes; the sentence never quotes the URI. */
int lh_store_uri_parse(const lh_store_options *options, int64_t socket_timeout_ms, struct _mongoc_uri_t **ret_uri,
                       lh_error *error);

#endif

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
int lh_store_uri_parse(const lh_store_options *options, int64_t socket_timeout_ms, struct _mongoc_uri_t **ret_uri,
                       lh_remarks *remarks, lh_error *error);

/* Does this thread let the driver read a URI just now? What the driver logs meanwhile quotes it. */
bool lh_store_uri_is_parsing(void);

/* LH_CONFIG: the URI switches off a check of TLS and that is not allowed, or names a file that
 * cannot be read. */
int lh_store_tls_check(const struct _mongoc_uri_t *uri, bool allow_insecure, lh_error *error);

/* No server was found, for the reason that the driver gives. LH_UNREACHABLE; LH_CONFIG where
 * asking again is of no use: no server's certificate is accepted, or ours cannot be used. `uri`
 * may be NULL. Both are in store_tls.c. */
int lh_store_fail_no_server(const struct _mongoc_uri_t *uri, const bson_error_t *why, lh_error *error);

#endif

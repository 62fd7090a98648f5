/* SPDX-License-Identifier: Apache-2.0
 * TLS: what of it a connection string may not switch off unasked, and what to say when no server
 * was found because of it. */
#ifndef LH_STORE_TLS_H
#define LH_STORE_TLS_H

#include "store/store_uri.h"

/* LH_CONFIG: the URI switches off a check of TLS and that is not allowed, or names a file that
 * cannot be read. */
int lh_store_tls_check(const struct _mongoc_uri_t *uri, bool allow_insecure, lh_error *error);

/* No server was found, for the reason that the driver gives. LH_UNREACHABLE; LH_CONFIG where
 * asking again is of no use: no server's certificate is accepted, or ours cannot be used. `uri`
 * may be NULL. Both are in store_tls.c. */
int lh_store_fail_no_server(const struct _mongoc_uri_t *uri, const bson_error_t *why,
                            lh_error *error);

#endif

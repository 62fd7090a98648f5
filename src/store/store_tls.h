/* SPDX-License-Identifier: Apache-2.0
 * TLS: the checks that a connection string may switch off only with consent, and the message when
 * TLS is the reason that no server was found. */
#ifndef LH_STORE_TLS_H
#define LH_STORE_TLS_H

#include "store/store_uri.h"

/* LH_CONFIG: the URI switches off a check of TLS without consent, or names a file that cannot be
 * read. */
int lh_store_tls_check(const struct _mongoc_uri_t *uri, bool allow_insecure, lh_error *error);

/* Reports that no server was found, for the driver's reason. LH_UNREACHABLE; LH_CONFIG if another
 * attempt is useless: no server's certificate is accepted, or ours cannot be used. `uri` may be
 * NULL. */
int lh_store_fail_no_server(const struct _mongoc_uri_t *uri, const bson_error_t *why,
                            lh_error *error);

#endif

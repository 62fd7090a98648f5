/* SPDX-License-Identifier: Apache-2.0
 * How a connection string says who we are: what the driver would crash on, or try again and again
 * in vain. */
#ifndef LH_STORE_URI_AUTH_H
#define LH_STORE_URI_AUTH_H

#include "base/error.h"
#include "store/store_uri_parts.h"

struct _mongoc_uri_t;

/* Before the driver reads it. LH_OK, LH_MEMORY, or LH_CONFIG: user, password, authMechanism,
 * authSource and authMechanismProperties do not go together. */
int lh_uri_auth_check(const lh_uri_parts *parts, lh_error *error);

/* After it. LH_CONFIG: a certificate is to say who we are, and none would be sent. */
int lh_uri_auth_certificate(const struct _mongoc_uri_t *uri, lh_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Why a command was not answered: the reason of an LH_UNREACHABLE, or of an LH_UNKNOWN. */
#ifndef LH_STORE_UNANSWERED_H
#define LH_STORE_UNANSWERED_H

#include <bson/bson.h>

#include "base/error.h"

struct _mongoc_client_t;
struct _mongoc_server_description_t;

/* The server for writes; NULL: there is none, and `why` says whether it is the primary alone that
 * is missing. */
struct _mongoc_server_description_t *lh_store_select(struct _mongoc_client_t *client,
                                                     bson_error_t *why);

/* In `why`: all connections of the pool are in use. */
void lh_store_set_no_connection(bson_error_t *why);

/* LH_REASON_…: of what surely was not applied; of what may have been. */
int lh_store_why_unreachable(const bson_error_t *why);
int lh_store_why_unknown(const bson_error_t *why);

#endif

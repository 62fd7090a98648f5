/* SPDX-License-Identifier: Apache-2.0
 * The driver's clients that torture has beside the library's. */
#ifndef TORTURE_CLIENT_H
#define TORTURE_CLIENT_H

#include <mongoc/mongoc.h>
#include <stdbool.h>
#include <stdint.h>

/* Gives up after so long. `app`: its name, or NULL. NULL: no memory. */
mongoc_client_t *client_new(const char *uri, const char *app, int32_t patience_ms);

#endif

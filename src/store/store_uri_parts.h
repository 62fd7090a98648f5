/* SPDX-License-Identifier: Apache-2.0
 * A connection string's parts, as the driver takes them apart: for what has to be judged before
 * the driver reads it. Pure. */
#ifndef LH_STORE_URI_PARTS_H
#define LH_STORE_URI_PARTS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct lh_span {
    const char *at; /* NULL: there is none */
    size_t len;
} lh_span;

typedef struct lh_uri_parts {
    bool srv;
    lh_span user, password, hosts, database, options;
} lh_uri_parts;

/* False: it has no scheme of MongoDB's. */
bool lh_uri_split(const char *uri, lh_uri_parts *ret_parts);

/* The next of `list`, up to `separator`, is taken off it. False at the end. */
bool lh_uri_next(lh_span *list, char separator, lh_span *ret_item);

/* The text without its percent-codes, to be freed; NULL: out of memory. */
char *lh_uri_decode(lh_span text);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A command's text with holes in it, and the command with values in the holes: made once, filled
 * for every call.
 *
 * A hole is a string of the text's that is one of the names; a value takes its place as it is, and
 * is parsed by nobody. */
#ifndef LH_PIPELINE_FILL_H
#define LH_PIPELINE_FILL_H

#include <bson/bson.h>

typedef struct lh_fill lh_fill;

typedef struct lh_value {
    bool is_number;
    int64_t number;   /* a long */
    const char *text; /* else a string, or null where it is NULL */
} lh_value;

/* `text`: JSON with ' for ". NULL: out of memory, or it is no JSON, or has more holes than there is
 * room for. */
lh_fill *lh_fill_new(const char *text, const char *const *names, size_t n_names);
void lh_fill_free(lh_fill *fill);

/* `ret_command` is initialised, and empty; values[i] is that of names[i]. */
void lh_fill_make(const lh_fill *fill, const lh_value *values, bson_t *ret_command);

/* JSON with ' for ", parsed. */
bson_t *lh_parse(const char *text);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A command's text with holes, parsed once; and the command with values in its holes, made for each
 * call.
 *
 * A hole is a string in the text that equals one of the names. Its value is copied in its place as
 * bytes, and never parsed. */
#ifndef LH_PIPELINE_FILL_H
#define LH_PIPELINE_FILL_H

#include <bson/bson.h>

typedef struct lh_fill lh_fill;

typedef struct lh_value {
    bool is_number;
    int64_t number;   /* sent as a long */
    const char *text; /* otherwise a string; NULL: null */
} lh_value;

/* `text` is JSON with ' for ". NULL: out of memory, not JSON, or too many holes. */
lh_fill *lh_fill_new(const char *text, const char *const *names, size_t n_names);
void lh_fill_free(lh_fill *fill);

/* Fills the holes; values[i] belongs to names[i]. `ret_command` is initialised and empty. */
void lh_fill_make(const lh_fill *fill, const lh_value *values, bson_t *ret_command);

/* Parses JSON with ' for ". */
bson_t *lh_parse(const char *text);

#endif

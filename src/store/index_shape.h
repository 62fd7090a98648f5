/* SPDX-License-Identifier: Apache-2.0
 * The properties of an index, as listIndexes describes it. */
#ifndef LH_INDEX_SHAPE_H
#define LH_INDEX_SHAPE_H

#include <bson/bson.h>
#include <stdbool.h>

#define LH_INDEX_NAME "workspace_id_unique"

/* True if it is on {workspace_id: 1}, with a number of any type. */
bool lh_index_is_on_key(const bson_t *index);

/* The option that makes this index unreliable, in words for a message; NULL: none. */
const char *lh_index_unfit_option(const bson_t *index);

/* The value of a boolean option; false if it is missing. */
bool lh_index_is_true(const bson_t *index, const char *option);

#endif

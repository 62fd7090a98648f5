/* SPDX-License-Identifier: Apache-2.0
 * What an index is like, as listIndexes describes it. */
#ifndef LH_INDEX_SHAPE_H
#define LH_INDEX_SHAPE_H

#include <bson/bson.h>
#include <stdbool.h>

#define LH_INDEX_NAME "workspace_id_unique"

/* Is it on {workspace_id: 1}, whatever type that number has? */
bool lh_index_is_on_key(const bson_t *index);

/* The option for which this index cannot be relied on, as words for a message; NULL: there is
 * none. */
const char *lh_index_unfit_option(const bson_t *index);

/* An option that is a boolean; false where it is missing. */
bool lh_index_is_true(const bson_t *index, const char *option);

#endif

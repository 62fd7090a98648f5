/* SPDX-License-Identifier: Apache-2.0
 * The properties of an index, as listIndexes describes it. */
#include "store/index_shape.h"

#include <string.h>

bool lh_index_is_true(const bson_t *index, const char *field)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, index, field) && bson_iter_as_bool(&value);
}

bool lh_index_is_on_key(const bson_t *index)
{
    bson_iter_t pattern, field;
    if (!bson_iter_init_find(&pattern, index, "key") || !BSON_ITER_HOLDS_DOCUMENT(&pattern) ||
        !bson_iter_recurse(&pattern, &field) || !bson_iter_next(&field))
        return false;
    return strcmp(bson_iter_key(&field), "workspace_id") == 0 && bson_iter_as_int64(&field) == 1 &&
           !bson_iter_next(&field);
}

const char *lh_index_unfit_option(const bson_t *index)
{
    bson_iter_t value;
    if (bson_iter_init_find(&value, index, "collation"))
        return "a collation, by which two keys can count as equal";
    if (bson_iter_init_find(&value, index, "partialFilterExpression"))
        return "a partialFilterExpression, so that it does not cover all documents";
    if (lh_index_is_true(index, "sparse"))
        return "sparse, so that it does not cover all documents";
    if (bson_iter_init_find(&value, index, "expireAfterSeconds"))
        return "expireAfterSeconds, which deletes documents";
    if (lh_index_is_true(index, "hidden"))
        return "hidden, so that no query uses it";
    return NULL;
}

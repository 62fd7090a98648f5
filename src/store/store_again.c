/* SPDX-License-Identifier: Apache-2.0
 * A command names its documents by their keys or their _ids, so the documents with one of these are
 * read. Classic updates never bring a server down; only pipelines do. */
#include "store/store_again.h"

#include <string.h>

#define BATCH_SIZE 100

typedef struct {
    bson_t keys, ids;
    uint32_t n_keys, n_ids;
} about;

static void append(bson_t *array, uint32_t *n, const bson_iter_t *value)
{
    char room[16];
    const char *index;
    bson_uint32_to_string((*n)++, &index, room, sizeof room);
    (void)bson_append_iter(array, index, -1, value);
}

/* One value, or those of an {$in: […]}. */
static void add_values(bson_t *array, uint32_t *n, const bson_iter_t *value)
{
    bson_iter_t in, each;
    if (!BSON_ITER_HOLDS_DOCUMENT(value) || !bson_iter_recurse(value, &in) ||
        !bson_iter_find(&in, "$in")) {
        append(array, n, value);
        return;
    }
    for (bool more = bson_iter_recurse(&in, &each) && bson_iter_next(&each); more;
         more = bson_iter_next(&each))
        append(array, n, &each);
}

/* The filter and the change of a command or a statement, by their field names. */
static void add_filter(about *a, bson_iter_t in, const char *filter, const char *change)
{
    bson_iter_t query = {0}, field;
    bool pipeline = false;
    while (bson_iter_next(&in)) {
        if (strcmp(bson_iter_key(&in), filter) == 0)
            query = in;
        else if (strcmp(bson_iter_key(&in), change) == 0)
            pipeline = BSON_ITER_HOLDS_ARRAY(&in);
    }
    if (!pipeline || !bson_iter_recurse(&query, &field))
        return;
    while (bson_iter_next(&field))
        if (strcmp(bson_iter_key(&field), "workspace_id") == 0)
            add_values(&a->keys, &a->n_keys, &field);
        else if (strcmp(bson_iter_key(&field), "_id") == 0)
            add_values(&a->ids, &a->n_ids, &field);
}

static void add_command(about *a, const bson_t *command, bool statements)
{
    bson_iter_t top, list, one;
    (void)bson_iter_init(&top, command);
    if (!statements)
        add_filter(a, top, "query", "update");
    else if (bson_iter_find(&top, "updates") && bson_iter_recurse(&top, &list))
        while (bson_iter_next(&list))
            if (bson_iter_recurse(&list, &one))
                add_filter(a, one, "q", "u");
}

static void append_any_of(bson_t *branches, const char *index, const char *field,
                          const bson_t *values)
{
    bson_t branch, in;
    BSON_APPEND_DOCUMENT_BEGIN(branches, index, &branch);
    BSON_APPEND_DOCUMENT_BEGIN(&branch, field, &in);
    BSON_APPEND_ARRAY(&in, "$in", values);
    bson_append_document_end(&branch, &in);
    bson_append_document_end(branches, &branch);
}

static void make_look(const about *a, const char *collection, bson_t *look)
{
    bson_t filter, branches;
    BSON_APPEND_UTF8(look, "find", collection);
    BSON_APPEND_DOCUMENT_BEGIN(look, "filter", &filter);
    BSON_APPEND_ARRAY_BEGIN(&filter, "$or", &branches);
    append_any_of(&branches, "0", "workspace_id", &a->keys);
    append_any_of(&branches, "1", "_id", &a->ids);
    bson_append_array_end(&filter, &branches);
    bson_append_document_end(look, &filter);
    BSON_APPEND_INT32(look, "batchSize", BATCH_SIZE);
}

bool lh_again_look(const bson_t *command, const char *collection, bson_t *look)
{
    bson_iter_t first;
    if (!bson_iter_init(&first, command) || !bson_iter_next(&first) ||
        !BSON_ITER_HOLDS_UTF8(&first) || strcmp(bson_iter_utf8(&first, NULL), collection) != 0)
        return false;
    const char *name = bson_iter_key(&first);
    about a = {.n_keys = 0};
    bson_init(&a.keys);
    bson_init(&a.ids);
    if (strcmp(name, "findAndModify") == 0 || strcmp(name, "update") == 0)
        add_command(&a, command, *name == 'u');
    bool any = a.n_keys + a.n_ids > 0;
    if (any)
        make_look(&a, collection, look);
    bson_destroy(&a.keys);
    bson_destroy(&a.ids);
    return any;
}

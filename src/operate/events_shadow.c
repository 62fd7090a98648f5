/* SPDX-License-Identifier: Apache-2.0
 * The shadow: the known state of the watched documents, by _id. Also applies the delta of a change
 * event to a document. */
#include "operate/events_shadow.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operate/events_watching.h"

#define PATH_MAX_LEN 512

static const char *const fields[] = {
    "_id",  "workspace_id", "id",          "owner",   "user_id",    "expires_at",
    "mode", "token",        "acquired_at", "ttl_ms",  "renewed_at", "host",
    "pid",  "purpose",      "shared",      "waiters", "released"};
enum { FIELDS = sizeof fields / sizeof *fields };

/* ---- The table ---- */

static int compare(const void *a, const void *b)
{
    const bson_t *left = ((const lh_shadow_entry *)a)->id,
                 *right = ((const lh_shadow_entry *)b)->id;
    if (left->len != right->len)
        return left->len < right->len ? -1 : 1;
    return memcmp(bson_get_data(left), bson_get_data(right), left->len);
}

static bson_t *id_of(const bson_t *holder)
{
    bson_iter_t id;
    bson_t *alone = bson_new();
    if (bson_iter_init_find(&id, holder, "_id"))
        bson_append_iter(alone, "", 0, &id);
    return alone;
}

lh_shadow_entry *lh_shadow_find(const lh_shadow *shadow, const bson_t *holder)
{
    lh_shadow_entry sought = {.id = id_of(holder)};
    void *found = tfind(&sought, &shadow->tree, compare);
    bson_destroy(sought.id);
    return found ? *(lh_shadow_entry **)found : NULL;
}

lh_shadow_entry *lh_shadow_add(lh_shadow *shadow, const bson_t *holder)
{
    lh_shadow_entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    entry->id = id_of(holder);
    if (!tsearch(entry, &shadow->tree, compare)) {
        bson_destroy(entry->id);
        free(entry);
        return NULL;
    }
    entry->next = shadow->first;
    if (shadow->first)
        shadow->first->previous = entry;
    shadow->first = entry;
    return entry;
}

void lh_shadow_remove(lh_shadow *shadow, lh_shadow_entry *entry)
{
    (void)tdelete(entry, &shadow->tree, compare);
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        shadow->first = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    bson_destroy(entry->document);
    bson_destroy(entry->id);
    free(entry);
}

void lh_shadow_fini(lh_shadow *shadow)
{
    while (shadow->first)
        lh_shadow_remove(shadow, shadow->first);
}

/* ---- Documents ---- */

/* Whether the first part of the path is one of our fields. */
static bool matters(const char *path)
{
    size_t len = strcspn(path, ".");
    for (size_t i = 0; i < FIELDS; i++)
        if (strlen(fields[i]) == len && memcmp(fields[i], path, len) == 0)
            return true;
    return false;
}

void lh_shadow_append_projection(bson_t *projection)
{
    for (size_t i = 0; i < FIELDS; i++)
        BSON_APPEND_INT32(projection, fields[i], 1);
}

bson_t *lh_shadow_shrink(const bson_t *document)
{
    bson_t *small = bson_new();
    bson_iter_t field;
    if (bson_iter_init(&field, document))
        while (bson_iter_next(&field))
            if (matters(bson_iter_key(&field)))
                bson_append_iter(small, bson_iter_key(&field), -1, &field);
    return small;
}

typedef struct {
    bson_iter_t updated, removed; /* an object {path: value}, and an array of paths */
} delta;

static bool find_updated(const delta *d, const char *path, bson_iter_t *ret_value)
{
    if (!BSON_ITER_HOLDS_DOCUMENT(&d->updated) || !bson_iter_recurse(&d->updated, ret_value))
        return false;
    while (bson_iter_next(ret_value))
        if (strcmp(bson_iter_key(ret_value), path) == 0)
            return true;
    return false;
}

static bool is_removed(const delta *d, const char *path)
{
    bson_iter_t one;
    if (!BSON_ITER_HOLDS_ARRAY(&d->removed) || !bson_iter_recurse(&d->removed, &one))
        return false;
    while (bson_iter_next(&one))
        if (BSON_ITER_HOLDS_UTF8(&one) && strcmp(bson_iter_utf8(&one, NULL), path) == 0)
            return true;
    return false;
}

/* Appends the fields that the delta adds directly below `prefix`, which ends in a dot or is
 * empty. */
static void append_new(const delta *d, const char *prefix, const bson_t *old, bson_t *out)
{
    bson_iter_t value, there;
    size_t len = strlen(prefix);
    if (!BSON_ITER_HOLDS_DOCUMENT(&d->updated) || !bson_iter_recurse(&d->updated, &value))
        return;
    while (bson_iter_next(&value)) {
        const char *path = bson_iter_key(&value);
        if (strncmp(path, prefix, len) == 0 && !strchr(path + len, '.') && matters(path) &&
            !bson_iter_init_find(&there, old, path + len))
            bson_append_iter(out, path + len, -1, &value);
    }
}

/* Rebuilds the fields below `prefix`, level by level. Our documents are three levels deep. */
static void rebuild(const delta *d, const char *prefix, int depth, const bson_t *old, bson_t *out)
{
    bson_iter_t field, value;
    char path[PATH_MAX_LEN];
    if (!bson_iter_init(&field, old))
        return;
    while (bson_iter_next(&field)) {
        const char *name = bson_iter_key(&field);
        size_t len = (size_t)snprintf(path, sizeof path, "%s%s", prefix, name);
        if (len + 2 > sizeof path)
            continue; /* too long to be one of our fields */
        if (is_removed(d, path))
            continue;
        if (find_updated(d, path, &value)) {
            bson_append_iter(out, name, -1, &value);
        } else if (BSON_ITER_HOLDS_DOCUMENT(&field) && depth > 0) {
            const uint8_t *data;
            uint32_t size;
            bson_t inner, child;
            bson_iter_document(&field, &size, &data);
            path[len] = '.';
            path[len + 1] = '\0';
            BSON_APPEND_DOCUMENT_BEGIN(out, name, &child);
            if (bson_init_static(&inner, data, size))
                rebuild(d, path, depth - 1, &inner, &child);
            bson_append_document_end(out, &child);
        } else {
            bson_append_iter(out, name, -1, &field);
        }
    }
    append_new(d, prefix, old, out);
}

bson_t *lh_shadow_apply(const bson_t *document, const bson_t *description)
{
    delta d;
    bson_t *after = bson_new();
    if (!bson_iter_init_find(&d.updated, description, "updatedFields") ||
        !bson_iter_init_find(&d.removed, description, "removedFields"))
        return bson_concat(after, document), after;
    rebuild(&d, "", 3, document, after);
    return after;
}

/* SPDX-License-Identifier: Apache-2.0
 * Home of the names of fields that must not be stored twice: all that our commands read or
 * write. */
#include "protocol/twice.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/shell.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define FEW          64 /* up to this number of names, no memory is allocated */

static const char *const top_names[] = {
    "_id",   "workspace_id", "id",         "owner",   "user_id", "expires_at", "mode",
    "token", "acquired_at",  "renewed_at", "ttl_ms",  "beat",    "host",       "pid",
    "proc",  "purpose",      "shared",     "waiters", "wake",    "released",   "v"};
static const char *const entry_names[] = {
    "owner", "user_id", "host",   "pid",      "proc",  "purpose",    "mode",        "since",
    "beat",  "beat_at", "ttl_ms", "claim_ms", "token", "expires_at", "acquired_at", "renewed_at"};
static const char *const released_names[] = {"id", "owner", "how", "by", "reason", "at", "note"};
static const char *const note_names[] = {"text", "token", "at"};

/* The first of `names` (at most 32) that occurs twice; NULL: none. */
static const char *find_twice(bson_iter_t in, const char *const *names, size_t n)
{
    uint32_t seen = 0;
    while (bson_iter_next(&in)) {
        const char *name = bson_iter_key(&in);
        for (size_t i = 0; i < n; i++)
            if (*name == *names[i] && strcmp(name, names[i]) == 0) {
                if (seen & UINT32_C(1) << i)
                    return names[i];
                seen |= UINT32_C(1) << i;
                break;
            }
    }
    return NULL;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Whether a lease id occurs twice in a map. */
static bool has_id_twice(bson_iter_t in)
{
    const char *few[FEW], **names = few;
    size_t n = 0, at = 0;
    bool twice = false;
    for (bson_iter_t count = in; bson_iter_next(&count);)
        n++;
    if (n > FEW && !(names = malloc(n * sizeof *names)))
        return true; /* a document that cannot be checked counts as held */
    while (at < n && bson_iter_next(&in))
        names[at++] = bson_iter_key(&in);
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 1; i < n && !twice; i++)
        twice = strcmp(names[i - 1], names[i]) == 0;
    if (names != few)
        free(names);
    return twice;
}

static bool find_in_map(bson_iter_t map, const char *where, char *problem, size_t size)
{
    bson_iter_t in;
    const char *name;
    if (has_id_twice(map)) {
        (void)snprintf(problem, size, "a lease id is stored twice in %s", where);
        return true;
    }
    while (bson_iter_next(&map))
        if (BSON_ITER_HOLDS_DOCUMENT(&map) && bson_iter_recurse(&map, &in) &&
            (name = find_twice(in, entry_names, COUNT(entry_names)))) {
            (void)snprintf(problem, size, "%s is stored twice in an entry of %s", name, where);
            return true;
        }
    return false;
}

static bool find_in_released(bson_iter_t released, char *problem, size_t size)
{
    bson_iter_t note = released, in;
    const char *before = "", *name = find_twice(released, released_names, COUNT(released_names));
    if (!name && bson_iter_find(&note, "note") && BSON_ITER_HOLDS_DOCUMENT(&note) &&
        bson_iter_recurse(&note, &in)) {
        before = "note.";
        name = find_twice(in, note_names, COUNT(note_names));
    }
    if (name)
        (void)snprintf(problem, size, "released.%s%s is stored twice", before, name);
    return name;
}

bool lh_twice_find(const bson_t *document, char *problem, size_t size)
{
    bson_iter_t top, in;
    if (!bson_iter_init(&top, document))
        return false;
    const char *name = find_twice(top, top_names, COUNT(top_names));
    if (name) {
        (void)snprintf(problem, size, "%s is stored twice", name);
        return true;
    }
    while (bson_iter_next(&top)) {
        name = bson_iter_key(&top);
        if (!BSON_ITER_HOLDS_DOCUMENT(&top) || !bson_iter_recurse(&top, &in))
            continue;
        if (strcmp(name, "released") == 0
                ? find_in_released(in, problem, size)
                : (strcmp(name, "shared") == 0 || strcmp(name, "waiters") == 0) &&
                      find_in_map(in, name, problem, size))
            return true;
    }
    return false;
}

int lh_twice_fail(const char *what, const bson_t *document, const char *problem, lh_error *error)
{
    bson_iter_t key;
    const char *name =
        bson_iter_init_find(&key, document, "workspace_id") && BSON_ITER_HOLDS_UTF8(&key)
            ? bson_iter_utf8(&key, NULL)
            : "";
    char word[LH_WORD_ROOM];
    lh_shell_key(name, word);
    return lh_fail(error, LH_REASON_DOUBLED,
                   "cannot %s: the document of \"%.200s\" cannot be read (%s), and a server may "
                   "abort when it is changed. `leasehold status %s` shows how to move it to the "
                   "archive",
                   what, name, problem, word);
}

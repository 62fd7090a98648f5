/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/pipeline_batch.h"

#include <stdio.h>
#include <string.h>

#define RUN_MAX 100 /* beats in one statement; each is a condition and three paths */

static void begin(bson_t *command, const char *collection, bson_t *ret_updates)
{
    BSON_APPEND_UTF8(command, "update", collection);
    BSON_APPEND_BOOL(command, "ordered", false);
    BSON_APPEND_ARRAY_BEGIN(command, "updates", ret_updates);
}

static void append_next(bson_t *array, uint32_t *n, const bson_t *statement)
{
    char room[16];
    const char *index;
    bson_uint32_to_string((*n)++, &index, room, sizeof room);
    BSON_APPEND_DOCUMENT(array, index, statement);
}

/* Appends field: {$in: [keys, or ids]} for the exclusive leases with this ttl. */
static uint32_t append_in(bson_t *filter, const char *field, const lh_batch_lease *leases, size_t n,
                          int64_t ttl_ms, bool keys)
{
    bson_t in, array;
    char room[16];
    const char *index;
    uint32_t count = 0;
    BSON_APPEND_DOCUMENT_BEGIN(filter, field, &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &array);
    for (size_t i = 0; i < n; i++)
        if (!leases[i].shared && leases[i].ttl_ms == ttl_ms) {
            bson_uint32_to_string(count++, &index, room, sizeof room);
            BSON_APPEND_UTF8(&array, index, keys ? leases[i].key : leases[i].id);
        }
    bson_append_array_end(&in, &array);
    bson_append_document_end(filter, &in);
    return count;
}

/* Appends a condition on the tokens of the leases.
 *
 * A lease that was broken may have been granted again under the same id, to a request that arrived
 * late. By then others had held the key, so the holder with the older token must learn that it lost
 * the lease. */
static void append_tokens(bson_t *filter, const lh_batch_lease *leases, size_t n, int64_t ttl_ms)
{
    bson_t in, array;
    char room[16];
    const char *index;
    uint32_t count = 0;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "token", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &array);
    for (size_t i = 0; i < n; i++)
        if (!leases[i].shared && leases[i].ttl_ms == ttl_ms) {
            bson_uint32_to_string(count++, &index, room, sizeof room);
            BSON_APPEND_INT64(&array, index, leases[i].token);
        }
    bson_append_array_end(&in, &array);
    bson_append_document_end(filter, &in);
}

/* Appends a statement for all exclusive leases with this ttl. It changes their documents that match
 * `condition`. */
static void append_exclusive(bson_t *updates, uint32_t *n_statements, const lh_batch_lease *leases,
                             size_t n, int64_t ttl_ms, const bson_t *condition,
                             const bson_t *pipeline)
{
    bson_t statement = BSON_INITIALIZER, filter;
    BSON_APPEND_DOCUMENT_BEGIN(&statement, "q", &filter);
    uint32_t count = append_in(&filter, "workspace_id", leases, n, ttl_ms, true);
    (void)append_in(&filter, "id", leases, n, ttl_ms, false);
    bson_concat(&filter, condition);
    bson_append_document_end(&statement, &filter);
    BSON_APPEND_ARRAY(&statement, "u", pipeline);
    BSON_APPEND_BOOL(&statement, "multi", true);
    if (count > 0)
        append_next(updates, n_statements, &statement);
    bson_destroy(&statement);
}

static bson_t *renew_one_condition(const char *end)
{
    return BCON_NEW("$expr", "{", "$and", "[", "{", "$gt", "[", BCON_UTF8(end), BCON_UTF8("$$NOW"),
                    "]", "}", "{", "$ne", "[", BCON_UTF8("$released.id"), BCON_UTF8("$id"), "]",
                    "}", "]", "}");
}

/* Extends by the ttl that the holder believes in, never by the stored one. That one may come from
 * another handle, or from a renewal whose reply was lost. */
static bson_t *extend(const char *end, int64_t ttl_ms)
{
    return BCON_NEW("$max", "[", BCON_UTF8(end), "{", "$add", "[", BCON_UTF8("$$NOW"),
                    BCON_INT64(ttl_ms), "]", "}", "]");
}

static void append_renewal(bson_t *updates, uint32_t *n_statements, const lh_batch_lease *leases,
                           size_t n, int64_t ttl_ms)
{
    bson_t *condition = renew_one_condition("$expires_at"), *later = extend("$expires_at", ttl_ms);
    bson_t *pipeline = BCON_NEW("0", "{", "$set", "{", "expires_at", BCON_DOCUMENT(later),
                                "renewed_at", BCON_UTF8("$$NOW"), "}", "}");
    append_tokens(condition, leases, n, ttl_ms);
    append_exclusive(updates, n_statements, leases, n, ttl_ms, condition, pipeline);
    bson_destroy(condition);
    bson_destroy(later);
    bson_destroy(pipeline);
}

/* Appends a statement for a reader. Its entry is named by a path; lease ids are hexadecimal digits,
 * and safe in paths. */
static void append_shared(bson_t *updates, uint32_t *n_statements, const lh_batch_lease *lease)
{
    char at[96], end[96], renewed[96], token[96];
    (void)snprintf(at, sizeof at, "shared.%s.expires_at", lease->id);
    (void)snprintf(end, sizeof end, "$shared.%s.expires_at", lease->id);
    (void)snprintf(renewed, sizeof renewed, "shared.%s.renewed_at", lease->id);
    (void)snprintf(token, sizeof token, "shared.%s.token", lease->id);
    bson_t *condition = renew_one_condition(end), *mine = extend(end, lease->ttl_ms),
           *top = extend("$expires_at", lease->ttl_ms);
    bson_t statement = BSON_INITIALIZER, filter, stages, stage, set, range;
    BSON_APPEND_DOCUMENT_BEGIN(&statement, "q", &filter);
    BSON_APPEND_UTF8(&filter, "workspace_id", lease->key);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "id", &range);
    BSON_APPEND_UTF8(&range, "$gte", "shared:");
    BSON_APPEND_UTF8(&range, "$lt", "shared;");
    bson_append_document_end(&filter, &range);
    BSON_APPEND_INT64(&filter, token, lease->token);
    bson_concat(&filter, condition);
    bson_append_document_end(&statement, &filter);
    BSON_APPEND_ARRAY_BEGIN(&statement, "u", &stages);
    BSON_APPEND_DOCUMENT_BEGIN(&stages, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$set", &set);
    BSON_APPEND_DOCUMENT(&set, at, mine);
    BSON_APPEND_UTF8(&set, renewed, "$$NOW");
    BSON_APPEND_DOCUMENT(&set, "expires_at", top);
    bson_append_document_end(&stage, &set);
    bson_append_document_end(&stages, &stage);
    bson_append_array_end(&statement, &stages);
    append_next(updates, n_statements, &statement);
    bson_destroy(&statement);
    bson_destroy(condition);
    bson_destroy(mine);
    bson_destroy(top);
}

/* Whether an earlier lease has the same ttl, so that its statement includes this one. */
static bool is_done(const lh_batch_lease *leases, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (!leases[i].shared && leases[i].ttl_ms == leases[at].ttl_ms)
            return true;
    return false;
}

void lh_batch_renew(const char *collection, const lh_batch_lease *leases, size_t n, bson_t *command)
{
    bson_t updates;
    uint32_t statements = 0;
    begin(command, collection, &updates);
    for (size_t i = 0; i < n; i++)
        if (leases[i].shared)
            append_shared(&updates, &statements, &leases[i]);
        else if (!is_done(leases, i))
            append_renewal(&updates, &statements, leases + i, n - i, leases[i].ttl_ms);
    bson_append_array_end(command, &updates);
}

void lh_batch_release(const char *collection, const lh_batch_lease *leases, size_t n,
                      bson_t *command)
{
    bson_t updates;
    bson_t *condition = BCON_NEW("waiters", BCON_NULL, "shared", BCON_NULL, "expires_at", "{",
                                 "$type", BCON_UTF8("date"), "}", "$expr", "{", "$ne", "[",
                                 BCON_UTF8("$released.id"), BCON_UTF8("$id"), "]", "}");
    bson_t *pipeline =
        BCON_NEW("0", "{", "$set", "{", "expires_at", "{", "$min", "[", BCON_UTF8("$expires_at"),
                 BCON_UTF8("$$NOW"), "]", "}", "released", "{", "id", BCON_UTF8("$id"), "owner",
                 BCON_UTF8("$owner"), "how", BCON_UTF8("release"), "by", BCON_NULL, "reason",
                 BCON_NULL, "at", BCON_UTF8("$$NOW"), "note",
                 /* $set merges objects, so an older note would stay */
                 BCON_UTF8("$$REMOVE"), "}", "}", "}");
    uint32_t statements = 0;
    begin(command, collection, &updates);
    append_exclusive(&updates, &statements, leases, n, 0, condition, pipeline);
    bson_append_array_end(command, &updates);
    bson_destroy(condition);
    bson_destroy(pipeline);
}

static void path_of(const char *id, const char *field, char *path, size_t size)
{
    (void)snprintf(path, size, "waiters.%s%s", id, field);
}

/* Appends one statement for `n` waiters of a key. */
static void append_run(bson_t *updates, uint32_t *n_statements, const lh_batch_beat *beats,
                       size_t n)
{
    char path[80];
    bson_t statement = BSON_INITIALIZER, filter, exists, update, part;
    BSON_APPEND_DOCUMENT_BEGIN(&statement, "q", &filter);
    BSON_APPEND_UTF8(&filter, "workspace_id", beats[0].key);
    for (size_t i = 0; i < n; i++) {
        path_of(beats[i].id, "", path, sizeof path);
        BSON_APPEND_DOCUMENT_BEGIN(&filter, path, &exists);
        BSON_APPEND_BOOL(&exists, "$exists", true);
        bson_append_document_end(&filter, &exists);
    }
    bson_append_document_end(&statement, &filter);
    BSON_APPEND_DOCUMENT_BEGIN(&statement, "u", &update);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &part);
    for (size_t i = 0; i < n; i++) {
        path_of(beats[i].id, ".beat", path, sizeof path);
        BSON_APPEND_INT64(&part, path, beats[i].beat);
    }
    bson_append_document_end(&update, &part);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$currentDate", &part);
    for (size_t i = 0; i < n; i++) {
        path_of(beats[i].id, ".beat_at", path, sizeof path);
        BSON_APPEND_BOOL(&part, path, true);
    }
    bson_append_document_end(&update, &part);
    bson_append_document_end(&statement, &update);
    append_next(updates, n_statements, &statement);
    bson_destroy(&statement);
}

static size_t run_of(const lh_batch_beat *beats, size_t n)
{
    size_t len = 1;
    while (len < n && len < RUN_MAX && strcmp(beats[len].key, beats[0].key) == 0)
        len++;
    return len;
}

void lh_batch_beats(const char *collection, const lh_batch_beat *beats, size_t n,
                    size_t *ret_statements, bson_t *command)
{
    bson_t updates;
    uint32_t statements = 0;
    begin(command, collection, &updates);
    for (size_t i = 0; i < n;) {
        size_t len = run_of(beats + i, n - i);
        append_run(&updates, &statements, beats + i, len);
        i += len;
    }
    bson_append_array_end(command, &updates);
    *ret_statements = statements;
}

void lh_batch_unqueue(const char *collection, const lh_batch_beat *beats, size_t n, bson_t *command)
{
    bson_t updates;
    uint32_t statements = 0;
    char path[80];
    begin(command, collection, &updates);
    for (size_t i = 0; i < n;) {
        size_t len = run_of(beats + i, n - i);
        bson_t statement = BSON_INITIALIZER, filter, update, unset;
        BSON_APPEND_DOCUMENT_BEGIN(&statement, "q", &filter);
        BSON_APPEND_UTF8(&filter, "workspace_id", beats[i].key);
        bson_append_document_end(&statement, &filter);
        BSON_APPEND_DOCUMENT_BEGIN(&statement, "u", &update);
        BSON_APPEND_DOCUMENT_BEGIN(&update, "$unset", &unset);
        for (size_t j = i; j < i + len; j++) {
            path_of(beats[j].id, "", path, sizeof path);
            BSON_APPEND_BOOL(&unset, path, true);
        }
        bson_append_document_end(&update, &unset);
        bson_append_document_end(&statement, &update);
        append_next(&updates, &statements, &statement);
        bson_destroy(&statement);
        i += len;
    }
    bson_append_array_end(command, &updates);
}

/* SPDX-License-Identifier: Apache-2.0
 * The document of a key, decoded. Home of "stored data that cannot be read counts as held": lh_doc_problem() is the one
 * list of what cannot be read, and says the same as OK in pipeline_terms.h (a test holds them together). */
#include "doc.h"

#include <stdio.h>
#include <string.h>

#define TOKEN_MAX ((INT64_C(1) << 62) - 1)

static const char *type_name(bson_type_t type)
{
    switch (type) {
    case BSON_TYPE_DOUBLE:
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
    case BSON_TYPE_DECIMAL128:
        return "a number that is out of range";
    case BSON_TYPE_UTF8:
        return "a string that is no ISO-8601 time";
    case BSON_TYPE_DOCUMENT:
        return "an object";
    case BSON_TYPE_ARRAY:
        return "an array";
    case BSON_TYPE_BOOL:
        return "a boolean";
    case BSON_TYPE_OID:
        return "an ObjectId";
    case BSON_TYPE_DATE_TIME:
        return "a date";
    default:
        return "of a type that has no place here";
    }
}

static const char *short_type_name(bson_type_t type)
{
    if (type == BSON_TYPE_UTF8)
        return "a string";
    if (type == BSON_TYPE_DOUBLE || type == BSON_TYPE_INT32 || type == BSON_TYPE_INT64 || type == BSON_TYPE_DECIMAL128)
        return "a number";
    return type_name(type);
}

static bool is_absent(const bson_iter_t *value)
{
    return BSON_ITER_HOLDS_NULL(value);
}

static bool is_number_in(const bson_iter_t *value, int64_t min, int64_t max)
{
    bson_type_t type = bson_iter_type(value);
    if (type == BSON_TYPE_DOUBLE)
        return bson_iter_double(value) >= (double)min && bson_iter_double(value) <= (double)max &&
               bson_iter_double(value) < 0x1p62; /* 2^62 - 1 is no double */
    return (type == BSON_TYPE_INT32 || type == BSON_TYPE_INT64) && bson_iter_as_int64(value) >= min &&
           bson_iter_as_int64(value) <= max;
}

static size_t utf8_len(const bson_iter_t *value)
{
    uint32_t len = 0;
    (void)bson_iter_utf8(value, &len);
    return len;
}

static bool find_in(const bson_iter_t *object, const char *field, bson_iter_t *ret_value)
{
    return BSON_ITER_HOLDS_DOCUMENT(object) && bson_iter_recurse(object, ret_value) && bson_iter_find(ret_value, field);
}

static bool is_readable_reader(const bson_iter_t *entry)
{
    bson_iter_t value;
    return find_in(entry, "expires_at", &value) && BSON_ITER_HOLDS_DATE_TIME(&value) &&
           find_in(entry, "token", &value) && is_number_in(&value, 0, TOKEN_MAX);
}

static bool is_readable_waiter(const bson_iter_t *entry)
{
    bson_iter_t value;
    if (!find_in(entry, "beat_at", &value) || !BSON_ITER_HOLDS_DATE_TIME(&value))
        return false;
    if (!find_in(entry, "mode", &value) || !BSON_ITER_HOLDS_UTF8(&value) ||
        (strcmp(bson_iter_utf8(&value, NULL), "exclusive") != 0 && strcmp(bson_iter_utf8(&value, NULL), "shared") != 0))
        return false;
    return find_in(entry, "beat", &value) && is_number_in(&value, 0, TOKEN_MAX) && find_in(entry, "claim_ms", &value) &&
           is_number_in(&value, 1, LH_TTL_MAX_MS) && find_in(entry, "ttl_ms", &value) &&
           is_number_in(&value, 1, LH_TTL_MAX_MS);
}

static bool find_problem_in_map(const bson_iter_t *map, const char *name, bool (*is_readable)(const bson_iter_t *entry),
                                char *problem, size_t size)
{
    bson_iter_t entry;
    if (!BSON_ITER_HOLDS_DOCUMENT(map) || !bson_iter_recurse(map, &entry)) {
        (void)snprintf(problem, size, "%s is %s, not an object", name, short_type_name(bson_iter_type(map)));
        return true;
    }
    while (bson_iter_next(&entry))
        if (!is_readable(&entry)) {
            (void)snprintf(problem, size, "an entry of %s has fields that are missing or of the wrong type", name);
            return true;
        }
    return false;
}

static bool find_problem(const bson_iter_t *value, char *problem, size_t size)
{
    const char *field = bson_iter_key(value);
    bson_type_t type = bson_iter_type(value);
    int64_t instant;
    if (strcmp(field, "shared") == 0)
        return find_problem_in_map(value, field, is_readable_reader, problem, size);
    if (strcmp(field, "waiters") == 0)
        return find_problem_in_map(value, field, is_readable_waiter, problem, size);
    if (strcmp(field, "workspace_id") == 0 && type != BSON_TYPE_UTF8)
        (void)snprintf(problem, size, "workspace_id is %s, not a string", short_type_name(type));
    else if (strcmp(field, "workspace_id") == 0 && strlen(bson_iter_utf8(value, NULL)) != utf8_len(value))
        (void)snprintf(problem, size, "workspace_id has a NUL in it");
    else if (strcmp(field, "expires_at") == 0 && !is_absent(value) && !lh_doc_instant(value, &instant))
        (void)snprintf(problem, size, "expires_at is %s", type_name(type));
    else if (strcmp(field, "token") == 0 && !is_absent(value) && !is_number_in(value, 0, TOKEN_MAX))
        (void)snprintf(problem, size, "token is %s, not a number from 0 to 2^62", short_type_name(type));
    else
        return false;
    return true;
}

bool lh_doc_problem(const bson_t *document, char *problem, size_t size)
{
    bson_iter_t value;
    if (!bson_iter_init(&value, document)) {
        (void)snprintf(problem, size, "it is no BSON");
        return true;
    }
    bool has_key = false;
    while (bson_iter_next(&value)) {
        if (find_problem(&value, problem, size))
            return true;
        has_key |= strcmp(bson_iter_key(&value), "workspace_id") == 0;
    }
    if (!has_key)
        (void)snprintf(problem, size, "workspace_id is missing");
    return !has_key;
}

bool lh_doc_reply_problem(const bson_t *document, char *problem, size_t size)
{
    bson_iter_t maps_ok;
    if (lh_doc_problem(document, problem, size))
        return true;
    if (!bson_iter_init_find(&maps_ok, document, "maps_ok") || bson_iter_as_bool(&maps_ok))
        return false;
    (void)snprintf(problem, size, "shared or waiters has fields that are missing or of the wrong type");
    return true;
}

static bool is_same_string(const bson_t *document, const char *a, const char *b)
{
    bson_iter_t top, left, right;
    if (!bson_iter_init(&top, document) || !bson_iter_find_descendant(&top, a, &left) || !BSON_ITER_HOLDS_UTF8(&left) ||
        !bson_iter_init(&top, document) || !bson_iter_find_descendant(&top, b, &right) || !BSON_ITER_HOLDS_UTF8(&right))
        return false;
    uint32_t left_len, right_len;
    const char *left_text = bson_iter_utf8(&left, &left_len), *right_text = bson_iter_utf8(&right, &right_len);
    return left_len == right_len && memcmp(left_text, right_text, left_len) == 0;
}

bool lh_doc_is_freed(const bson_t *document)
{
    bson_iter_t end, top, at;
    int64_t end_ms;
    return is_same_string(document, "id", "released.id") && bson_iter_init_find(&end, document, "expires_at") &&
           lh_doc_instant(&end, &end_ms) && bson_iter_init(&top, document) &&
           bson_iter_find_descendant(&top, "released.at", &at) && BSON_ITER_HOLDS_DATE_TIME(&at) &&
           end_ms <= bson_iter_date_time(&at);
}

/* A string field's value, or NULL: there is none, or it has a NUL inside and is no string of ours. */
static const char *find_string(const bson_t *document, const char *path)
{
    bson_iter_t top, value;
    if (!bson_iter_init(&top, document) || !bson_iter_find_descendant(&top, path, &value) ||
        !BSON_ITER_HOLDS_UTF8(&value))
        return NULL;
    const char *text = bson_iter_utf8(&value, NULL);
    return strlen(text) == utf8_len(&value) ? text : NULL;
}

static int64_t find_date(const bson_t *document, const char *path, int64_t otherwise)
{
    bson_iter_t top, value;
    if (!bson_iter_init(&top, document) || !bson_iter_find_descendant(&top, path, &value) ||
        !BSON_ITER_HOLDS_DATE_TIME(&value))
        return otherwise;
    return bson_iter_date_time(&value);
}

static int64_t find_number(const bson_t *document, const char *path)
{
    bson_iter_t top, value;
    return bson_iter_init(&top, document) && bson_iter_find_descendant(&top, path, &value) ? bson_iter_as_int64(&value)
                                                                                           : 0;
}

void lh_doc_mine(const bson_t *document, const char *lease_id, lh_mine *ret_mine)
{
    *ret_mine = (lh_mine){.now_ms = find_date(document, "now", 0)};
    const char *id = find_string(document, "id"), *released = find_string(document, "released.id");
    const char *how = find_string(document, "released.how");
    ret_mine->first = !released;
    ret_mine->released = released && strcmp(released, lease_id) == 0;
    /* Who resumed it is named; a holder who hands it on is not. */
    ret_mine->transferred =
        ret_mine->released && how && strcmp(how, "transfer") == 0 && !find_string(document, "released.by");
    ret_mine->ended = ret_mine->released && ((how && strcmp(how, "release") == 0) || (id && strcmp(id, lease_id) == 0));
    char path[16 + LH_LEASE_ID_LEN + 16];
    bson_iter_t top, value;
    if (id && strcmp(id, lease_id) == 0 && !ret_mine->released) {
        ret_mine->token = find_number(document, "token");
        ret_mine->acquired_at_ms = find_date(document, "acquired_at", 0);
        ret_mine->written = find_date(document, "renewed_at", 0) == ret_mine->now_ms;
        ret_mine->ttl_ms = find_number(document, "ttl_ms");
        ret_mine->expires_at_ms = LH_NEVER;
        if (bson_iter_init_find(&value, document, "expires_at"))
            (void)lh_doc_instant(&value, &ret_mine->expires_at_ms);
    } else {
        (void)snprintf(path, sizeof path, "shared.%s", lease_id);
        if (!id || strncmp(id, "shared:", 7) != 0 || !bson_iter_init(&top, document) ||
            !bson_iter_find_descendant(&top, path, &value))
            return;
        (void)snprintf(path, sizeof path, "shared.%s.token", lease_id);
        ret_mine->token = find_number(document, path);
        ret_mine->mode = LH_SHARED;
        (void)snprintf(path, sizeof path, "shared.%s.acquired_at", lease_id);
        ret_mine->acquired_at_ms = find_date(document, path, 0);
        (void)snprintf(path, sizeof path, "shared.%s.renewed_at", lease_id);
        ret_mine->written = find_date(document, path, 0) == ret_mine->now_ms;
        (void)snprintf(path, sizeof path, "shared.%s.ttl_ms", lease_id);
        ret_mine->ttl_ms = find_number(document, path);
        (void)snprintf(path, sizeof path, "shared.%s.expires_at", lease_id);
        ret_mine->expires_at_ms = find_date(document, path, 0);
    }
    ret_mine->holds = ret_mine->expires_at_ms > ret_mine->now_ms;
    ret_mine->lapsed = !ret_mine->holds;
}

lh_ended lh_doc_ended(const bson_t *document)
{
    return (lh_ended){.owner = find_string(document, "released.owner"), .at_ms = find_date(document, "released.at", 0)};
}

bool lh_doc_is_held_alone(const bson_t *document, int64_t grace_ms)
{
    const char *id = find_string(document, "id");
    if (lh_doc_is_freed(document) || (id && strncmp(id, "shared:", 7) == 0))
        return false;
    bson_iter_t value;
    int64_t end;
    if (!bson_iter_init_find(&value, document, "expires_at") || BSON_ITER_HOLDS_NULL(&value))
        return true; /* no end */
    return lh_doc_instant(&value, &end) && end > find_date(document, "now", 0) - grace_ms;
}

static bool read_grant(const bson_iter_t *entry, lh_grant *ret_grant)
{
    bson_iter_t value, field;
    if (!find_in(entry, "k", &value) || !BSON_ITER_HOLDS_UTF8(&value) || utf8_len(&value) != LH_LEASE_ID_LEN ||
        strlen(bson_iter_utf8(&value, NULL)) != LH_LEASE_ID_LEN) /* a NUL is in it */
        return false;
    memcpy(ret_grant->id, bson_iter_utf8(&value, NULL), LH_LEASE_ID_LEN + 1);
    if (!find_in(entry, "v", &value))
        return false;
    ret_grant->beat = find_in(&value, "beat", &field) ? bson_iter_as_int64(&field) : -1;
    ret_grant->token = find_in(&value, "token", &field) ? bson_iter_as_int64(&field) : 0;
    ret_grant->expires_at_ms =
        find_in(&value, "expires_at", &field) && BSON_ITER_HOLDS_DATE_TIME(&field) ? bson_iter_date_time(&field) : 0;
    return true;
}

void lh_doc_each_grant(const bson_t *document, void (*each)(void *arg, const lh_grant *grant), void *arg)
{
    bson_iter_t granted, entry;
    lh_grant grant;
    if (!bson_iter_init_find(&granted, document, "granted") || !BSON_ITER_HOLDS_ARRAY(&granted) ||
        !bson_iter_recurse(&granted, &entry))
        return;
    while (bson_iter_next(&entry))
        if (read_grant(&entry, &grant))
            each(arg, &grant);
}

int64_t lh_doc_place(const bson_t *document)
{
    bson_iter_t place;
    return bson_iter_init_find(&place, document, "place") ? bson_iter_as_int64(&place) : -1;
}

int64_t lh_doc_waiting(const bson_t *document)
{
    return find_number(document, "waiting");
}

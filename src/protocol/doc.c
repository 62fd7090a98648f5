/* SPDX-License-Identifier: Apache-2.0
 * The document of a key, decoded. Home of "stored data that cannot be read counts as held":
 * lh_doc_problem() is the only list of what cannot be read. It agrees with `readable` in
 * protocol/state.lp, and a test compares them. One exception: fields that are stored twice, which
 * no pipeline checks. */
#include "protocol/doc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "protocol/doc_instant.h"
#include "protocol/twice.h"

#define TOKEN_MAX ((INT64_C(1) << 62) - 1)
/* The largest token after which another can be granted. A grant adds at most the difference. */
#define TOKEN_MAX_BEFORE (TOKEN_MAX - (INT64_C(1) << 20))

static const char *type_name(bson_type_t type)
{
    switch (type) {
    case BSON_TYPE_DOUBLE:
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
    case BSON_TYPE_DECIMAL128:
        return "a number that is out of range";
    case BSON_TYPE_UTF8:
        return "a string that is not an ISO-8601 time";
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
        return "of an unexpected type";
    }
}

const char *lh_doc_type_name(bson_type_t type)
{
    if (type == BSON_TYPE_UTF8)
        return "a string";
    if (type == BSON_TYPE_DOUBLE || type == BSON_TYPE_INT32 || type == BSON_TYPE_INT64 ||
        type == BSON_TYPE_DECIMAL128)
        return "a number";
    return type_name(type);
}

bool lh_doc_is_absent(const bson_iter_t *value)
{
    return BSON_ITER_HOLDS_NULL(value) || BSON_ITER_HOLDS_UNDEFINED(value) ||
           (BSON_ITER_HOLDS_BOOL(value) && !bson_iter_bool(value));
}

static bool is_number_in(const bson_iter_t *value, int64_t min, int64_t max)
{
    bson_type_t type = bson_iter_type(value);
    if (type == BSON_TYPE_DOUBLE)
        return bson_iter_double(value) >= (double)min && bson_iter_double(value) <= (double)max &&
               bson_iter_double(value) < 0x1p62; /* no double equals 2^62 - 1 */
    return (type == BSON_TYPE_INT32 || type == BSON_TYPE_INT64) &&
           bson_iter_as_int64(value) >= min && bson_iter_as_int64(value) <= max;
}

static size_t utf8_len(const bson_iter_t *value)
{
    uint32_t len = 0;
    (void)bson_iter_utf8(value, &len);
    return len;
}

static bool find_in(const bson_iter_t *object, const char *field, bson_iter_t *ret_value)
{
    return BSON_ITER_HOLDS_DOCUMENT(object) && bson_iter_recurse(object, ret_value) &&
           bson_iter_find(ret_value, field);
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
        (strcmp(bson_iter_utf8(&value, NULL), "exclusive") != 0 &&
         strcmp(bson_iter_utf8(&value, NULL), "shared") != 0))
        return false;
    return find_in(entry, "beat", &value) && is_number_in(&value, 0, TOKEN_MAX) &&
           find_in(entry, "claim_ms", &value) && is_number_in(&value, 1, LH_TTL_MAX_MS) &&
           find_in(entry, "ttl_ms", &value) && is_number_in(&value, 1, LH_TTL_MAX_MS);
}

static bool find_problem_in_map(const bson_iter_t *map, const char *name,
                                bool (*is_readable)(const bson_iter_t *entry), char *problem,
                                size_t size)
{
    bson_iter_t entry;
    if (!BSON_ITER_HOLDS_DOCUMENT(map) || !bson_iter_recurse(map, &entry)) {
        (void)snprintf(problem, size, "%s is %s, not an object", name,
                       lh_doc_type_name(bson_iter_type(map)));
        return true;
    }
    while (bson_iter_next(&entry))
        if (!is_readable(&entry)) {
            (void)snprintf(problem, size,
                           "an entry of %s has fields that are missing or of the wrong type", name);
            return true;
        }
    return false;
}

static bool find_problem(const bson_iter_t *value, char *problem, size_t size)
{
    const char *field = bson_iter_key(value);
    bson_type_t type = bson_iter_type(value);
    int64_t instant;
    if (strcmp(field, "workspace_id") != 0 && lh_doc_is_absent(value))
        return false;
    if (strcmp(field, "shared") == 0)
        return find_problem_in_map(value, field, is_readable_reader, problem, size);
    if (strcmp(field, "waiters") == 0)
        return find_problem_in_map(value, field, is_readable_waiter, problem, size);
    if (strcmp(field, "workspace_id") == 0 && type != BSON_TYPE_UTF8)
        (void)snprintf(problem, size, "workspace_id is %s, not a string", lh_doc_type_name(type));
    else if (strcmp(field, "workspace_id") == 0 &&
             strlen(bson_iter_utf8(value, NULL)) != utf8_len(value))
        (void)snprintf(problem, size, "workspace_id has a NUL in it");
    else if (strcmp(field, "expires_at") == 0 && !lh_doc_instant(value, &instant))
        (void)snprintf(problem, size, "expires_at is %s", type_name(type));
    else if (strcmp(field, "token") == 0 && !is_number_in(value, 0, TOKEN_MAX))
        (void)snprintf(problem, size, "token is %s, not one from 0 to 2^62 - 1",
                       type == BSON_TYPE_UTF8 ? "a string" : type_name(type));
    else
        return false;
    return true;
}

bool lh_doc_problem(const bson_t *document, char *problem, size_t size)
{
    bson_iter_t value;
    if (!bson_iter_init(&value, document)) {
        (void)snprintf(problem, size, "the document is not BSON");
        return true;
    }
    if (lh_twice_find(document, problem, size))
        return true;
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
    (void)snprintf(problem, size,
                   "shared or waiters has fields that are missing or of the wrong type");
    return true;
}

bool lh_doc_has_text(const bson_t *document, const char *field, const char *text)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, document, field) && BSON_ITER_HOLDS_UTF8(&value) &&
           strcmp(bson_iter_utf8(&value, NULL), text) == 0 && strlen(text) == utf8_len(&value);
}

void lh_doc_append_text(bson_t *array, uint32_t *n, const char *text, size_t len)
{
    char room[16];
    const char *index;
    bson_uint32_to_string((*n)++, &index, room, sizeof room);
    (void)bson_append_utf8(array, index, -1, text, (int)len);
}

void lh_doc_spread(bson_iter_t *in, const char *const *names, size_t n, lh_field *ret_fields)
{
    memset(ret_fields, 0, n * sizeof *ret_fields);
    while (bson_iter_next(in)) {
        const char *name = bson_iter_key(in);
        for (size_t i = 0; i < n; i++)
            if (*name == *names[i] && strcmp(name, names[i]) == 0 && !ret_fields[i].there)
                ret_fields[i] = (lh_field){.there = true, .at = *in};
    }
}

/* 0 if it is not a number, or a double too large for an integer. */
static int64_t number_of(const bson_iter_t *value)
{
    if (BSON_ITER_HOLDS_DOUBLE(value) && !(fabs(bson_iter_double(value)) < 0x1p63))
        return 0;
    return bson_iter_as_int64(value);
}

int64_t lh_doc_number_in(const bson_iter_t *object, const char *field)
{
    bson_iter_t value;
    return bson_iter_recurse(object, &value) && bson_iter_find(&value, field) ? number_of(&value)
                                                                              : 0;
}

int64_t lh_doc_token(const bson_t *document)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, document, "token") && is_number_in(&value, 0, TOKEN_MAX)
               ? bson_iter_as_int64(&value)
               : 0;
}

int64_t lh_doc_date_in(const bson_iter_t *object, const char *field)
{
    bson_iter_t value;
    return bson_iter_recurse(object, &value) && bson_iter_find(&value, field) &&
                   BSON_ITER_HOLDS_DATE_TIME(&value)
               ? bson_iter_date_time(&value)
               : 0;
}

static bool is_same_string(const lh_field *left, const lh_field *right)
{
    if (!left->there || !BSON_ITER_HOLDS_UTF8(&left->at) || !right->there ||
        !BSON_ITER_HOLDS_UTF8(&right->at))
        return false;
    uint32_t left_len, right_len;
    const char *left_text = bson_iter_utf8(&left->at, &left_len),
               *right_text = bson_iter_utf8(&right->at, &right_len);
    return left_len == right_len && memcmp(left_text, right_text, left_len) == 0;
}

static const char kept[] = "kept:";

static bool is_kept_id(const char *id)
{
    return strncmp(id, kept, sizeof kept - 1) == 0;
}

const char *lh_doc_released_of(const char *released_id)
{
    return released_id + (is_kept_id(released_id) ? sizeof kept - 1 : 0);
}

/* What decides whether a document is released or kept. */
typedef struct {
    bool ended; /* its id is marked as released, and its end can be read */
    bool kept;  /* … under the id of a key that is kept */
    int64_t end_ms, released_at_ms;
} ending;

static ending read_ending(const bson_t *document)
{
    static const char *const names[] = {"id", "expires_at", "released"}, *const released_names[] = {
                                                                             "id", "at"};
    bson_iter_t in;
    lh_field top[3], released[2];
    ending e = {0};
    if (!bson_iter_init(&in, document))
        return e;
    lh_doc_spread(&in, names, 3, top);
    if (!top[2].there || !BSON_ITER_HOLDS_DOCUMENT(&top[2].at) ||
        !bson_iter_recurse(&top[2].at, &in))
        return e;
    lh_doc_spread(&in, released_names, 2, released);
    e.ended = is_same_string(&top[0], &released[0]) && top[1].there &&
              lh_doc_instant(&top[1].at, &e.end_ms) && released[1].there &&
              BSON_ITER_HOLDS_DATE_TIME(&released[1].at);
    e.kept = e.ended && is_kept_id(bson_iter_utf8(&top[0].at, NULL));
    e.released_at_ms = e.ended ? bson_iter_date_time(&released[1].at) : 0;
    return e;
}

bool lh_doc_is_kept(const bson_t *document)
{
    return read_ending(document).kept;
}

bool lh_doc_is_freed(const bson_t *document, int64_t now_ms)
{
    ending e = read_ending(document);
    return e.ended && (e.end_ms <= e.released_at_ms || (e.kept && e.end_ms <= now_ms));
}

bool lh_doc_is_spent(const bson_t *document, int64_t now_ms, int64_t grace_ms)
{
    bson_iter_t end;
    int64_t end_ms;
    if (lh_doc_token(document) <= TOKEN_MAX_BEFORE)
        return false;
    return lh_doc_is_freed(document, now_ms) ||
           (now_ms != LH_DOC_ALL && bson_iter_init_find(&end, document, "expires_at") &&
            lh_doc_instant(&end, &end_ms) && end_ms <= now_ms - grace_ms);
}

/* The value of a string field. NULL: it is not a string, or has a NUL inside, so it is not one of
 * ours. */
static const char *as_string(const lh_field *field)
{
    if (!field->there || !BSON_ITER_HOLDS_UTF8(&field->at))
        return NULL;
    const char *text = bson_iter_utf8(&field->at, NULL);
    return strlen(text) == utf8_len(&field->at) ? text : NULL;
}

static int64_t as_date(const lh_field *field)
{
    return field->there && BSON_ITER_HOLDS_DATE_TIME(&field->at) ? bson_iter_date_time(&field->at)
                                                                 : 0;
}

static int64_t as_number(const lh_field *field)
{
    return field->there ? number_of(&field->at) : 0;
}

enum {
    TOKEN,
    ACQUIRED_AT,
    RENEWED_AT,
    TTL_MS,
    EXPIRES_AT,
    GRANT_FIELDS,
    ID = GRANT_FIELDS,
    RELEASED,
    NOW,
    SHARED,
    MINE_FIELDS
};
static const char *const mine_names[MINE_FIELDS] = {"token",    "acquired_at", "renewed_at",
                                                    "ttl_ms",   "expires_at",  "id",
                                                    "released", "now",         "shared"};

/* Reads the fields of a grant, from a document or a reader's entry. */
static void read_mine(const lh_field *values, lh_mine *ret_mine)
{
    ret_mine->token = as_number(&values[TOKEN]);
    ret_mine->acquired_at_ms = as_date(&values[ACQUIRED_AT]);
    ret_mine->written = as_date(&values[RENEWED_AT]) == ret_mine->now_ms;
    ret_mine->ttl_ms = as_number(&values[TTL_MS]);
}

static void read_last(const lh_field *released, const char *id, const char *lease_id,
                      lh_mine *ret_mine)
{
    static const char *const names[] = {"id", "how", "by"};
    bson_iter_t in;
    lh_field values[3] = {0};
    if (released->there && BSON_ITER_HOLDS_DOCUMENT(&released->at) &&
        bson_iter_recurse(&released->at, &in))
        lh_doc_spread(&in, names, 3, values);
    const char *last = as_string(&values[0]), *how = as_string(&values[1]);
    ret_mine->first = !last;
    bool is_it = id && strcmp(id, lease_id) == 0;
    ret_mine->released = last && strcmp(is_it ? last : lh_doc_released_of(last), lease_id) == 0;
    /* A resume records `by`; a transfer by the holder does not. */
    ret_mine->transferred =
        ret_mine->released && how && strcmp(how, "transfer") == 0 && !as_string(&values[2]);
    ret_mine->ended = ret_mine->released && ((how && strcmp(how, "release") == 0) || is_it);
}

void lh_doc_mine(const bson_t *document, const char *lease_id, lh_mine *ret_mine)
{
    bson_iter_t in, reader;
    lh_field values[MINE_FIELDS] = {0}, entry[GRANT_FIELDS] = {0};
    if (bson_iter_init(&in, document))
        lh_doc_spread(&in, mine_names, MINE_FIELDS, values);
    *ret_mine = (lh_mine){.now_ms = as_date(&values[NOW])};
    const char *id = as_string(&values[ID]);
    read_last(&values[RELEASED], id, lease_id, ret_mine);
    if (id && strcmp(id, lease_id) == 0 && !ret_mine->released) {
        read_mine(values, ret_mine);
        ret_mine->expires_at_ms = LH_NEVER;
        if (values[EXPIRES_AT].there)
            (void)lh_doc_instant(&values[EXPIRES_AT].at, &ret_mine->expires_at_ms);
    } else {
        if (!id || strncmp(id, "shared:", 7) != 0 || !values[SHARED].there ||
            !find_in(&values[SHARED].at, lease_id, &reader))
            return;
        ret_mine->mode = LH_SHARED;
        if (BSON_ITER_HOLDS_DOCUMENT(&reader) && bson_iter_recurse(&reader, &in))
            lh_doc_spread(&in, mine_names, GRANT_FIELDS, entry);
        read_mine(entry, ret_mine);
        ret_mine->expires_at_ms = as_date(&entry[EXPIRES_AT]);
    }
    ret_mine->holds = ret_mine->expires_at_ms > ret_mine->now_ms;
    ret_mine->lapsed = !ret_mine->holds;
}

lh_ended lh_doc_ended(const bson_t *document)
{
    static const char *const names[] = {"owner", "at"};
    bson_iter_t released, in;
    lh_field fields[2] = {0};
    if (bson_iter_init_find(&released, document, "released") &&
        BSON_ITER_HOLDS_DOCUMENT(&released) && bson_iter_recurse(&released, &in))
        lh_doc_spread(&in, names, 2, fields);
    return (lh_ended){.owner = as_string(&fields[0]), .at_ms = as_date(&fields[1])};
}

bool lh_doc_is_held_alone(const bson_t *document, int64_t grace_ms)
{
    bson_iter_t in;
    lh_field values[MINE_FIELDS] = {0};
    int64_t end;
    if (bson_iter_init(&in, document))
        lh_doc_spread(&in, mine_names, MINE_FIELDS, values);
    const char *id = as_string(&values[ID]);
    if (lh_doc_is_freed(document, as_date(&values[NOW])) || (id && strncmp(id, "shared:", 7) == 0))
        return false;
    if (!values[EXPIRES_AT].there || lh_doc_is_absent(&values[EXPIRES_AT].at))
        return true; /* no end: held */
    return lh_doc_instant(&values[EXPIRES_AT].at, &end) && end > as_date(&values[NOW]) - grace_ms;
}

static bool read_grant(const bson_iter_t *entry, lh_grant *ret_grant)
{
    bson_iter_t value, field;
    if (!find_in(entry, "k", &value) || !BSON_ITER_HOLDS_UTF8(&value) ||
        utf8_len(&value) != LH_LEASE_ID_LEN ||
        strlen(bson_iter_utf8(&value, NULL)) != LH_LEASE_ID_LEN) /* it has a NUL inside */
        return false;
    memcpy(ret_grant->id, bson_iter_utf8(&value, NULL), LH_LEASE_ID_LEN + 1);
    if (!find_in(entry, "v", &value))
        return false;
    ret_grant->beat = find_in(&value, "beat", &field) ? bson_iter_as_int64(&field) : -1;
    ret_grant->token = find_in(&value, "token", &field) ? bson_iter_as_int64(&field) : 0;
    ret_grant->expires_at_ms =
        find_in(&value, "expires_at", &field) && BSON_ITER_HOLDS_DATE_TIME(&field)
            ? bson_iter_date_time(&field)
            : 0;
    return true;
}

void lh_doc_each_grant(const bson_t *document, void (*each)(void *arg, const lh_grant *grant),
                       void *arg)
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
    bson_iter_t waiting;
    return bson_iter_init_find(&waiting, document, "waiting") ? bson_iter_as_int64(&waiting) : 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * libbson parses JSON. This file refuses what libbson would accept: a field twice, text after the
 * object, NULs. */
#include "serve/body.h"

#include <microhttpd.h>
#include <string.h>

enum { MOST_FIELDS = 12 };

static bool fail(struct request *request, const char *name, const char *what)
{
    answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid", "\"%.64s\" %s", name, what);
    return false;
}

static bool take_text(struct request *request, const struct field *field, const bson_iter_t *at)
{
    uint32_t len;
    if (!BSON_ITER_HOLDS_UTF8(at))
        return fail(request, field->name, "must be a string");
    const char *text = bson_iter_utf8(at, &len);
    if (len >= field->size)
        return fail(request, field->name,
                    "is too long: see maxLength in /openapi.json (bytes of UTF-8)");
    if (strlen(text) != len || !bson_utf8_validate(text, len, false))
        return fail(request, field->name, "must be UTF-8 without a NUL");
    memcpy(field->text, text, len + 1);
    return true;
}

/* 3e4 and 30000.0 are whole numbers too. */
static bool take_number(struct request *request, const struct field *field, const bson_iter_t *at)
{
    if (BSON_ITER_HOLDS_INT32(at) || BSON_ITER_HOLDS_INT64(at)) {
        *field->number = bson_iter_as_int64(at);
        return true;
    }
    double number = BSON_ITER_HOLDS_DOUBLE(at) ? bson_iter_double(at) : 0.5;
    if (!(number > -9e15 && number < 9e15) || number != (double)(int64_t)number)
        return fail(request, field->name, "must be a whole number");
    *field->number = (int64_t)number;
    return true;
}

static bool take_flag(struct request *request, const struct field *field, const bson_iter_t *at)
{
    if (!BSON_ITER_HOLDS_BOOL(at))
        return fail(request, field->name, "must be true or false");
    *field->flag = bson_iter_bool(at);
    return true;
}

static bool take_texts(struct request *request, const struct field *field, const bson_iter_t *at)
{
    bson_iter_t item;
    char text[LH_KEY_MAX + 1];
    const struct field one = {field->name, text, sizeof text, NULL, NULL, NULL};
    if (!BSON_ITER_HOLDS_ARRAY(at) || !bson_iter_recurse(at, &item))
        return fail(request, field->name, "must be an array of strings");
    while (bson_iter_next(&item)) {
        if (!take_text(request, &one, &item))
            return false;
        if (field->texts->n == MOST_TEXTS)
            return fail(request, field->name,
                        "has too many strings: see maxItems in /openapi.json");
        if (!texts_add(field->texts, text)) {
            answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "out of memory");
            return false;
        }
    }
    return true;
}

static bool take_value(struct request *request, const struct field *field, const bson_iter_t *at)
{
    if (field->text)
        return take_text(request, field, at);
    if (field->number)
        return take_number(request, field, at);
    return field->flag ? take_flag(request, field, at) : take_texts(request, field, at);
}

static bool take(struct request *request, const struct field *fields, size_t n, bool *given,
                 const bson_iter_t *at)
{
    const char *name = bson_iter_key(at);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fields[i].name, name) != 0)
            continue;
        if (given[i])
            return fail(request, name, "is given twice");
        given[i] = true;
        return take_value(request, &fields[i], at);
    }
    return fail(request, bson_utf8_validate(name, strlen(name), false) ? name : "?",
                "is not a field of this body");
}

/* NULL: the body is not exactly one JSON object. */
static bson_t *parse(const struct request *request)
{
    bson_error_t why;
    bool more = false;
    bson_t *first = bson_new(), second = BSON_INITIALIZER;
    const char *start = request->body + strspn(request->body, " \t\r\n");
    bson_json_reader_t *reader = bson_json_data_reader_new(true, MOST_BODY + 1);
    bson_json_data_reader_ingest(reader, (const uint8_t *)request->body, request->body_len);
    bool good = *start == '{' && bson_json_reader_read(reader, first, &why) == 1;
    if (good)
        more = bson_json_reader_read(reader, &second, &why) != 0;
    bson_json_reader_destroy(reader);
    bson_destroy(&second);
    if (good && !more && strlen(request->body) == request->body_len)
        return first;
    bson_destroy(first);
    return NULL;
}

/* Generated clients send it for a body that they may leave out. */
static bool is_null(const struct request *request)
{
    const char *start = request->body + strspn(request->body, " \t\r\n");
    return strncmp(start, "null", 4) == 0 && start[4 + strspn(start + 4, " \t\r\n")] == '\0' &&
           strlen(request->body) == request->body_len;
}

bool body_read(struct request *request, const struct field *fields, size_t n_fields)
{
    bool given[MOST_FIELDS] = {false}, good = true;
    bson_iter_t at;
    for (size_t i = 0; i < n_fields; i++) {
        if (fields[i].text)
            fields[i].text[0] = '\0';
    }
    if (request->body_len == 0 || is_null(request))
        return true;
    bson_t *json = parse(request);
    if (!json) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                       "the body must be one JSON object");
        return false;
    }
    (void)bson_iter_init(&at, json);
    while (good && bson_iter_next(&at))
        good = take(request, fields, n_fields, given, &at);
    bson_destroy(json);
    return good;
}

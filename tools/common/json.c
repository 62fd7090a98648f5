/* SPDX-License-Identifier: Apache-2.0
 * JSON by libbson, which knows the escapes and the numbers. This file has only the additions of the
 * contract: null for unknown values, RFC 3339 instants, and one compact line (libbson writes spaces
 * between tokens). */
#include "common/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

void json_init(bson_t *json, const char *outcome)
{
    bson_init(json);
    json_number(json, "v", 1);
    if (outcome)
        json_text(json, "outcome", outcome);
}

void json_text(bson_t *json, const char *name, const char *text)
{
    if (!text || !*text) {
        bson_append_null(json, name, -1);
    } else if (bson_utf8_validate(text, strlen(text), false)) {
        bson_append_utf8(json, name, -1, text, -1);
    } else {
        char *safe = text_safe(text, NULL);
        bson_append_utf8(json, name, -1, safe ? safe : "", -1);
        free(safe);
    }
}

void json_number(bson_t *json, const char *name, int64_t number)
{
    bson_append_int64(json, name, -1, number);
}

void json_number_or_null(bson_t *json, const char *name, int64_t number, int64_t none)
{
    if (number == none)
        bson_append_null(json, name, -1);
    else
        json_number(json, name, number);
}

void json_time(bson_t *json, const char *name, int64_t at_ms, int64_t none)
{
    char time[TEXT_TIME_SIZE];
    json_text(json, name, at_ms != none && text_time(at_ms, time) ? time : NULL);
}

void json_item_begin(bson_t *array, uint32_t n, bson_t *ret_item)
{
    char room[16];
    const char *index;
    bson_uint32_to_string(n, &index, room, sizeof room);
    bson_append_document_begin(array, index, -1, ret_item);
}

void json_item(bson_t *array, uint32_t n, bson_t *item)
{
    char buffer[16];
    const char *index;
    (void)bson_uint32_to_string(n, &index, buffer, sizeof buffer);
    BSON_APPEND_DOCUMENT(array, index, item);
    bson_destroy(item);
}

/* A character as JSON escapes it: beyond U+FFFF as a pair of surrogates. */
static void write_escaped(FILE *to, uint32_t character)
{
    if (character > 0xFFFF) {
        fprintf(to, "\\u%04x", 0xD7C0 + (character >> 10));
        character = 0xDC00 + (character & 0x3FF);
    }
    fprintf(to, "\\u%04x", character);
}

/* 5.697, which libbson writes as 5.6970000000000000639. Returns what follows. */
static const char *write_number(FILE *to, const char *text)
{
    size_t len = strspn(text, "-+.eE0123456789");
    if (memchr(text, '.', len))
        fprintf(to, "%.15g", strtod(text, NULL));
    else
        fwrite(text, 1, len, to);
    return text + len;
}

/* Writes libbson's text without its spaces between tokens, and with misleading characters escaped:
 * a string may come from anybody, and people read JSON on terminals and in logs. */
static void write_compact(FILE *to, const char *text)
{
    bool inside = false;
    for (const char *at = text, *next; *at; at = next) {
        uint32_t c = bson_utf8_get_char(at);
        next = bson_utf8_next_char(at);
        if (c == '"')
            inside = !inside;
        if (c == ' ' && !inside)
            continue;
        if (!inside && (c == '-' || (c >= '0' && c <= '9'))) {
            next = write_number(to, at);
            continue;
        }
        if (c >= 0x7F && text_misleads(c)) {
            write_escaped(to, c);
            continue;
        }
        if (c == '\\') /* what is escaped is not looked at */
            next++;
        fwrite(at, 1, (size_t)(next - at), to);
    }
}

void json_write(FILE *to, bson_t *json)
{
    char *text = bson_as_relaxed_extended_json(json, NULL);
    if (text)
        write_compact(to, text);
    bson_free(text);
    bson_destroy(json);
}

void json_print(bson_t *json)
{
    json_write(stdout, json);
    putchar('\n');
}

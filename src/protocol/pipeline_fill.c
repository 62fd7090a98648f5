/* SPDX-License-Identifier: Apache-2.0
 * To fill a command, the pieces between the holes are copied, and the lengths of the enclosing
 * documents are corrected. */
#include "protocol/pipeline_fill.h"

#include <stdlib.h>
#include <string.h>

#define HOLES_MAX  24
#define FRAMES_MAX 128

/* In BSON, an element is a byte for its type, its name with a NUL, and its value. A document begins
 * with its length. */
enum { TYPE_TEXT = 0x02, TYPE_NULL = 0x0a, TYPE_LONG = 0x12 };

typedef struct {
    /* offsets in `pattern`: of the type, of the value, and of what follows it */
    uint32_t type, value, end;
    uint32_t name; /* index of the name */
} hole;

typedef struct {
    uint32_t at;           /* offset of the length */
    uint32_t first, after; /* holes `first` to `after` - 1 are inside */
} frame;

struct lh_fill {
    bson_t *pattern;
    hole holes[HOLES_MAX];
    frame frames[FRAMES_MAX];
    uint32_t n_holes, n_frames;
};

bson_t *lh_parse(const char *text)
{
    char *json = strdup(text);
    if (!json)
        return NULL;
    for (char *c = json; *c; c++)
        if (*c == '\'')
            *c = '"';
    bson_error_t error;
    bson_t *parsed = bson_new_from_json((const uint8_t *)json, -1, &error);
    free(json);
    return parsed; /* a unit test checks that every text is JSON */
}

static bool take_hole(lh_fill *fill, const bson_iter_t *at, const char *const *names,
                      size_t n_names)
{
    uint32_t len, name = 0;
    const char *text = bson_iter_utf8(at, &len);
    while (name < n_names && strcmp(text, names[name]) != 0)
        name++;
    if (name == n_names)
        return true; /* not a hole */
    if (fill->n_holes == HOLES_MAX)
        return false;
    const uint8_t *data = bson_get_data(fill->pattern),
                  *value = (const uint8_t *)text - sizeof(int32_t);
    fill->holes[fill->n_holes++] =
        (hole){.type = (uint32_t)((const uint8_t *)bson_iter_key(at) - 1 - data),
               .value = (uint32_t)(value - data),
               .end = (uint32_t)((const uint8_t *)text + len + 1 - data),
               .name = name};
    return true;
}

/* Records the document that `in` iterates over, and the documents in it. */
static bool take_frame(lh_fill *fill, const uint8_t *document, bson_iter_t *in,
                       const char *const *names, size_t n_names)
{
    if (fill->n_frames == FRAMES_MAX)
        return false;
    frame *f = &fill->frames[fill->n_frames++];
    f->at = (uint32_t)(document - bson_get_data(fill->pattern));
    f->first = fill->n_holes;
    while (bson_iter_next(in)) {
        bson_iter_t inner;
        const uint8_t *data = NULL;
        uint32_t len;
        if (BSON_ITER_HOLDS_UTF8(in) && !take_hole(fill, in, names, n_names))
            return false;
        if (BSON_ITER_HOLDS_DOCUMENT(in))
            bson_iter_document(in, &len, &data);
        else if (BSON_ITER_HOLDS_ARRAY(in))
            bson_iter_array(in, &len, &data);
        if (data &&
            (!bson_iter_recurse(in, &inner) || !take_frame(fill, data, &inner, names, n_names)))
            return false;
    }
    f->after = fill->n_holes;
    if (f->after == f->first && f == &fill->frames[fill->n_frames - 1])
        fill->n_frames--; /* it has no holes, so its length never changes */
    return true;
}

lh_fill *lh_fill_new(const char *text, const char *const *names, size_t n_names)
{
    lh_fill *fill = calloc(1, sizeof *fill);
    bson_iter_t in;
    if (fill && (fill->pattern = lh_parse(text)) && bson_iter_init(&in, fill->pattern) &&
        take_frame(fill, bson_get_data(fill->pattern), &in, names, n_names))
        return fill;
    lh_fill_free(fill);
    return NULL;
}

void lh_fill_free(lh_fill *fill)
{
    if (fill)
        bson_destroy(fill->pattern);
    free(fill);
}

static void put_length(uint8_t *at, uint32_t length)
{
    length = BSON_UINT32_TO_LE(length);
    memcpy(at, &length, sizeof length);
}

static uint32_t get_length(const uint8_t *at)
{
    uint32_t length;
    memcpy(&length, at, sizeof length);
    return BSON_UINT32_FROM_LE(length);
}

static uint32_t size_of(const lh_value *value)
{
    return value->is_number ? sizeof(int64_t)
           : value->text    ? (uint32_t)(sizeof(int32_t) + strlen(value->text) + 1)
                            : 0;
}

/* Returns the position after the value. */
static uint8_t *put_value(uint8_t *to, const lh_value *value, uint32_t size)
{
    int64_t number = (int64_t)BSON_UINT64_TO_LE((uint64_t)value->number);
    if (value->is_number) {
        memcpy(to, &number, sizeof number);
    } else if (value->text) {
        put_length(to, size - (uint32_t)sizeof(int32_t));
        memcpy(to + sizeof(int32_t), value->text, size - sizeof(int32_t));
    }
    return to + size;
}

void lh_fill_make(const lh_fill *fill, const lh_value *values, bson_t *ret_command)
{
    const uint8_t *pattern = bson_get_data(fill->pattern);
    uint32_t sizes[HOLES_MAX];
    /* more[i]: the bytes that the holes before hole i add (modulo 2^32) */
    uint32_t more[HOLES_MAX + 1] = {0};
    for (uint32_t i = 0; i < fill->n_holes; i++) {
        sizes[i] = size_of(&values[fill->holes[i].name]);
        more[i + 1] = more[i] + sizes[i] - (fill->holes[i].end - fill->holes[i].value);
    }
    uint8_t *out = bson_reserve_buffer(ret_command, fill->pattern->len + more[fill->n_holes]),
            *to = out;
    uint32_t from = 0;
    for (uint32_t i = 0; i < fill->n_holes; i++) {
        const hole *h = &fill->holes[i];
        const lh_value *value = &values[h->name];
        memcpy(to, pattern + from, h->value - from);
        to[h->type - from] = value->is_number ? TYPE_LONG : value->text ? TYPE_TEXT : TYPE_NULL;
        to = put_value(to + (h->value - from), value, sizes[i]);
        from = h->end;
    }
    memcpy(to, pattern + from, fill->pattern->len - from);
    for (uint32_t i = 0; i < fill->n_frames; i++) {
        const frame *f = &fill->frames[i];
        uint32_t at = f->at + more[f->first];
        put_length(out + at, get_length(pattern + f->at) + more[f->after] - more[f->first]);
    }
}

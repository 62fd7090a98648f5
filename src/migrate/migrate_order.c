/* SPDX-License-Identifier: Apache-2.0
 * The server's order of BSON values, used to break ties by _id as the server's own sort would:
 * first by kind (numbers are one kind), then within the kind (docs: "Comparison/Sort Order"; simple
 * collation). Pure.
 *
 * Decimals are compared as doubles. Two that differ only beyond 17 digits count as equal, which
 * matters only for documents with decimal _ids that also end at the same instant. */
#include "migrate/migrate_order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/migrate_parts.h"

/* The rank of the value's kind. */
static int kind_of(const bson_iter_t *value)
{
    switch (bson_iter_type(value)) {
    case BSON_TYPE_MINKEY:
        return -1;
    case BSON_TYPE_EOD:
    case BSON_TYPE_UNDEFINED:
        return 0;
    case BSON_TYPE_NULL:
        return 5;
    case BSON_TYPE_DOUBLE:
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
    case BSON_TYPE_DECIMAL128:
        return 10;
    case BSON_TYPE_UTF8:
    case BSON_TYPE_SYMBOL:
        return 15;
    case BSON_TYPE_DOCUMENT:
        return 20;
    case BSON_TYPE_ARRAY:
        return 25;
    case BSON_TYPE_BINARY:
        return 30;
    case BSON_TYPE_OID:
        return 35;
    case BSON_TYPE_BOOL:
        return 40;
    case BSON_TYPE_DATE_TIME:
        return 45;
    case BSON_TYPE_TIMESTAMP:
        return 47;
    case BSON_TYPE_REGEX:
        return 50;
    case BSON_TYPE_DBPOINTER:
        return 55;
    case BSON_TYPE_CODE:
        return 60;
    case BSON_TYPE_CODEWSCOPE:
        return 65;
    case BSON_TYPE_MAXKEY:
        return 127;
    }
    return 126;
}

static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int compare_longs(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* By bytes; if one is the beginning of the other, the longer one is higher. This is the order of
 * strings. */
static int compare_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order ? order : compare_sizes(a_len, b_len);
}

static double as_double(const bson_iter_t *value)
{
    bson_decimal128_t decimal;
    char text[BSON_DECIMAL128_STRING];
    if (!bson_iter_decimal128(value, &decimal))
        return bson_iter_as_double(value);
    bson_decimal128_to_string(&decimal, text);
    return strtod(text, NULL);
}

/* Compares a whole number with a double exactly. NaN is below all numbers. */
static int compare_long_double(int64_t a, double b)
{
    if (isnan(b))
        return 1;
    if (b >= 0x1p63)
        return -1;
    if (b < -0x1p63)
        return 1;
    double whole = trunc(b);
    int order = compare_longs(a, (int64_t)whole);
    return order ? order : (whole > b) - (whole < b);
}

static bool is_whole(const bson_iter_t *value)
{
    return BSON_ITER_HOLDS_INT32(value) || BSON_ITER_HOLDS_INT64(value);
}

static int compare_numbers(const bson_iter_t *a, const bson_iter_t *b)
{
    if (is_whole(a) && is_whole(b))
        return compare_longs(bson_iter_as_int64(a), bson_iter_as_int64(b));
    if (is_whole(a))
        return compare_long_double(bson_iter_as_int64(a), as_double(b));
    if (is_whole(b))
        return -compare_long_double(bson_iter_as_int64(b), as_double(a));
    double x = as_double(a), y = as_double(b);
    if (isnan(x) || isnan(y))
        return isnan(y) - isnan(x);
    return (x > y) - (x < y);
}

static const char *text_of(const bson_iter_t *value, uint32_t *ret_len)
{
    return BSON_ITER_HOLDS_UTF8(value) ? bson_iter_utf8(value, ret_len)
                                       : bson_iter_symbol(value, ret_len);
}

/* By length, then by subtype, then by bytes. */
static int compare_binaries(const bson_iter_t *a, const bson_iter_t *b)
{
    bson_subtype_t a_type, b_type;
    uint32_t a_len, b_len;
    const uint8_t *x, *y;
    bson_iter_binary(a, &a_type, &a_len, &x);
    bson_iter_binary(b, &b_type, &b_len, &y);
    if (a_len != b_len)
        return compare_sizes(a_len, b_len);
    return a_type != b_type ? compare_sizes((size_t)a_type, (size_t)b_type)
                            : compare_bytes(x, a_len, y, b_len);
}

/* Field by field: by kind, then (in documents) by name, then by value. It recurses once per level
 * of nesting, which the server limits (BSON depth 200). */
static int compare_fields(const bson_iter_t *a, const bson_iter_t *b)
{
    bson_iter_t x, y;
    if (!bson_iter_recurse(a, &x) || !bson_iter_recurse(b, &y))
        return 0;
    for (;;) {
        bool more_x = bson_iter_next(&x), more_y = bson_iter_next(&y);
        if (!more_x || !more_y)
            return more_x - more_y;
        int order = compare_longs(kind_of(&x), kind_of(&y));
        if (!order && BSON_ITER_HOLDS_DOCUMENT(a))
            order = strcmp(bson_iter_key(&x), bson_iter_key(&y));
        if (!order)
            order = lh_migrate_order(&x, &y);
        if (order)
            return order;
    }
}

static int compare_timestamps(const bson_iter_t *a, const bson_iter_t *b)
{
    uint32_t a_s, a_i, b_s, b_i;
    bson_iter_timestamp(a, &a_s, &a_i);
    bson_iter_timestamp(b, &b_s, &b_i);
    return a_s != b_s ? compare_sizes(a_s, b_s) : compare_sizes(a_i, b_i);
}

int lh_migrate_order(const bson_iter_t *a, const bson_iter_t *b)
{
    int kind = kind_of(a);
    uint32_t a_len = 0, b_len = 0;
    const char *x, *y;
    if (kind != kind_of(b))
        return compare_longs(kind, kind_of(b));
    switch (kind) {
    case 10:
        return compare_numbers(a, b);
    case 15:
        x = text_of(a, &a_len);
        y = text_of(b, &b_len);
        return compare_bytes(x, a_len, y, b_len);
    case 20:
    case 25:
        return compare_fields(a, b);
    case 30:
        return compare_binaries(a, b);
    case 35:
        return bson_oid_compare(bson_iter_oid(a), bson_iter_oid(b));
    case 40:
        return bson_iter_bool(a) - bson_iter_bool(b);
    case 45:
        return compare_longs(bson_iter_date_time(a), bson_iter_date_time(b));
    case 47:
        return compare_timestamps(a, b);
    /* Not used as an _id in practice. The bytes decide, so that the order is at least stable. */
    default:
        return compare_bytes(a->raw + a->off, a->next_off - a->off, b->raw + b->off,
                             b->next_off - b->off);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Reading a field of a document. */
#include "torture/field.h"

const char *field_text(const bson_t *from, const char *name)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, from, name) && BSON_ITER_HOLDS_UTF8(&value)
               ? bson_iter_utf8(&value, NULL)
               : "";
}

int64_t field_number(const bson_t *from, const char *name, int64_t otherwise)
{
    bson_iter_t value;
    if (!bson_iter_init_find(&value, from, name))
        return otherwise;
    if (BSON_ITER_HOLDS_DATE_TIME(&value))
        return bson_iter_date_time(&value);
    return BSON_ITER_HOLDS_NUMBER(&value) ? bson_iter_as_int64(&value) : otherwise;
}

bool field_flag(const bson_t *from, const char *name)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, from, name) && bson_iter_as_bool(&value);
}

bool field_part(const bson_t *from, const char *name, bson_t *ret_part)
{
    bson_iter_t value;
    const uint8_t *data;
    uint32_t len;
    if (!bson_iter_init_find(&value, from, name) || !BSON_ITER_HOLDS_DOCUMENT(&value))
        return false;
    bson_iter_document(&value, &len, &data);
    return bson_init_static(ret_part, data, len);
}

/* SPDX-License-Identifier: Apache-2.0
 * The body of a request. */
#ifndef SERVE_BODY_H
#define SERVE_BODY_H

#include "serve/request.h"
#include "serve/texts.h"

/* A field that a body may have. Other fields are refused, so that a typing error does not select a
 * default. */
struct field {
    const char *name;
    char *text; /* a string: room for `size` bytes, NUL too; "" where it is not given */
    size_t size;
    /* Or one of these, which are left as they are where the field is not given: */
    int64_t *number; /* a whole number */
    bool *flag;
    struct texts *texts; /* strings, each of 1 to LH_KEY_MAX bytes */
};

#define FIELD_TEXT(name, array)                                                                    \
    {                                                                                              \
        name, array, sizeof(array), NULL, NULL, NULL                                               \
    }
#define FIELD_NUMBER(name, number)                                                                 \
    {                                                                                              \
        name, NULL, 0, number, NULL, NULL                                                          \
    }
#define FIELD_FLAG(name, flag)                                                                     \
    {                                                                                              \
        name, NULL, 0, NULL, flag, NULL                                                            \
    }
#define FIELD_TEXTS(name, texts)                                                                   \
    {                                                                                              \
        name, NULL, 0, NULL, NULL, texts                                                           \
    }

/* Reads the body; an empty body is {}. False: the request was answered. */
bool body_read(struct request *request, const struct field *fields, size_t n_fields);

#endif

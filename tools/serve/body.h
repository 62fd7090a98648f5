/* SPDX-License-Identifier: Apache-2.0
 * What is in a request's body. */
#ifndef SERVE_BODY_H
#define SERVE_BODY_H

#include "serve/request.h"

/* A field that a body may have. Whatever else is in it is refused: a typing error must not mean a
 * default. */
struct field {
    const char *name;
    char *text; /* a string: room for `size` bytes, NUL too; "" where it is not given */
    size_t size;
    int64_t *number; /* or a whole number: left as it is where it is not given */
};

/* Reads the body, an empty one as {}. False: it was answered. */
bool body_read(struct request *request, const struct field *fields, size_t n_fields);

#endif

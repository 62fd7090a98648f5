/* SPDX-License-Identifier: Apache-2.0
 * Percent-encoding. Pure. */
#ifndef SERVE_URI_H
#define SERVE_URI_H

#include <stdbool.h>
#include <stddef.h>

/* Decodes `len` bytes into `out`, NUL-terminated. False: a `%` without two digits, a NUL, or more
 * than size - 1 bytes. */
bool uri_decode(const char *in, size_t len, char *out, size_t size);

#endif

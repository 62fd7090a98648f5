/* SPDX-License-Identifier: Apache-2.0
 * Validating the strings that callers give: keys, owners, purposes, lease ids. Pure. */
#ifndef LH_KEY_H
#define LH_KEY_H

#include <stdint.h>

#include "base/error.h"

/* Reads one character at text[0..len): its length in bytes, or 0 when the bytes are not UTF-8 (RFC
 * 3629: no overlong form, no surrogate, nothing past U+10FFFF). */
size_t lh_text_character(const char *text, size_t len, uint32_t *ret_character);

/* LH_OK when `text` is `min` to `max` bytes of UTF-8 without control characters; else LH_INVALID
 * with `what` ("owner") in the sentence. */
int lh_text_check(const char *what, const char *text, size_t len, size_t min, size_t max,
                  lh_error *error);

/* LH_OK when `key`, which is one, is a path: parts with a '/' between them, none of them empty. */
int lh_path_check(const char *key, lh_error *error);

/* LH_OK when `id` has the form of a lease id. */
int lh_lease_id_check(const char *id, lh_error *error);

/* For tables of keys and lease ids: FNV-1a. */
uint64_t lh_text_hash(const char *text);

#endif

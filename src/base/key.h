/* SPDX-License-Identifier: Apache-2.0
 * Checks strings that callers pass: keys, owners, purposes, lease ids. Pure. */
#ifndef LH_KEY_H
#define LH_KEY_H

#include <stdint.h>

#include "base/error.h"

/* Reads one character at text[0..len). Returns its length in bytes, or 0 if the bytes are not UTF-8
 * (RFC 3629: no overlong form, no surrogate, nothing beyond U+10FFFF). */
size_t lh_text_character(const char *text, size_t len, uint32_t *ret_character);

/* LH_OK if `text` is `min` to `max` bytes of UTF-8 without control characters. Otherwise
 * LH_INVALID, and the message names `what` ("owner"). */
int lh_text_check(const char *what, const char *text, size_t len, size_t min, size_t max,
                  lh_error *error);

/* LH_OK if `key`, which must be a valid key, is a path: parts separated by '/', none of them
 * empty. */
int lh_path_check(const char *key, lh_error *error);

/* LH_OK if `id` has the form of a lease id. */
int lh_lease_id_check(const char *id, lh_error *error);

/* A hash for tables of keys and lease ids (FNV-1a). */
uint64_t lh_text_hash(const char *text);

#endif

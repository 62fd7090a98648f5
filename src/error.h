/* SPDX-License-Identifier: Apache-2.0
 * Filling an lh_error. */
#ifndef LH_ERROR_H
#define LH_ERROR_H

#include <leasehold/leasehold.h>

/* Fills `error` (may be NULL) and returns `code`. The message is cut at a character when it is too long. */
int lh_fail(lh_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* LH_MEMORY with its message. */
int lh_fail_memory(lh_error *error);

/* Cuts `text` (NUL-terminated UTF-8) so that it ends in a whole character after at most `max` bytes. */
void lh_cut_utf8(char *text, size_t max);

#endif

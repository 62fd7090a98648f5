/* SPDX-License-Identifier: Apache-2.0
 * Fills an lh_error. */
#ifndef LH_ERROR_H
#define LH_ERROR_H

#include <leasehold/leasehold.h>

/* LH_ERROR_LEAST: the size of the fields that every version of lh_error has. LH_SIZE_MAX: the
 * largest `size` of a caller's struct; a larger one means that it was not initialised. */
#define LH_ERROR_LEAST (offsetof(lh_error, message) + sizeof(((lh_error *)0)->message))
#define LH_SIZE_MAX    65536

/* LH_INVALID: the caller did not initialise `error`, so the call must do nothing. The message is
 * stored if there is room for it. Every public call checks this first; calls that check their store
 * do so by lh_store_check(). After LH_OK, an error that is not NULL has at least the fields of the
 * first version. */
int lh_error_check(lh_error *error);

/* Copies `from` to `to` (may be NULL), up to the smaller of their sizes. */
void lh_error_give(lh_error *to, const lh_error *from);

/* Fills `error` (may be NULL) and returns the outcome. `code` is an outcome, or an LH_REASON_…,
 * which belongs to one. A message that is too long is truncated at a character. */
int lh_fail(lh_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The reason for `outcome` in `why` if it has one, else `outcome`: for lh_fail(). */
int lh_error_reason(const lh_error *why, int outcome);

/* Changes the outcome of a filled error (may be NULL); a reason that is another outcome's goes. */
void lh_error_recode(lh_error *error, int code);

/* LH_MEMORY with its message. */
int lh_fail_memory(lh_error *error);

/* Truncates `text` (NUL-terminated UTF-8) to at most `max` bytes, at a character. */
void lh_cut_utf8(char *text, size_t max);

#endif

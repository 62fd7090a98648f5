/* SPDX-License-Identifier: Apache-2.0
 * Filling an lh_error. */
#ifndef LH_ERROR_H
#define LH_ERROR_H

#include <leasehold/leasehold.h>

/* What every version of lh_error has, and the most that a struct with a `size` may have: beyond, it
 * was not initialised. */
#define LH_ERROR_LEAST (offsetof(lh_error, message) + sizeof(((lh_error *)0)->message))
#define LH_SIZE_MAX    65536

/* LH_OK; LH_INVALID, and its message where there is room for it: the caller did not initialise
 * `error`, and nothing is done for him. Every public call asks that before anything else; the ones
 * that ask for their store do it by lh_store_check(). From there on an error that is not NULL has
 * at least the fields of the first version. */
int lh_error_check(lh_error *error);

/* Copies `from` to `to` (may be NULL), as far as both go. */
void lh_error_give(lh_error *to, const lh_error *from);

/* Fills `error` (may be NULL) and returns the outcome. `code` is an outcome, or an LH_REASON_…,
 * which has one. The message is cut at a character when it is too long. */
int lh_fail(lh_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The reason for `outcome` in `why` if it has one, else `outcome`: for lh_fail(). */
int lh_error_reason(const lh_error *why, int outcome);

/* Changes the outcome of a filled error (may be NULL); a reason that is another outcome's goes. */
void lh_error_recode(lh_error *error, int code);

/* LH_MEMORY with its message. */
int lh_fail_memory(lh_error *error);

/* Cuts `text` (NUL-terminated UTF-8) so that it ends in a whole character after at most `max`
 * bytes. */
void lh_cut_utf8(char *text, size_t max);

#endif

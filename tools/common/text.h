/* SPDX-License-Identifier: Apache-2.0
 * Text for users, and text from users: durations, safe printing of what others stored, the nearest
 * name. Pure. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads `250ms`, `30s`, `5m`, `2h`, `7d`, or a bare number of seconds. False when it is no
 * duration, or past all bounds. */
bool text_duration(const char *text, int64_t *ret_ms);

/* Reads a whole number without sign. */
bool text_number(const char *text, int64_t *ret_number);

enum { TEXT_DURATION_SIZE = 32, TEXT_TIME_SIZE = 72 };

/* "28 s", "4 min 12 s", "2 h 5 min", "3 d 4 h"; of less than a second "0.4 s". Negative counts as
 * its opposite. */
void text_from_duration(int64_t ms, char buffer[TEXT_DURATION_SIZE]);

/* As an option would be written: "30s", "1500ms", "7d". */
void text_as_option(int64_t ms, char buffer[TEXT_DURATION_SIZE]);

/* RFC 3339, UTC, milliseconds: 2026-03-01T10:00:00.000Z. False where the year does not have four
 * digits. */
bool text_time(int64_t at_ms, char buffer[TEXT_TIME_SIZE]);

/* Whether this character is invisible, or moves other characters: control characters, marks of
 * writing direction, zero width, tags, variation selectors, line separators, surrogates. */
bool text_misleads(uint32_t character);

/* A copy without misleading characters: such characters, and bytes that are not UTF-8, are shown as
 * \n, \x1b, \u202e, \U000e0001. `ret_width` (may be NULL): columns on a terminal. To be freed; NULL
 * when memory is out. Needs a UTF-8 LC_CTYPE. */
char *text_safe(const char *text, size_t *ret_width);

/* Cuts it, in place, to so many columns on a terminal. */
void text_cut(char *text, size_t columns);

/* The one of `names` (NULL at the end) that `word` was probably meant to be; NULL when none is
 * near. */
const char *text_nearest(const char *word, const char *const *names);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Commands in messages: what a person pastes into a shell has to work there as it stands. */
#ifndef LH_SHELL_H
#define LH_SHELL_H

#include <stdbool.h>
#include <stddef.h>

/* The longest names fit: a database of 63 bytes, and a collection and an index of 127. */
enum { LH_CALL_ROOM = 448, LH_WORD_ROOM = 320 };

/* Calls for the MongoDB shell, which name the database: the shell may be in another one. "" where
 * they do not fit. */
void lh_shell_drop_index(const char *db, const char *collection, const char *index,
                         char call[LH_CALL_ROOM]);
void lh_shell_warn_only(const char *db, const char *collection, char call[LH_CALL_ROOM]);

/* `before`, and the word, quoted for a POSIX shell. False: it does not fit, and `to` is "". */
bool lh_shell_quote(const char *before, const char *word, char *to, size_t size);

/* A key so, behind `--` where it could be taken for an option. "KEY" where it does not fit. */
void lh_shell_key(const char *key, char word[LH_WORD_ROOM]);

#endif

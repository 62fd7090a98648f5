/* SPDX-License-Identifier: Apache-2.0
 * Names: of databases, collections, sets, programs and people. Pure.
 *
 * A name with a line feed at its end is another name, and looks the same: two programs, two
 * databases, two holders of one key. So a name with white space is refused here, and never
 * changed: a program may use the name that it gives for its own commands too. What reads names
 * from a file, a variable or a command line takes the white space off first: lh_trim(). */
#ifndef LH_NAME_H
#define LH_NAME_H

#include "base/key.h"

/* LH_OK: `name` is 1 to `max` bytes of UTF-8 without control characters and white space.
 * LH_INVALID: `what` ("database name") is in the sentence. */
int lh_name_check(const char *what, const char *name, size_t max, lh_error *error);

/* The same for the name of a person or a program that holds leases: blanks (U+0020) between its
 * words are allowed, as people have several ("Ann Lee", "worker 7"). */
int lh_owner_check(const char *what, const char *owner, lh_error *error);

/* The same for a database, with MongoDB's own limits. */
int lh_database_check(const char *what, const char *name, lh_error *error);

/* … and for a collection, with MongoDB's own limits. */
int lh_collection_check(const char *what, const char *name, size_t max, lh_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Names of databases, collections, sets, programs and people. Pure.
 *
 * A name with a line feed at its end is a different name that looks the same. It would lead to two
 * programs, two databases, or two holders of one key. So a name with white space is refused here.
 * It is never changed, because the program may use the name in its own commands too. Code that
 * reads names from a file, a variable or a command line removes the white space first:
 * lh_trim(). */
#ifndef LH_NAME_H
#define LH_NAME_H

#include "base/key.h"

/* LH_OK if `name` is 1 to `max` bytes of UTF-8 without control characters and white space.
 * Otherwise LH_INVALID, and the message names `what` ("database name"). */
int lh_name_check(const char *what, const char *name, size_t max, lh_error *error);

/* The same for the name of a person or program that holds leases. Spaces (U+0020) between words are
 * allowed, as in "Ann Lee" or "worker 7". */
int lh_owner_check(const char *what, const char *owner, lh_error *error);

/* The same for a database, with MongoDB's own limits. */
int lh_database_check(const char *what, const char *name, lh_error *error);

/* The same for a collection, with MongoDB's own limits. */
int lh_collection_check(const char *what, const char *name, size_t max, lh_error *error);

#endif

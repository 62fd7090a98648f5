/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and names.
 *
 * A key is 1 to 1,024 bytes of UTF-8 without control characters (U+0000–U+001F, U+007F–U+009F). It
 * names the thing that is worked on. It does not name the worker or the kind of work. Programs that
 * share things should agree on their keys:
 *
 *   project:{id}              a project and everything in it: lh_key_join("project", id)
 *   root:{provider}:{root}    an external place, by its provider's name for it:
 *                             lh_key_join("root", "github", "org/repo")
 *   {entity}:{id}             anything else that has an id: document:7, job:nightly
 *
 * For things that contain each other, use path keys (the option `path` of lh_acquire()): a lease on
 * org excludes leases on org/project, and the reverse. For things side by side, use
 * lh_acquire_many(). Things that are always worked on together need only one key. Keys are stored
 * and shown to operators: put no secrets in them. */
#ifndef LEASEHOLD_KEY_H
#define LEASEHOLD_KEY_H

#include <leasehold/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LH_KEY_MAX 1024 /* bytes of a key, at least 1 */

/* Checks a key, which need not be NUL-terminated.
 *
 * LH_OK: it is a key. LH_INVALID: the message describes the fault and the byte where it is. */
LH_API int lh_key_check(const char *key, size_t key_len, lh_error *error);

/* Joins `n` parts to a key: "project" and "42" give project:42. A ':' or '%' inside a part becomes
 * %3A or %25, so different parts never give the same key.
 *
 * LH_OK: free *ret_key with lh_string_free(). LH_INVALID: there is no part, a part is empty, or the
 * result is not a key. LH_MEMORY. */
LH_API int lh_key_join(const char *const *parts, size_t n, char **ret_key, lh_error *error);

/* A name with a line feed or a blank at its end looks like another name: two programs would use two
 * databases, or one key would seem to have two holders. So every name that a program sets (db,
 * collection, audit, archive, owner, app_name, and the names in the connection string) is refused
 * if it has white space or control characters in it or around it: LH_INVALID, or LH_CONFIG for the
 * connection string. Only an owner may have blanks (U+0020) between words: "Ann Lee". The library
 * never changes a name, because the program may use it in commands of its own. The command line
 * trims its options and variables. A program that reads a name from a file or a variable can trim
 * it with this function.
 *
 * Returns the start, within `text`, of the text without the white space around it. White space here
 * is Unicode's, and the invisible U+180E, U+200B, U+2060 and U+FEFF. *ret_len is its length in
 * bytes, 0 if nothing is left. */
LH_API const char *lh_trim(const char *text, size_t *ret_len);

#ifdef __cplusplus
}
#endif

#endif

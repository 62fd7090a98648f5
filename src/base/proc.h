/* SPDX-License-Identifier: Apache-2.0
 * Identifies this process by a text that no other process has, on any host or after any boot.
 * Checks whether a process with such a text is dead. */
#ifndef LH_PROC_H
#define LH_PROC_H

#include <stdbool.h>
#include <stddef.h>

/* "<boot id>/<pid namespace>/<time namespace>/<pid>/<start time>": 16 hexadecimal digits and four
 * numbers. */
enum { LH_PROC_ROOM = 96 };

/* The text of this process. "" if the system does not provide all parts. */
void lh_proc_self(char text[LH_PROC_ROOM]);

/* The length of the part "<boot id>/…/<time namespace>/", which must be equal for two processes to
 * be comparable. 0: not such a text. */
size_t lh_proc_place(const char *text);

/* Whether the process `text` is surely dead. Only possible for a process of the same boot and
 * namespaces as `self` (lh_proc_self()). False for all others, and if it cannot be found out. */
bool lh_proc_is_dead(const char *self, const char *text);

#endif

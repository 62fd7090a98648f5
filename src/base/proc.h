/* SPDX-License-Identifier: Apache-2.0
 * Which process this is, in a form that no other process on any host or boot has; and whether one
 * of that form is dead. */
#ifndef LH_PROC_H
#define LH_PROC_H

#include <stdbool.h>
#include <stddef.h>

/* "<boot id>/<pid namespace>/<time namespace>/<pid>/<start time>": 16 hexadecimal digits and four
 * numbers. */
enum { LH_PROC_ROOM = 96 };

/* This process. "" where the system does not tell all of it. */
void lh_proc_self(char text[LH_PROC_ROOM]);

/* The length of its part that all processes have that may be compared with it, "<boot id>/…/<time
 * namespace>/"; 0: it is no such text. */
size_t lh_proc_place(const char *text);

/* Is it surely dead? Only of a process of the same boot and namespaces as `self` (lh_proc_self()):
 * false of all others, and of whatever cannot be found out. */
bool lh_proc_is_dead(const char *self, const char *text);

#endif

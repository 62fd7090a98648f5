/* SPDX-License-Identifier: Apache-2.0
 * Walking the index key by key and moving what does not stay: in pieces, each read by one command
 * that may be repeated, and the next one begins at the last key of the one before. */
#ifndef LH_MIGRATE_DEDUPE_H
#define LH_MIGRATE_DEDUPE_H

#include "migrate/migrate_parts.h"

/* Walks the index and moves what does not stay. */
int lh_migrate_dedupe(lh_migration *m, lh_walk *ret_walk, lh_error *error);

#endif

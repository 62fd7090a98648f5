/* SPDX-License-Identifier: Apache-2.0
 * Walks the index key by key, and moves the documents that do not stay. */
#ifndef LH_MIGRATE_DEDUPE_H
#define LH_MIGRATE_DEDUPE_H

#include "migrate/migrate_parts.h"

/* Walks m->index to its end. LH_OK also if documents changed meanwhile (ret_walk->left). */
int lh_migrate_dedupe(lh_migration *m, lh_walk *ret_walk, lh_error *error);

#endif

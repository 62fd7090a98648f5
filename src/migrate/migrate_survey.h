/* SPDX-License-Identifier: Apache-2.0
 * Counting what a migration would find, without changing anything: one cursor over everything,
 * sorted by the key, one group in memory at a time. */
#ifndef LH_MIGRATE_SURVEY_H
#define LH_MIGRATE_SURVEY_H

#include "migrate/migrate_parts.h"

/* Reads all documents, sorted, and counts; tells verdicts when `tell`. */
int lh_migrate_survey(lh_migration *m, bool tell, lh_walk *ret_walk, lh_error *error);

/* Begins a walk: nothing was seen yet. */
void lh_walk_begin(lh_migration *m, lh_walk *walk);

/* Are the group's documents of this key? */
bool lh_group_has_key(const lh_group *group, const char *key, uint32_t len);

#endif

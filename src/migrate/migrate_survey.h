/* SPDX-License-Identifier: Apache-2.0
 * Counts what a migration would find, and changes nothing. One cursor reads all documents, sorted
 * by the key; one group at a time is in memory. */
#ifndef LH_MIGRATE_SURVEY_H
#define LH_MIGRATE_SURVEY_H

#include "migrate/migrate_parts.h"

/* Reads all documents, sorted, and counts them. `verdicts`: reports verdicts. */
int lh_migrate_survey(lh_migration *m, bool verdicts, lh_walk *ret_walk, lh_error *error);

/* Resets the counts at the start of a walk. */
void lh_walk_begin(lh_migration *m, lh_walk *walk);

/* Whether the group's documents have this key. */
bool lh_group_has_key(const lh_group *group, const char *key, uint32_t len);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Moving judged documents out of the collection, so that nothing is lost whenever we are killed:
 * 1. */
#ifndef LH_MIGRATE_MOVE_H
#define LH_MIGRATE_MOVE_H

#include "migrate/migrate_parts.h"

/* Moves them: LH_OK also when some had changed since (walk->left). */
int lh_migrate_move(lh_migration *m, const lh_loser *losers, size_t n, lh_walk *walk,
                    lh_error *error);

#endif

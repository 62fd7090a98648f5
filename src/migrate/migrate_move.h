/* SPDX-License-Identifier: Apache-2.0
 * Moves judged documents out of the collection, so that nothing is lost if the process is
 * killed. */
#ifndef LH_MIGRATE_MOVE_H
#define LH_MIGRATE_MOVE_H

#include "migrate/migrate_parts.h"

/* Moves the documents. LH_OK also if some had changed since they were judged (walk->left). */
int lh_migrate_move(lh_migration *m, const lh_loser *losers, size_t n, lh_walk *walk,
                    lh_error *error);

#endif

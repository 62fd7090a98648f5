/* SPDX-License-Identifier: Apache-2.0
 * What the index was like before the migration, and putting it back. */
#ifndef LH_MIGRATE_UNDO_H
#define LH_MIGRATE_UNDO_H

#include "migrate/migrate_parts.h"

/* Under the lease, before the first change: chooses the index to convert (m->index), and stores
 * what it is like. *ret_there: it is there, or else it is to be created. */
int lh_migrate_choose(lh_migration *m, bool *ret_there, lh_error *error);

/* The migration was refused: puts the index back as it was before, unless another migrator is at
 * work. */
int lh_migrate_undo(lh_migration *m, lh_error *error);

/* The name of the index that is unique and on the key, into m->index. LH_LOST: there is none. */
int lh_migrate_name_index(lh_migration *m, lh_error *error);

#endif

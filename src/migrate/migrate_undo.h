/* SPDX-License-Identifier: Apache-2.0
 * Records the state of the index before the migration, and restores it. */
#ifndef LH_MIGRATE_UNDO_H
#define LH_MIGRATE_UNDO_H

#include "migrate/migrate_parts.h"

/* Under the lease, before the first change: chooses the index to convert (m->index), and stores its
 * state. *ret_there is false if the index has to be created. */
int lh_migrate_choose(lh_migration *m, bool *ret_there, lh_error *error);

/* After a refusal: restores the index, unless another process is migrating. */
int lh_migrate_undo(lh_migration *m, lh_error *error);

/* Sets m->index to the name of the unique index on the key. LH_LOST: there is none. */
int lh_migrate_name_index(lh_migration *m, lh_error *error);

#endif

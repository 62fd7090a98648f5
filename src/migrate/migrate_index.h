/* SPDX-License-Identifier: Apache-2.0
 * The migration's commands about the collection and its index: create the index, prepare it, make
 * it unique. */
#ifndef LH_MIGRATE_INDEX_H
#define LH_MIGRATE_INDEX_H

#include "migrate/migrate_parts.h"

/* Creates the index. *ret_there: it existed already. LH_LOST: another index was created at the same
 * time. With `unique`, a duplicate is LH_SERVER with server_code LH_MONGO_DUPLICATE_KEY. */
int lh_migrate_create(lh_migration *m, bool unique, bool *ret_there, lh_error *error);

/* Call it after LH_LOST from creating a plain index. LH_CONFIG: the message names an index on the
 * key that cannot be made unique. LH_LOST: there is no such index. */
int lh_migrate_fail_moved(lh_migration *m, lh_error *error);

/* After this the server refuses new duplicates. LH_LOST: the index is gone. */
int lh_migrate_prepare(lh_migration *m, lh_error *error);

/* Makes the index unique. *ret_done is false if duplicates are left. LH_LOST: the index is gone, or
 * not prepared. */
int lh_migrate_make_unique(lh_migration *m, bool *ret_done, lh_error *error);

/* Sets m->total to the collection's own count. */
void lh_migrate_count(lh_migration *m);

#endif

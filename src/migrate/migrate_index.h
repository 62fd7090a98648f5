/* SPDX-License-Identifier: Apache-2.0
 * The migration's commands about the collection and its index: what kind of collection it is,
 * creating the index, preparing it, making it unique. */
#ifndef LH_MIGRATE_INDEX_H
#define LH_MIGRATE_INDEX_H

#include "migrate/migrate_parts.h"

/* Creates the index. *ret_there: it was there before. LH_LOST: another one came in between. With
 * `unique` a duplicate is LH_SERVER with server_code LH_CODE_DUPLICATE_KEY. */
int lh_migrate_create(lh_migration *m, bool unique, bool *ret_there, lh_error *error);

/* After LH_LOST from creating a plain index: LH_CONFIG names one on the key that cannot be made
 * unique; else LH_LOST. */
int lh_migrate_fail_moved(lh_migration *m, lh_error *error);

/* From here on the server refuses new duplicates. LH_LOST: the index is gone. */
int lh_migrate_prepare(lh_migration *m, lh_error *error);

/* Makes the index unique. *ret_done: false when duplicates are left. LH_LOST: the index is gone or
 * not prepared. */
int lh_migrate_make_unique(lh_migration *m, bool *ret_done, lh_error *error);

/* m->total, from the collection's own count. */
void lh_migrate_count(lh_migration *m);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Under the migration lease: from a collection with documents, or an index that an interrupted run
 * left, to the unique index. */
#ifndef LH_MIGRATE_CONVERT_H
#define LH_MIGRATE_CONVERT_H

#include "migrate/migrate_parts.h"

/* what is done under the migration lease. *ret_index: LH_INDEX_… */
int lh_migrate_convert(lh_migration *m, int *ret_index, lh_error *error);

/* The unique index is there: moves what cannot be read to the archive. */
int lh_migrate_clear(lh_migration *m, lh_error *error);

#endif

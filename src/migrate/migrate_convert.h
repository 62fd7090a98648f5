/* SPDX-License-Identifier: Apache-2.0
 * The steps under the migration lease: from a collection with documents, or with the index of an
 * interrupted run, to the unique index. */
#ifndef LH_MIGRATE_CONVERT_H
#define LH_MIGRATE_CONVERT_H

#include "migrate/migrate_parts.h"

/* Converts, or creates, the unique index. *ret_index: LH_INDEX_… */
int lh_migrate_convert(lh_migration *m, int *ret_index, lh_error *error);

/* Moves the documents that cannot be read to the archive, when the unique index exists. */
int lh_migrate_clear(lh_migration *m, lh_error *error);

#endif

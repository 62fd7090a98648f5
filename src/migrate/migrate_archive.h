/* SPDX-License-Identifier: Apache-2.0
 * The archive. An entry is {_id: {id, hash}, document, reason, survivor, at, deleted}. */
#ifndef LH_MIGRATE_ARCHIVE_H
#define LH_MIGRATE_ARCHIVE_H

#include "migrate/migrate_parts.h"
#include "migrate/migrate_slice.h"

/* Marks the entries whose documents an interrupted run deleted without marking them. */
int lh_migrate_settle(lh_migration *m, lh_error *error);

/* Inserts the whole documents into the archive. */
int lh_archive_insert(lh_migration *m, const lh_slice *s, lh_error *error);

/* Marks their entries as deleted. */
int lh_archive_mark(lh_migration *m, const lh_slice *s, lh_error *error);

#endif

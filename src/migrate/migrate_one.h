/* SPDX-License-Identifier: Apache-2.0
 * One document that cannot be read, named by its _id, goes to the archive; nothing else is
 * touched. */
#ifndef LH_MIGRATE_ONE_H
#define LH_MIGRATE_ONE_H

#include "migrate/migrate_parts.h"

/* options->id */
int lh_migrate_one(lh_migration *m, lh_error *error);

#endif

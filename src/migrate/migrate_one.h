/* SPDX-License-Identifier: Apache-2.0
 * Moves one unreadable document, named by its _id, to the archive, and changes nothing else. */
#ifndef LH_MIGRATE_ONE_H
#define LH_MIGRATE_ONE_H

#include "migrate/migrate_parts.h"

/* Moves the document named by options->id. */
int lh_migrate_one(lh_migration *m, lh_error *error);

#endif

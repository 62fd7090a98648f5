/* SPDX-License-Identifier: Apache-2.0
 * Documents that cannot be read, above all those whose workspace_id is no string: counting them. */
#ifndef LH_MIGRATE_FOREIGN_H
#define LH_MIGRATE_FOREIGN_H

#include "migrate/migrate_parts.h"

/* Of a document that cannot be read: counts it; is its end to come, or not known? */
void lh_migrate_count_unreadable(lh_migration *m, const bson_t *document);
bool lh_migrate_is_unreadable(const bson_t *document);
bool lh_migrate_is_live(const lh_migration *m, const bson_t *document);

/* Of documents without a string key, in the order of their keys: compares with the last one (empty:
 * none), and keeps it. */
void lh_foreign_neighbour(lh_migration *m, bson_t *last, const bson_t *document);

#endif

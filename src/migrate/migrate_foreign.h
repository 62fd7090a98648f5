/* SPDX-License-Identifier: Apache-2.0
 * Counts documents that cannot be read, in particular those whose workspace_id is not a string. */
#ifndef LH_MIGRATE_FOREIGN_H
#define LH_MIGRATE_FOREIGN_H

#include "migrate/migrate_parts.h"

/* Adds a document that cannot be read to the counts of the report. */
void lh_migrate_count_unreadable(lh_migration *m, const bson_t *document);

bool lh_migrate_is_unreadable(const bson_t *document);

/* Whether the document's end is in the future, or not known. */
bool lh_migrate_is_live(const lh_migration *m, const bson_t *document);

/* Call it for each document without a string key, in the order of their keys. Counts the document
 * in m->blocking if it has the same key as `last` (empty: none), and replaces `last` by it. */
void lh_foreign_neighbour(lh_migration *m, bson_t *last, const bson_t *document);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The look before the migration: what is there, and whether it is refused, because it would harm
 * documents or their owners. */
#ifndef LH_MIGRATE_LOOK_H
#define LH_MIGRATE_LOOK_H

#include "migrate/migrate_parts.h"

/* Looks at the documents, without changing anything, and refuses what is to be refused (LH_CONFIG,
 * with the sentence); duplicates are only counted, where all documents are looked at. */
int lh_migrate_look(lh_migration *m, bool tell, lh_walk *ret_walk, lh_error *error);

/* The server's clock, which decides what is live: lh_migrate_server_ms(). */
int lh_migrate_read_clock(lh_migration *m, lh_error *error);

/* The unique index is there: *ret_maybe is whether there may be documents without a string key. One
 * round trip. */
int lh_migrate_probe(lh_migration *m, bool *ret_maybe, lh_error *error);

/* The sentence for documents without a string workspace_id that stand in the way. */
int lh_migrate_fail_bad_keys(const lh_migration *m, lh_error *error);

#endif

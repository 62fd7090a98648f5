/* SPDX-License-Identifier: Apache-2.0
 * The checks before the migration: what the collection contains, and whether to refuse it because a
 * migration would harm documents or their owners. */
#ifndef LH_MIGRATE_LOOK_H
#define LH_MIGRATE_LOOK_H

#include "base/shell.h"
#include "migrate/migrate_parts.h"

/* Reads the documents, and changes nothing. LH_CONFIG: the migration is refused, and the message
 * gives the reason. Duplicates are not a reason; they are counted if all documents are read. With
 * `verdicts`, reads all documents and reports the verdicts too. */
int lh_migrate_look(lh_migration *m, bool verdicts, lh_walk *ret_walk, lh_error *error);

/* Reads the server's clock, by which documents are live or not, for lh_migrate_server_ms(). */
int lh_migrate_read_clock(lh_migration *m, lh_error *error);

/* Call it if the unique index exists. *ret_maybe: there may be documents without a string key. One
 * round trip. */
int lh_migrate_probe(lh_migration *m, bool *ret_maybe, lh_error *error);

/* LH_CONFIG: documents without a string workspace_id stand in the way of the index. */
int lh_migrate_fail_bad_keys(const lh_migration *m, lh_error *error);

/* The flags of this run that another one, which a message advises, needs as well. They begin with a
 * blank. */
enum { LH_FLAGS_ROOM = LH_WORD_ROOM + 32 };
const char *lh_migrate_flags(const lh_migration *m, char text[LH_FLAGS_ROOM]);

#endif

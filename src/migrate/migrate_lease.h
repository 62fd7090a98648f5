/* SPDX-License-Identifier: Apache-2.0
 * The migration's own lease: of many processes that boot at once, one works and the others wait. */
#ifndef LH_MIGRATE_LEASE_H
#define LH_MIGRATE_LEASE_H

#include "migrate/migrate_parts.h"

void lh_migrate_lease_init(lh_migration *m);

/* Takes the lease, or renews it: m->held says whether it is ours. LH_OK also when it is not. */
int lh_migrate_lease_ask(lh_migration *m, lh_error *error);

/* Between two batches: renews the lease when that is due. LH_LOST when it became somebody
 * else's. */
int lh_migrate_lease_keep(lh_migration *m, lh_error *error);

/* Reads it, and takes nothing: m->busy, m->undo. */
int lh_migrate_lease_look(lh_migration *m, lh_error *error);

/* Stores m->undo with it. LH_LOST when it became somebody else's. */
int lh_migrate_lease_note(lh_migration *m, lh_error *error);

/* Gives it back; when that fails it ends by itself. What is to be undone stays stored. */
void lh_migrate_lease_release(lh_migration *m);

/* The server's clock now, as far as the last answer tells. */
int64_t lh_migrate_server_ms(const lh_migration *m);

#endif

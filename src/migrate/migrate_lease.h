/* SPDX-License-Identifier: Apache-2.0
 * The migration's own lease: of many processes that start at once, one migrates and the others
 * wait. */
#ifndef LH_MIGRATE_LEASE_H
#define LH_MIGRATE_LEASE_H

#include "migrate/migrate_parts.h"

void lh_migrate_lease_init(lh_migration *m);

/* Takes the lease, or renews it. m->held reports whether this process holds it. LH_OK also if it
 * does not. */
int lh_migrate_lease_ask(lh_migration *m, lh_error *error);

/* Renews the lease if that is due; called between two batches. LH_LOST: another process took it. */
int lh_migrate_lease_keep(lh_migration *m, lh_error *error);

/* Reads the lease into m->busy and m->undo, without taking it. */
int lh_migrate_lease_look(lh_migration *m, lh_error *error);

/* Stores m->undo in the lease. LH_LOST: another process took it. */
int lh_migrate_lease_note(lh_migration *m, lh_error *error);

/* Releases the lease. If that fails, it ends by itself. An m->undo that is set stays stored. */
void lh_migrate_lease_release(lh_migration *m);

/* The server's clock now, extrapolated from its last reply. */
int64_t lh_migrate_server_ms(const lh_migration *m);

#endif

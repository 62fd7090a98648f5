/* SPDX-License-Identifier: Apache-2.0
 * One operation on one key: the short form of its command, and the whole one where that did not
 * settle it. */
#ifndef LH_LEASE_RUN_H
#define LH_LEASE_RUN_H

#include "lease/lease.h"

/* (lease_run.c) Runs `what` on the document of vars->key: with the short form first unless `whole`,
 * and with the whole form where the short one did not settle it. Whom it granted besides the asker
 * is told to the store's waiters. answer->reply is always initialised, and the caller's to
 * destroy. */
int lh_lease_run(lh_store *store, lh_do what, bool whole, const lh_vars *vars, lh_way way,
                 lh_answer *answer, lh_error *error);

/* (lease_run.c) The server's time in an answer (0: it has none), from which the store knows how far
 * that clock is ahead. The command was sent at `sent`, or later. */
int64_t lh_lease_hear_time(lh_store *store, const bson_t *document, int64_t sent);

#endif

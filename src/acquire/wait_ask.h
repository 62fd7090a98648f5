/* SPDX-License-Identifier: Apache-2.0
 * Asking again, and leaving: the waiters' commands that are sent one by one. */
#ifndef LH_WAIT_ASK_H
#define LH_WAIT_ASK_H

#include "acquire/wait.h"

/* One command for `w`, which is busy; and what follows from its answer. Takes nobody's
 * reference. */
void lh_wait_ask(lh_waiting *w, struct _mongoc_client_t *client);
/* The key's holder ends in so long: then the first of us asks. With the lock. */
void lh_wait_set_timer(lh_waiting *w, int64_t in_ms);
/* Leaves the queue, or releases; settles it with `outcome`, or with what went wrong. Called with
 * the lock, and unlocks it while the command runs. */
void lh_wait_leave(lh_waiting *w, int outcome, struct _mongoc_client_t *client);
/* The same with LH_BUSY and its sentence: the wait is over. */
void lh_wait_time_out(lh_waiting *w, struct _mongoc_client_t *client);

/* A part of the keeper's duty: asks for the waiters that are due. Returns when it is due again. */
int64_t lh_wait_asks(lh_store *store, struct _mongoc_client_t *client, int64_t now);

#endif

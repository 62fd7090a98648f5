/* SPDX-License-Identifier: Apache-2.0
 * A store's waiters, keeper and watcher from its opening to its end. */
#ifndef LH_WAIT_CLOSE_H
#define LH_WAIT_CLOSE_H

#include "acquire/wait.h"

/* Makes the store's part of this room: its waiters, its keeper and its watcher. LH_OK,
 * LH_MEMORY. */
int lh_wait_init(lh_store *store, lh_error *error);

/* Ends all waiting, joins the threads, and takes what is left in queues out of them. */
void lh_wait_stop(lh_store *store, int64_t deadline);

/* Frees it, with the store's last reference. */
void lh_wait_fini(lh_store *store);

#endif

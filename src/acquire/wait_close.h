/* SPDX-License-Identifier: Apache-2.0
 * A store's waiters, keeper and watcher from its opening to its end. */
#ifndef LH_WAIT_CLOSE_H
#define LH_WAIT_CLOSE_H

#include "acquire/wait.h"

/* For open.c: makes the store's waiters, its keeper and its watcher; ends all waiting and joins the
 * threads; takes what is left in queues out of them; and frees (with the store's last
 * reference). */
int lh_wait_init(lh_store *store, lh_error *error);
void lh_wait_stop(lh_store *store, int64_t deadline);

#endif

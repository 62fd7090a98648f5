/* SPDX-License-Identifier: Apache-2.0
 * Acquiring one lease: as a path, or as a key by itself; with its line in the trail, where there is
 * one. */
#ifndef LH_ACQUIRE_H
#define LH_ACQUIRE_H

#include "acquire/wait.h"

/* lh_acquire(), of a request that is checked, whatever the store's mode. */
int lh_core_acquire(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy);

/* lh_waiting_finish(), of a waiting of this process. */
int lh_core_finish(lh_waiting *w, lh_lease **ret_lease, lh_record **ret_busy, lh_error *error);

/* Logs what an acquire of `key` came to, of which LH_OK gives `lease`. Returns the outcome. */
int lh_acquire_log(lh_store *store, const char *key, lh_lease *lease, int64_t began_us, int outcome,
                   const lh_error *error);

#endif

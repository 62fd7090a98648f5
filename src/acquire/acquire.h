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

#endif

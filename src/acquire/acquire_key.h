/* SPDX-License-Identifier: Apache-2.0
 * Acquires one key: asks once, and waits if the caller asked for that. */
#ifndef LH_ACQUIRE_KEY_H
#define LH_ACQUIRE_KEY_H

#include "acquire/wait.h"

/* For a checked request whose wait ends at r->until. LH_OK: the lease is held and renewed.
 * LH_BUSY: *ret_busy (if not NULL) describes the holder. */
int lh_acquire_key(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy);

/* lh_acquire_start() for a checked request, in any rollout mode. */
int lh_acquire_begin(lh_request *r, lh_waiting **ret_waiting);

#endif

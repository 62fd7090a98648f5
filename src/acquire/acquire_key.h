/* SPDX-License-Identifier: Apache-2.0
 * Acquiring one key: asked for once, and waited for where the caller wants that. */
#ifndef LH_ACQUIRE_KEY_H
#define LH_ACQUIRE_KEY_H

#include "acquire/wait.h"

/* The request is checked, and its wait ends at r->until. LH_OK: the lease is held and kept.
 * LH_BUSY: *ret_busy (if not NULL) is what was seen. */
int lh_acquire_key(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy);

/* lh_acquire_start(), of a request that is checked, whatever the store's mode. */
int lh_acquire_begin(lh_request *r, lh_waiting **ret_waiting);

#endif

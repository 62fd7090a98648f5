/* SPDX-License-Identifier: Apache-2.0
 * Acquires one lease, of a path or of a single key, and writes its entry to the audit trail. */
#ifndef LH_ACQUIRE_H
#define LH_ACQUIRE_H

#include "acquire/wait.h"

/* lh_acquire() for a checked request, in any rollout mode. */
int lh_core_acquire(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy);

/* lh_waiting_finish() for a waiting of this process. */
int lh_core_finish(lh_waiting *w, lh_lease **ret_lease, lh_record **ret_busy, lh_error *error);

/* Logs the outcome of an acquire of `key`, and returns it. LH_OK: `lease` was acquired. */
int lh_acquire_log(lh_store *store, const char *key, lh_lease *lease, int64_t began_us, int outcome,
                   const lh_error *error);

#endif

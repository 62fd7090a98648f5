/* SPDX-License-Identifier: Apache-2.0
 *
 * Waiting: ending a wait from another thread, and waiting without a thread. */
#ifndef LEASEHOLD_WAIT_H
#define LEASEHOLD_WAIT_H

#include <leasehold/acquire.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a cancellation. Calls that have it among their options end when lh_cancel_now() is called,
 * or at once if it was called before.
 *
 * LH_OK: free *ret_cancel with lh_cancel_free() once no call uses it. LH_INVALID. LH_MEMORY: no
 * memory or no file descriptor is left. */
LH_API int lh_cancel_new(lh_cancel **ret_cancel, lh_error *error);
LH_API void lh_cancel_now(lh_cancel *cancel);
LH_API void lh_cancel_free(lh_cancel *cancel);

/* Starts an acquire and returns without waiting for its end: it sends the first command as
 * lh_acquire() does. After that, a waiter is an entry in a table of the store and needs no thread.
 * `wait_ms` counts from here. `cancel` and `feedback` are used in lh_waiting_finish(), and must
 * live until it, or lh_waiting_cancel(), returns.
 *
 * LH_OK: end *ret_waiting with exactly one of lh_waiting_finish() and lh_waiting_cancel(), also
 * after the store was closed. It may be settled already; lh_waiting_finish() returns the server's
 * reply. LH_INVALID, LH_FORKED, LH_CLOSED, LH_MEMORY: no command was sent. */
LH_API int lh_acquire_start(lh_store *store, const char *key, const lh_acquire_options *options,
                            lh_waiting **ret_waiting, lh_error *error);

/* A descriptor for poll() that becomes readable when the wait is settled. Do not read or close it;
 * it lives as long as `waiting`. -1: no file descriptor is left; lh_waiting_finish() works without
 * it. */
LH_API int lh_waiting_fd(lh_waiting *waiting);

/* Returns the result as lh_acquire() does, and waits for it if the wait is not settled. Frees
 * `waiting` on every outcome but LH_FORKED. */
LH_API int lh_waiting_finish(lh_waiting *waiting, lh_lease **ret_lease, lh_record **ret_busy,
                             lh_error *error);

/* Leaves the queue, or releases a lease that was granted meanwhile, with one command. Frees
 * `waiting` on every outcome but LH_FORKED. NULL is allowed and does nothing.
 *
 * LH_OK: nothing is held. LH_UNKNOWN, LH_UNREACHABLE, LH_SERVER: the command is sent again in the
 * background; the place in the queue, or an unclaimed grant, ends after claim_ms at the latest. Any
 * other outcome of the wait: as from lh_waiting_finish(). */
LH_API int lh_waiting_cancel(lh_waiting *waiting, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Acquiring the leases on several keys, all or nothing. */
#ifndef LEASEHOLD_MANY_H
#define LEASEHOLD_MANY_H

#include <leasehold/acquire.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LH_MANY_MAX 1000 /* keys in one lh_acquire_many() */

/* Acquires the leases on `n` keys, 1 … LH_MANY_MAX, in any order: all or none. Callers with
 * overlapping keys cannot deadlock, because the library acquires keys in one fixed order and
 * releases all of them when one is not granted. The options apply to each key; `lease_id` must be
 * NULL, and each key may be given only once. A hundred free keys cost two round trips; each key
 * that others wait for or share costs one to three more.
 *
 * With `wait_ms`, which counts for all keys together, the caller waits in the queue of the first
 * key that is not free. It holds the keys before that one and renews them, also with `by_hand`,
 * until the call returns; on_lost may then name one of them. `path` is allowed only without
 * waiting, because two callers that hold some of the paths would wait for each other.
 *
 * LH_OK: ret_leases[i] is the lease on keys[i]; each is renewed, released and freed on its own. On
 * any other outcome nothing is held, and ret_leases is untouched.
 * LH_BUSY: if `ret_busy` is not NULL, *ret_busy describes the first key that was not granted.
 * LH_LOST: one lease ended while the others were acquired.
 * LH_UNKNOWN: the server may have granted some and did not reply; do not rely on them. They are
 *   released when the store is closed; otherwise they end with their ttl.
 * LH_INVALID: the message names the key. Otherwise as lh_acquire(). The call may take twice
 * `timeout_ms`, because it releases what it acquired. */
LH_API int lh_acquire_many(lh_store *store, const char *const *keys, size_t n,
                           const lh_acquire_options *options, lh_lease **ret_leases,
                           lh_record **ret_busy, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif

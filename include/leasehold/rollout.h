/* SPDX-License-Identifier: Apache-2.0
 *
 * Rolling leases out: switching them on step by step, and off at once. leasehold-upgrade(7) lists
 * the steps.
 *
 * A store has a mode, set by its option `rollout`:
 *
 * LH_ENFORCE: leases exclude each other.
 *
 * LH_OBSERVE: every command is sent and recorded as in LH_ENFORCE, but no call is refused and no
 * call waits. If an acquire, a renewal, a release or a transfer would fail (busy, lost,
 * unreachable, a missing index or privilege), the failure is counted and the call returns LH_OK. If
 * the server does not respond, no call takes longer than LH_OBSERVE_MS. Leases that are granted are
 * stored, so they exclude programs that enforce and programs without Leasehold.
 *
 * LH_OFF: no command is sent for a lease, or when the store is opened. No server, no index and no
 * `uri` is needed.
 *
 * In LH_OBSERVE and LH_OFF a lease is not enforced (lh_lease_enforced()): it stays valid until it
 * is released, `on_lost` is not called, and guard and fence let it pass. If the server did not
 * grant it, its token is 0; a program that compares tokens itself lets such a lease pass too.
 * Wrong arguments are still LH_INVALID. lh_status(), lh_list(), lh_watch(), lh_migrate(),
 * lh_cleanup(), lh_break() and lh_doctor() work the same in every mode. */
#ifndef LEASEHOLD_ROLLOUT_H
#define LEASEHOLD_ROLLOUT_H

#include <leasehold/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    LH_ENFORCE = 0,
    LH_OBSERVE = 1,
    LH_OFF = 2,
    /* The variable LEASEHOLD_MODE decides when the store is opened: enforce (also if it is not
     * set), observe, or off. Any other value is LH_INVALID. */
    LH_BY_ENVIRONMENT = 3,
};
#define LH_OBSERVE_MS 1000

/* "enforce", "observe" or "off"; "" for any other number. */
LH_API const char *lh_rollout_word(int rollout);

/* Counts of what LH_OBSERVE and LH_OFF let pass since the store was opened. All counters are 0 in a
 * store that enforces. */
typedef struct lh_observed {
    size_t size;
    int rollout;        /* LH_ENFORCE, LH_OBSERVE or LH_OFF */
    uint64_t granted;   /* acquired keys that LH_ENFORCE would have granted; they were recorded */
    uint64_t contended; /* acquired keys that would have been busy, or would have waited */
    uint64_t failed;    /* other calls that would have failed: unreachable, denied, no index */
    /* leases that ended before their release, or that were missing at a renewal */
    uint64_t lost;
    uint64_t skipped; /* LH_OFF: acquired keys for which no command was sent */
} lh_observed;

#define LH_OBSERVED_INIT                                                                           \
    {                                                                                              \
        sizeof(lh_observed), 0, 0, 0, 0, 0, 0                                                      \
    }
LH_API void lh_observed_init(lh_observed *observed, size_t size);

/* LH_OK: *ret_observed is filled. LH_INVALID, LH_FORKED. No command is sent. */
LH_API int lh_store_observed(lh_store *store, lh_observed *ret_observed, lh_error *error);

/* Whether the lease excludes others. False in a store that observes or is off: then others may work
 * on the same thing, and no call reports the end of the lease. */
LH_API bool lh_lease_enforced(const lh_lease *lease);

/* The error that lh_acquire() would have returned in LH_ENFORCE (the key was busy, or a failure);
 * it belongs to the lease. NULL: the lease was granted, or no command was sent (LH_OFF). A lease
 * with a refusal is not stored: its renewal, release and transfer do nothing and return LH_OK. */
LH_API const lh_error *lh_lease_refusal(const lh_lease *lease);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A lease that is held: its validity, renewal, release and transfer. */
#ifndef LEASEHOLD_LEASE_H
#define LEASEHOLD_LEASE_H

#include <leasehold/record.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether the holder may still work: true until the local deadline. The deadline is the time when
 * the command that granted or last renewed the lease was sent, plus the ttl (or the longer time
 * that the reply shows to be left), minus an allowance for drift of a thousandth of that and 2 ms.
 * The clock is CLOCK_BOOTTIME, which continues while the machine sleeps. No command is sent. Once
 * the deadline has passed, the result stays false. */
LH_API bool lh_lease_valid(const lh_lease *lease);

/* Milliseconds until the local deadline; 0 once it has passed. */
LH_API int64_t lh_lease_remaining_ms(const lh_lease *lease);

/* A descriptor for poll() that becomes readable when the lease is lost: as soon as the library
 * knows, and at the local deadline in any case, even if all other threads of the process hang. It
 * never becomes readable after a release. Do not read or close it; it lives as long as the handle.
 * -1: no file descriptor is left. */
LH_API int lh_lease_lost_fd(lh_lease *lease);

/* Extends the lease to the later of its present end and now + ttl_ms (0: the ttl with which it was
 * acquired or last renewed). One command. It never shortens a lease, never revives one that has
 * ended, and never changes the token (invariant 4).
 *
 * LH_OK: lh_lease_remaining_ms() and lh_lease_expires_at_ms() give the end that is stored now.
 * LH_LOST: the lease has ended for good; stop the work. If `ret_record` is not NULL, *ret_record
 *   describes the present holder, or is NULL if the server could not be asked.
 * LH_UNREACHABLE: it may not have been extended. The lease stays valid until
 *   lh_lease_remaining_ms() is 0; try again.
 * LH_INVALID, LH_DATA, LH_DENIED, LH_SERVER, LH_FORKED. */
LH_API int lh_lease_renew(lh_lease *lease, int64_t ttl_ms, lh_record **ret_record, lh_error *error);

/* Releases the lease; lh_lease_valid() is false from the start of the call. One command, which also
 * grants the key to the head of the queue. The release of a lease that was released
 * before, or has ended, is LH_OK as long as the key was not granted again.
 *
 * LH_LOST: the key has another holder; nothing was changed. LH_UNKNOWN: the command was sent and
 * the reply was lost. It is sent again in the background, and the lease ends with its ttl at the
 * latest. LH_UNREACHABLE: certainly not released. LH_INVALID, LH_DATA, LH_DENIED, LH_SERVER,
 * LH_FORKED. */
LH_API int lh_lease_release(lh_lease *lease, lh_error *error);

/* Hands the lease on to `to_owner`, ahead of the queue. One command ends this lease and grants the
 * key under a new lease id, with the full ttl and a higher token. The recipient of the id holds the
 * lease after lh_lease_attach() and a first lh_lease_renew(); until then nobody does.
 * lh_lease_valid() is false from the start of the call. The transfer leaves no note; the caller can
 * pass a text on together with the id.
 *
 * LH_OK: ret_lease_id is the new id. LH_LOST: the lease had ended; nothing was changed. LH_UNKNOWN:
 * the command was sent and the reply was lost. error->lease_id names the new lease, which ends with
 * its ttl if nobody renews it. LH_UNREACHABLE: certainly not handed on; release the lease or let it
 * end. LH_INVALID (to_owner must have 1–256 bytes), LH_DATA, LH_DENIED, LH_SERVER, LH_FORKED. */
LH_API int lh_lease_transfer(lh_lease *lease, const char *to_owner,
                             char ret_lease_id[LH_LEASE_ID_LEN + 1], lh_error *error);

/* Makes a handle on a lease that another process acquired, so that this process can continue with
 * the lease. No command is sent, and lh_lease_valid() is false until the first lh_lease_renew() has
 * succeeded. The keeper does not renew it before lh_lease_keep() is called. Freeing the handle does
 * not release the lease.
 *
 * LH_OK: free *ret_lease with lh_lease_free(). LH_INVALID, LH_FORKED, LH_MEMORY. */
LH_API int lh_lease_attach(lh_store *store, const char *key, const char *lease_id,
                           lh_lease **ret_lease, lh_error *error);

/* Gives the lease to the store's keeper. From then on it is like a lease that this store acquired
 * without `by_hand`: renewed at a third of its ttl, its loss reported to `on_lost`, released by
 * lh_store_close(). For a lease that was attached and renewed once, or that was acquired with
 * `by_hand`. No command is sent. A later lh_lease_renew() leaves the lease with the keeper.
 *
 * LH_OK, also if the keeper has it already. LH_LOST: it has ended. LH_INVALID: it was attached and
 * not yet renewed. LH_MEMORY: no thread or file descriptor is left. LH_CLOSED, LH_FORKED. */
LH_API int lh_lease_keep(lh_lease *lease, lh_error *error);

/* The fencing token: it strictly increases per key, over release, break, expiry, cleanup and
 * failover (invariant 2). 0 for an attached lease that was not renewed yet. Send the token along
 * with everything that is written under the lease. The receiver should refuse a token that is
 * smaller than one that it has seen. For data in MongoDB, mongo.h does that. */
LH_API int64_t lh_lease_token(const lh_lease *lease);
LH_API const char *lh_lease_key(const lh_lease *lease);
/* The lease id is a capability: with it, any process can renew and release the lease. */
LH_API const char *lh_lease_id(const lh_lease *lease);
/* The name with which it was acquired; "" of an attached lease: lh_status() has its owner. */
LH_API const char *lh_lease_owner(const lh_lease *lease);
LH_API int lh_lease_mode(const lh_lease *lease);
LH_API int64_t lh_lease_ttl_ms(const lh_lease *lease);
/* The end by the server's clock, as last reported by the server or computed from that; 0: not known
 * yet. */
LH_API int64_t lh_lease_expires_at_ms(const lh_lease *lease);

/* Frees the handle. The lease is not released: it ends with its ttl, unless a process attaches to
 * it by its id. A handle may be freed before or after its store is closed. NULL is allowed. */
LH_API void lh_lease_free(lh_lease *lease);

#ifdef __cplusplus
}
#endif

#endif

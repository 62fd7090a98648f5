/* SPDX-License-Identifier: Apache-2.0
 * Transferring a lease. */
#ifndef COMMON_TRANSFER_H
#define COMMON_TRANSFER_H

#include <leasehold/leasehold.h>

/* Renews the lease first, because only a certain holder may transfer it, and renews the new lease,
 * because nobody holds that until then. LH_OK: *ret_new is the new lease; free it. LH_UNKNOWN:
 * error->lease_id may be held. Otherwise as lh_lease_renew() and lh_lease_transfer(). */
int transfer_lease(lh_store *store, lh_lease *old, const char *to, lh_lease **ret_new,
                   lh_error *error);

#endif

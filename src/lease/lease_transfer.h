/* SPDX-License-Identifier: Apache-2.0
 * Handing a lease on: one command that ends it and grants the key to whom the holder says, past the
 * queue. */
#ifndef LH_LEASE_TRANSFER_H
#define LH_LEASE_TRANSFER_H

#include "lease/lease_held.h"

/* The operation itself, whatever the store's mode: lh_lease_transfer() without what calls.c checks
 * before it. */
int lh_core_transfer(lh_lease *lease, const char *to_owner, char ret_lease_id[LH_LEASE_ID_ROOM],
                     lh_error *error);

#endif

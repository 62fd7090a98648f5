/* SPDX-License-Identifier: Apache-2.0
 * Transfers a lease: one command ends it and grants the key to the receiver, past the queue. */
#ifndef LH_LEASE_TRANSFER_H
#define LH_LEASE_TRANSFER_H

#include "lease/lease_held.h"

/* lh_lease_transfer() in any rollout mode, without the checks of calls.c. */
int lh_core_transfer(lh_lease *lease, const char *to_owner, char ret_lease_id[LH_LEASE_ID_ROOM],
                     lh_error *error);

#endif

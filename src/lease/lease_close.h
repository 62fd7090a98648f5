/* SPDX-License-Identifier: Apache-2.0
 * Closes a store: releases the leases that it holds or may hold, as far as the time allows. */
#ifndef LH_LEASE_CLOSE_H
#define LH_LEASE_CLOSE_H

#include "lease/lease_held.h"

/* Releases all leases until the deadline, and forgets the rest. */
void lh_held_release_all(lh_store *store, int64_t deadline);

#endif

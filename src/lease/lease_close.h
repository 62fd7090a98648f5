/* SPDX-License-Identifier: Apache-2.0
 * Closing a store: what it holds, or may hold, is released, as far as the time allows. */
#ifndef LH_LEASE_CLOSE_H
#define LH_LEASE_CLOSE_H

#include "lease/lease_held.h"

/* Releases all, as long as the deadline allows, and forgets it. */
void lh_held_release_all(lh_store *store, int64_t deadline);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A lease's handle: its memory, counted, and what it tells without asking anybody. */
#ifndef LH_LEASE_HANDLE_H
#define LH_LEASE_HANDLE_H

#include "lease/lease_held.h"

/* A handle; the caller fills what an answer said. NULL: out of memory. */
lh_lease *lh_lease_new(lh_store *store, const char *key, const char *lease_id, const char *owner);

lh_lease *lh_lease_ref(lh_lease *lease);
void lh_lease_unref(lh_lease *lease);

/* The lease's lock, for what a forked child may call too: there it may be held for ever, by a
 * thread that only the parent has, so nothing is locked. False: that is so. */
bool lh_lease_lock(const lh_lease *lease);
void lh_lease_unlock(const lh_lease *lease, bool locked);

#endif

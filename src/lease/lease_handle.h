/* SPDX-License-Identifier: Apache-2.0
 * A lease's handle: its reference count, and the facts that need no command. */
#ifndef LH_LEASE_HANDLE_H
#define LH_LEASE_HANDLE_H

#include "lease/lease_held.h"

/* A new handle; the caller fills it from a reply. NULL: out of memory. */
lh_lease *lh_lease_new(lh_store *store, const char *key, const char *lease_id, const char *owner);

lh_lease *lh_lease_ref(lh_lease *lease);
void lh_lease_unref(lh_lease *lease);

/* The lease's lock, for functions that a forked child may call. In the child a thread that only
 * the parent has may hold it for ever, so nothing is locked there: false. */
bool lh_lease_lock(const lh_lease *lease);
void lh_lease_unlock(const lh_lease *lease, bool locked);

#endif

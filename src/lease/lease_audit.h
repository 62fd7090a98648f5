/* SPDX-License-Identifier: Apache-2.0
 * A lease is returned to its caller after its entry is in the trail. If the entry cannot be
 * written, the lease is given back. */
#ifndef LH_LEASE_AUDIT_H
#define LH_LEASE_AUDIT_H

#include "lease/lease_held.h"

/* Call it before a lease is returned to its caller. LH_OK: its entry is in the trail, or it
 * needs none. Else the lease was given back and freed. */
int lh_lease_acknowledge(lh_lease *lease, const char *purpose, lh_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A grant is acknowledged when its line is in the trail, and given back when it cannot be. */
#ifndef LH_LEASE_AUDIT_H
#define LH_LEASE_AUDIT_H

#include "lease/lease_held.h"

/* For whoever hands it out: LH_OK, it has its line in the trail, or needs none. Else it was given
 * back, and freed. */
int lh_lease_acknowledge(lh_lease *lease, const char *purpose, lh_error *error);

#endif

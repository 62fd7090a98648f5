/* SPDX-License-Identifier: Apache-2.0
 * Making a grant last. */
#ifndef COMMON_CLAIM_H
#define COMMON_CLAIM_H

#include <leasehold/leasehold.h>

/* A grant by another client's release is short until it is claimed. The library claims it too, in
 * the background; this function is for a caller that must know that it was claimed. LH_OK, or what
 * the renewal returned. */
int claim_lease(lh_lease *lease, lh_error *error);

#endif

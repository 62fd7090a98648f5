/* SPDX-License-Identifier: Apache-2.0
 * Making a grant last. */
#ifndef COMMON_CLAIM_H
#define COMMON_CLAIM_H

#include <leasehold/leasehold.h>

/* What somebody else's release granted lasts only until it is claimed. The library claims it too,
 * in the background; this is for a caller that must know that it was done. LH_OK, or what the
 * renewal returned. */
int claim_lease(lh_lease *lease, lh_error *error);

#endif

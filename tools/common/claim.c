/* SPDX-License-Identifier: Apache-2.0
 * Making a grant last. */
#include "common/claim.h"

int claim_lease(lh_lease *lease, lh_error *error)
{
    bool lasts = lh_lease_remaining_ms(lease) >
                 lh_lease_ttl_ms(lease) / 10 * 9; /* nearly all of its ttl is left */
    return lasts ? LH_OK : lh_lease_renew(lease, 0, NULL, error);
}

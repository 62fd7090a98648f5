/* SPDX-License-Identifier: Apache-2.0
 * A lease is returned to its caller after its entry is in the trail. If the entry cannot be
 * written, the lease is given back. */
#include "lease/lease_audit.h"

#include <string.h>

#include "base/error.h"
#include "lease/audit.h"
#include "lease/lease.h"
#include "lease/lease_held.h"

int lh_lease_acknowledge(lh_lease *lease, const char *purpose, lh_error *error)
{
    lh_store *store = lease->store;
    lh_error why = LH_ERROR_INIT;
    if (lease->in_trail || lease->absent)
        return LH_OK;
    lh_audit_grant grant = {.key = lease->key,
                            .owner = lease->owner,
                            .purpose = purpose,
                            .token = lh_lease_token(lease),
                            .mode = lease->mode};
    int outcome = lh_audit_granted(store, &grant, 1, &why);
    if (outcome == LH_OK && !lh_lease_believed(lease))
        outcome =
            lh_fail(&why, LH_REASON_TOO_LATE, "the lease ended before its audit entry was written");
    if (outcome == LH_OK) {
        lease->in_trail = true;
        return LH_OK;
    }
    if (lh_lease_give_back(lease, 0) != LH_OK) {
        outcome = lh_fail(error, LH_REASON_NOT_GIVEN_BACK,
                          "the audit entry of the lease could not be written, and the lease could "
                          "not be released: %.400s",
                          why.message);
        if (error)
            memcpy(error->lease_id, lease->id, LH_LEASE_ID_ROOM);
    } else {
        if (outcome == LH_UNKNOWN)
            outcome = LH_REASON_TIMED_OUT; /* of the entry, not of the lease */
        outcome =
            lh_fail(error, lh_error_reason(&why, outcome),
                    "the lease was released, because its audit entry could not be written: %.400s",
                    why.message);
    }
    lh_lease_free(lease);
    return outcome;
}

/* SPDX-License-Identifier: Apache-2.0
 * Transferring a lease. */
#include "common/transfer.h"

#include <stdio.h>
#include <string.h>

#include "common/out.h"

int transfer_lease(lh_store *store, lh_lease *old, const char *to, lh_lease **ret_new,
                   lh_error *error)
{
    char new_id[LH_LEASE_ID_LEN + 1];
    int code = lh_lease_renew(old, 0, NULL, error);
    if (code == LH_OK)
        code = lh_lease_transfer(old, to, new_id, error);
    if (code != LH_OK)
        return code;
    code = lh_lease_attach(store, lh_lease_key(old), new_id, ret_new, error);
    if (code == LH_OK)
        code = lh_lease_renew(*ret_new, 0, NULL, error);
    if (code == LH_OK)
        return code;
    char why[256];
    (void)snprintf(why, sizeof why, "%.250s", error->message);
    code = out_fail(error, LH_UNKNOWN,
                    "handed on, but the state of the new lease could not be read: %s", why);
    memcpy(error->lease_id, new_id, sizeof new_id);
    return code;
}

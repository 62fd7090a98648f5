/* SPDX-License-Identifier: Apache-2.0
 * What the caller's client says, in our outcomes. */
#ifndef LH_GUARD_ERROR_H
#define LH_GUARD_ERROR_H

#include "guard/guard.h"

/* What the server and the driver put into replies, to say what is worth a repetition. */
#define LH_LABEL_AGAIN "TransientTransactionError"
bool lh_guard_has_label(const bson_t *reply, const char *label);

/* An exclusive lease that is valid, of a store of this process. */
int lh_guard_check(const lh_lease *lease, lh_error *error);

/* A command of ours failed on the caller's client; `reply` is what the driver made of it. `what`:
 * "guard the key". LH_AGAIN, LH_DENIED, LH_CONFIG, LH_SERVER; LH_UNREACHABLE: surely not done;
 * LH_UNKNOWN: a write that may have been. */
int lh_guard_fail(const char *what, lh_guard_sent sent, const bson_t *reply,
                  const bson_error_t *why, lh_error *error);

/* Without writeConcernError, which the driver counts as success here and there. */
bool lh_guard_is_majority(const bson_t *reply);

#endif

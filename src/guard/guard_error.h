/* SPDX-License-Identifier: Apache-2.0
 * Translates errors of the caller's client to our outcomes. */
#ifndef LH_GUARD_ERROR_H
#define LH_GUARD_ERROR_H

#include "guard/guard.h"

/* The label that the server and the driver put into replies to errors after which a transaction may
 * be retried. */
#define LH_LABEL_AGAIN "TransientTransactionError"
bool lh_guard_has_label(const bson_t *reply, const char *label);

/* Checks that the lease is exclusive and valid, and its store of this process. */
int lh_guard_check(const lh_lease *lease, lh_error *error);

/* Reports that a command of ours failed on the caller's client. `reply` is the driver's reply.
 * `what` is what was attempted, such as "guard the key". LH_AGAIN, LH_DENIED, LH_CONFIG, LH_SERVER;
 * LH_UNREACHABLE: surely not done; LH_UNKNOWN: a write that may have been done. */
int lh_guard_fail(const char *what, lh_guard_sent sent, const bson_t *reply,
                  const bson_error_t *why, lh_error *error);

/* Whether the reply has no writeConcernError, which the driver sometimes counts as success. */
bool lh_guard_is_majority(const bson_t *reply);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Ends a wait from another thread, by a descriptor that stays readable. */
#ifndef LH_CANCEL_H
#define LH_CANCEL_H

#include "base/error.h"

/* Whether it was cancelled. False for NULL. */
bool lh_cancel_is_now(const lh_cancel *cancel);

/* For poll(); -1 for NULL. */
int lh_cancel_fd(const lh_cancel *cancel);

#endif

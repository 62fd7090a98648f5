/* SPDX-License-Identifier: Apache-2.0
 * Ending a wait from another thread: a descriptor that stays readable. */
#ifndef LH_CANCEL_H
#define LH_CANCEL_H

#include "base/error.h"

/* Was it told to end? False for NULL. */
bool lh_cancel_is_now(const lh_cancel *cancel);

/* For poll(); -1 for NULL. */
int lh_cancel_fd(const lh_cancel *cancel);

#endif

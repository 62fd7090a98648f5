/* SPDX-License-Identifier: Apache-2.0
 * Types that the guard and the fence share. */
#ifndef LH_GUARD_H
#define LH_GUARD_H

#include <leasehold/mongo.h>

#include "lease/lease.h"

/* What a failed command may have written. LH_SENT_NO_WRITE: nothing that stays. LH_SENT_WRITE: its
 * write, perhaps. LH_SENT_WRITE_AGAIN: the same, of a write that the driver may have sent twice.
 * The driver reports only the last attempt, so the first one may have been applied even if the last
 * one surely was not. */
typedef enum lh_guard_sent { LH_SENT_NO_WRITE, LH_SENT_WRITE, LH_SENT_WRITE_AGAIN } lh_guard_sent;

#endif

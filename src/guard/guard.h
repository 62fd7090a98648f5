/* SPDX-License-Identifier: Apache-2.0
 * What guard and fence have in common: who may use them, and what the caller's own client says. */
#ifndef LH_GUARD_H
#define LH_GUARD_H

#include <leasehold/mongo.h>

#include "lease/lease.h"

/* What a command that failed may have done: nothing, as it writes nothing that stays; or what it
 * was to write. A driver that sends a write again tells of its last attempt only: the one before
 * may have been applied, even where the last surely was not. */
typedef enum lh_guard_sent { LH_SENT_NO_WRITE, LH_SENT_WRITE, LH_SENT_WRITE_AGAIN } lh_guard_sent;

#endif

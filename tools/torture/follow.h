/* SPDX-License-Identifier: Apache-2.0
 * Follows the oplog while a run goes on, and writes what was committed as lines of its history:
 * however small the oplog is, as long as nothing is cut off at its beginning that was not read
 * yet. */
#ifndef TORTURE_FOLLOW_H
#define TORTURE_FOLLOW_H

#include "torture/history.h"
#include "torture/torture.h"

struct follow;

/* From the oplog's end on, in a thread and on a connection of its own. NULL: it may not be read. */
struct follow *follow_start(const struct torture *torture, const struct history *history);

/* To the end of what was committed when it is called. False: `error` says why. What is missing,
 * because it was cut off, is a line of the history too. Ends it in any case. */
bool follow_finish(struct follow *follow, lh_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The callers' own data: one document a key, that whoever holds it writes to by the fence. Each write adds its name to a list in it,
 * so that the document itself says which landed, and in which order. */
#ifndef TORTURE_WRITES_H
#define TORTURE_WRITES_H

#include "history.h"
#include "torture.h"

struct writes;

/* A client as an application has it, retryable writes and all. NULL: no memory. */
struct writes *writes_open(const struct torture *torture);
void writes_close(struct writes *writes);

/* A fenced write under the lease; `who` names the call. */
int writes_add(struct writes *writes, lh_lease *lease, const char *who);

/* Writes what landed as lines of the history, each key's in order. */
bool writes_tell(struct writes *writes, const struct history *history, lh_error *error);

#endif

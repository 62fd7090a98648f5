/* SPDX-License-Identifier: Apache-2.0
 * The callers' own data, that whoever holds a key writes to. By the fence: a document a key, each
 * write of which adds its name to a list in it, so that the document itself says which landed, and
 * in which order. By the guard: a new document a write, which says how many it found that were
 * written under older tokens, and so how many there may ever be. */
#ifndef TORTURE_WRITES_H
#define TORTURE_WRITES_H

#include "torture/history.h"
#include "torture/torture.h"

struct writes;

/* A client as an application has it, retryable writes and all. NULL: no memory. With FAULT_PAUSE a
 * process (not the parent) stops itself now and then where a lease cannot help: after it looked
 * whether it holds it, and before its command is sent. */
struct writes *writes_open(const struct torture *torture, const struct history *history);
void writes_close(struct writes *writes);

/* Where guarded writes go must be there before. */
bool writes_prepare(struct writes *writes, lh_error *error);

/* A fenced read under the lease: how many writes have landed so far. */
int writes_read(struct writes *writes, lh_lease *lease, int64_t *ret_seen);
/* A fenced write; `who` names the call. `seen`: what the read before it said, WRITES_BLIND
 * without. */
#define WRITES_BLIND (-1)
int writes_add(struct writes *writes, lh_lease *lease, const char *who, int64_t seen);
/* A guarded transaction: it reads, and adds a document. */
int writes_guarded(struct writes *writes, lh_lease *lease, const char *who);

/* Writes what landed as lines of the history, each key's in order. */
bool writes_tell(struct writes *writes, const struct history *history, lh_error *error);

#endif

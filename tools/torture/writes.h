/* SPDX-License-Identifier: Apache-2.0
 * The callers' own data, which the holder of a key writes. With the fence: one document for each
 * key. Each write adds its name to a list in the document, so that the document shows which writes
 * landed, and in which order. With the guard: a new document for each write, which records how many
 * documents of older tokens the write found. There may never be more of them. */
#ifndef TORTURE_WRITES_H
#define TORTURE_WRITES_H

#include "torture/history.h"
#include "torture/torture.h"

struct writes;

/* A client like that of an application, with retryable writes. NULL: no memory. With FAULT_PAUSE a
 * process (not the parent) stops itself now and then where a lease cannot help: after it looked
 * whether it holds it, and before its command is sent. */
struct writes *writes_open(const struct torture *torture, const struct history *history);
void writes_close(struct writes *writes);

/* The collection for guarded writes must exist before. */
bool writes_prepare(struct writes *writes, lh_error *error);

/* A fenced read under the lease: how many writes have landed so far. */
int writes_read(struct writes *writes, lh_lease *lease, int64_t *ret_seen);
/* A fenced write; `who` names the call. `seen`: what the read before it said, WRITES_BLIND
 * without. */
#define WRITES_BLIND (-1)
int writes_add(struct writes *writes, lh_lease *lease, const char *who, int64_t seen);
/* A guarded transaction: it reads, and adds a document. */
int writes_guarded(struct writes *writes, lh_lease *lease, const char *who);

/* Writes the writes that landed as lines of the history, in order for each key. */
bool writes_tell(struct writes *writes, const struct history *history, lh_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Entries of the oplog → what was stored after each of them (pure: BSON in, lines of the history
 * out). */
#ifndef TORTURE_OPLOG_H
#define TORTURE_OPLOG_H

#include "torture/history.h"

struct oplog;

/* Follows one collection. NULL: no memory. */
struct oplog *oplog_new(const char *ns, const struct history *history);
void oplog_free(struct oplog *oplog);

/* The next entry; those of other collections are passed over. False: it cannot be understood, or
 * not be written. */
bool oplog_take(struct oplog *oplog, const bson_t *entry);

/* The document after the oplog's `diff` ({u, i, d, s<field>}), to be destroyed. NULL: it has what
 * no document of ours can have. */
bson_t *oplog_apply_diff(const bson_t *document, const bson_t *diff);

#endif

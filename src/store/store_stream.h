/* SPDX-License-Identifier: Apache-2.0
 * A cursor whose batches the caller requests one by one, on its own connection and session. It
 * shows what the driver's cursors hide: the resume token of a batch, the time of a snapshot. And it
 * follows a change stream without the driver's own resuming. */
#ifndef LH_STORE_STREAM_H
#define LH_STORE_STREAM_H

#include "store/store.h"

typedef struct lh_stream lh_stream;

/* LH_OK, LH_UNREACHABLE (no connection is free), LH_MEMORY. */
int lh_stream_new(lh_store *store, lh_stream **ret_stream, lh_error *error);
void lh_stream_free(lh_stream *stream);

/* Runs the command that opens a cursor (with its readConcern), which replaces the one before.
 * Repeats it until `deadline` while no server answers. `reply` is always initialised; the caller
 * destroys it. LH_OK, or as lh_store_run(). */
int lh_stream_open(lh_stream *stream, const char *what, const bson_t *command, int64_t deadline,
                   bson_t *reply, lh_error *error);

/* True if more batches are to come. */
bool lh_stream_goes_on(const lh_stream *stream);

/* Requests the next batch, once. Of a change stream it is empty after `await_ms` without news (0:
 * the server's default). */
int lh_stream_next(lh_stream *stream, int64_t await_ms, bson_t *reply, lh_error *error);

/* Passes the documents of a reply (firstBatch or nextBatch) to `each`, until that returns anything
 * but 0; returns that. */
int lh_stream_each(const bson_t *reply, int (*each)(void *arg, const bson_t *document), void *arg);

#endif

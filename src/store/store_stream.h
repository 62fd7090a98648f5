/* SPDX-License-Identifier: Apache-2.0
 * A cursor whose batches the caller asks for one by one, on a connection and a session of its own:
 * for what the driver's cursors hide (a batch's resume token, a snapshot's time), and for following
 * a change stream without the driver's resuming. */
#ifndef LH_STORE_STREAM_H
#define LH_STORE_STREAM_H

#include "store/store.h"

typedef struct lh_stream lh_stream;

/* LH_OK, LH_UNREACHABLE (no connection is free), LH_MEMORY. */
int lh_stream_new(lh_store *store, lh_stream **ret_stream, lh_error *error);
void lh_stream_free(lh_stream *stream);

/* Runs the command that opens a cursor (with readConcern), in place of the one before; repeated
 * until `deadline` while no server answers. `reply` is always initialised, and the caller's to
 * destroy. LH_OK, or as lh_store_run(). */
int lh_stream_open(lh_stream *stream, const char *what, const bson_t *command, int64_t deadline,
                   bson_t *reply, lh_error *error);

/* Are there more batches to come? */
bool lh_stream_goes_on(const lh_stream *stream);

/* The next batch; of a change stream, an empty one after `await_ms` without news (0: not to be
 * said). Asked for once. */
int lh_stream_next(lh_stream *stream, int64_t await_ms, bson_t *reply, lh_error *error);

/* Gives the documents of a reply (firstBatch or nextBatch) until `each` returns other than 0, which
 * it returns. */
int lh_stream_each(const bson_t *reply, int (*each)(void *arg, const bson_t *document), void *arg);

#endif

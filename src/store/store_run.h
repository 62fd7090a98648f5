/* SPDX-License-Identifier: Apache-2.0
 * Running one command: bounded, repeated while its outcome is open, and its errors mapped to
 * outcomes. */
#ifndef LH_STORE_RUN_H
#define LH_STORE_RUN_H

#include "store/store.h"

/* Runs one command, and repeats it with backoff until its deadline while the answer is lost or
 * retryable (every command of ours is idempotent, most of them by lease id). Where the connection
 * broke, the documents are read before it is sent again: the server may have died of one with a
 * field that is stored twice (twice.h). Then it is not sent: LH_DATA, whose message names the
 * document.
 *
 * LH_OK: `reply` holds the answer. LH_UNKNOWN: a write may have been applied by one of the
 * attempts. LH_UNREACHABLE: it surely was not. Other outcomes: the server's definite refusal, with
 * error->server_code; the reply is filled. `reply` is always initialised and to be destroyed by the
 * caller. *ret_sent (may be NULL): lh_clock_ms() before the send of the attempt that was answered:
 * what a lease's deadline is anchored at. */
int lh_store_run(lh_store *store, lh_call *call, bson_t *reply, int64_t *ret_sent, lh_error *error);

/* Runs a command that answers with a cursor, and gives each document to `each` (0: go on; else
 * stop: LH_STOPPED). In constant memory. Repeated until the deadline as long as no document came;
 * how long the documents take is not bounded, but each batch is. */
int lh_store_each(lh_store *store, const lh_call *call,
                  int (*each)(void *arg, const bson_t *document), void *arg, lh_error *error);

#endif

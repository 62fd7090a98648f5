/* SPDX-License-Identifier: Apache-2.0
 * Polling: where no change stream tells who was granted what (a standalone, or while the stream is
 * being opened), the keeper reads the keys on which somebody waits, in batches, at delays that grow
 * from 5 to 250 ms; for who is first in the queue to 50. */
#ifndef LH_WAIT_POLL_H
#define LH_WAIT_POLL_H

#include "acquire/wait.h"

/* The parts of the keeper's duty; each does what is due and says when it is due again. */
int64_t lh_wait_polls(lh_store *store, struct _mongoc_client_t *client, int64_t now);
void lh_wait_look_again(lh_store *store); /* the change stream was opened */

#endif

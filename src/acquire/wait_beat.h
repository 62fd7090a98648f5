/* SPDX-License-Identifier: Apache-2.0
 * Beats: a waiter shows three times in claim_ms that it is alive, by a timer that nothing else
 * resets. */
#ifndef LH_WAIT_BEAT_H
#define LH_WAIT_BEAT_H

#include "acquire/wait.h"

/* The parts of the keeper's duty; each does what is due and says when it is due again. */
/* wait_beat.c */
int64_t lh_wait_beats(lh_store *store, struct _mongoc_client_t *client, int64_t now);

#endif

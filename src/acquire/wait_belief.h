/* SPDX-License-Identifier: Apache-2.0
 * Which grant by somebody else's command may be believed, and until when. Pure.
 *
 * Home of the waiters' part of invariant 1: the server gives min(ttl, claim) from the beat that the
 * grant names, or later; the grantee counts from when it sent that beat, and no reply, event, or
 * order of them matters. */
#ifndef LH_WAIT_BELIEF_H
#define LH_WAIT_BELIEF_H

#include <stdint.h>

/* A grant names a beat that was the last the server had: the waiter has three in claim_ms, and is
 * skipped when it was silent for so long. Twice that, and some that were asked for out of turn. */
#define LH_BEATS_KEPT 16

/* When each beat of one lease id was sent. The numbers begin with 0, the id's first ask, and never
 * restart within an id. */
typedef struct lh_beats {
    int64_t next; /* the number of the next one */
    int64_t sent[LH_BEATS_KEPT];
} lh_beats;

/* The number of a beat that is sent after this call; `now` is lh_clock_ms(). */
int64_t lh_beats_add(lh_beats *beats, int64_t now);

/* Until when a grant that names `beat` may be believed; 0: never: a beat that was not sent, or that
 * nobody remembers. */
int64_t lh_beats_deadline(const lh_beats *beats, int64_t beat, int64_t ttl_ms, int64_t claim_ms);

#endif

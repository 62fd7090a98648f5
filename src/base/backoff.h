/* SPDX-License-Identifier: Apache-2.0
 * Delays with jitter and a cap, so that processes that failed together do not retry together.
 * Pure. */
#ifndef LH_BACKOFF_H
#define LH_BACKOFF_H

#include <stdint.h>

typedef struct lh_backoff {
    int64_t next_ms, cap_ms;
    uint64_t state; /* state of the generator; any seed is good */
} lh_backoff;

/* Delays that begin at `first_ms` and double up to `cap_ms`. */
lh_backoff lh_backoff_from(int64_t first_ms, int64_t cap_ms, uint64_t seed);

/* The next delay: between half and all of the current step. */
int64_t lh_backoff_next(lh_backoff *backoff);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Jittered, capped delays: so that those who failed together do not come back together. Pure. */
#ifndef LH_BACKOFF_H
#define LH_BACKOFF_H

#include <stdint.h>

typedef struct lh_backoff {
    int64_t next_ms, cap_ms;
    uint64_t state; /* of the generator; any seed will do */
} lh_backoff;

/* Delays from `first_ms`, doubling up to `cap_ms`. */
lh_backoff lh_backoff_from(int64_t first_ms, int64_t cap_ms, uint64_t seed);

/* The next delay: between half and all of the present step. */
int64_t lh_backoff_next(lh_backoff *backoff);

#endif

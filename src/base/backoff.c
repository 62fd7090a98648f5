/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backoff.h"

lh_backoff lh_backoff_from(int64_t first_ms, int64_t cap_ms, uint64_t seed)
{
    return (lh_backoff){.next_ms = first_ms, .cap_ms = cap_ms, .state = seed};
}

/* splitmix64. It is good enough to spread delays; lease ids never come from it. */
static uint64_t mix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

int64_t lh_backoff_next(lh_backoff *backoff)
{
    int64_t step = backoff->next_ms;
    backoff->next_ms = step > backoff->cap_ms / 2 ? backoff->cap_ms : step * 2;
    int64_t half = step / 2;
    return half + (int64_t)(mix(&backoff->state) % (uint64_t)(step - half + 1));
}

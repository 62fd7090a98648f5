/* SPDX-License-Identifier: Apache-2.0
 * Random things that are the same in every run. */
#include "dice.h"

uint64_t dice(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

unsigned roll(uint64_t *state, unsigned sides)
{
    return (unsigned)(dice(state) % sides);
}

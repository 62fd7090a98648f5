/* SPDX-License-Identifier: Apache-2.0
 * What the unit tests share. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <leasehold/leasehold.h>

/* A generator that is the same in every run. */
static inline uint64_t dice(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline unsigned roll(uint64_t *state, unsigned sides)
{
    return (unsigned)(dice(state) % sides);
}

/* The outcome is this, and the sentence says `says`. */
static inline void expect_failure(int wanted, int got, const lh_error *error, const char *says, const char *file,
                                  int line)
{
    if (got == wanted && error->code == wanted && strstr(error->message, says))
        return;
    print_error("%s, not %s with \"%s\": %s\n", lh_outcome_word(got), lh_outcome_word(wanted), says,
                got == LH_OK ? "" : error->message);
    _fail(file, line);
}
#define expect_fails(wanted, call, error, says) expect_failure((wanted), (call), (error), (says), __FILE__, __LINE__)

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Random things that are the same in every run. */
#ifndef TESTS_DICE_H
#define TESTS_DICE_H

#include <stdint.h>

uint64_t dice(uint64_t *state);

unsigned roll(uint64_t *state, unsigned sides);

#endif

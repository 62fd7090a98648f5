/* SPDX-License-Identifier: Apache-2.0
 * Random numbers, for names that nobody else has. */
#ifndef COMMON_RANDOM_H
#define COMMON_RANDOM_H

#include <leasehold/leasehold.h>

/* LH_OK, or LH_BUG. */
int random_number(uint64_t *ret_number, lh_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Asserts at the doors between rooms: what the caller guarantees, and what the callee relies on.
 * They are on in builds with tests and in debug builds (LEASEHOLD_ASSERT), whatever NDEBUG says;
 * elsewhere they cost nothing. What a caller of the library passes is never asserted: it is
 * checked, and refused. */
#ifndef LH_ASSERT_H
#define LH_ASSERT_H

#ifdef LEASEHOLD_ASSERT
#include <stdio.h>
#include <stdlib.h>

#define lh_assert(condition)                                                                       \
    ((condition)                                                                                   \
         ? (void)0                                                                                 \
         : (void)(fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition),   \
                  abort()))
#else
#define lh_assert(condition) ((void)0)
#endif

#endif

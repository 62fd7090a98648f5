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

#include "dice.h"

/* The outcome is this, and the sentence says `says`. */
void expect_failure(int wanted, int got, const lh_error *error, const char *says, const char *file,
                    int line);
#define expect_fails(wanted, call, error, says)                                                    \
    expect_failure((wanted), (call), (error), (says), __FILE__, __LINE__)

#endif

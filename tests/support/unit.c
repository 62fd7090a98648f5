/* SPDX-License-Identifier: Apache-2.0
 * What the unit tests share. */
#include "unit.h"

void expect_failure(int wanted, int got, const lh_error *error, const char *says, const char *file,
                    int line)
{
    if (got == wanted && error->code == wanted && strstr(error->message, says))
        return;
    print_error("%s, not %s with \"%s\": %s\n", lh_outcome_word(got), lh_outcome_word(wanted), says,
                got == LH_OK ? "" : error->message);
    _fail(file, line);
}

/* SPDX-License-Identifier: Apache-2.0
 * Random numbers, for names that nobody else has. */
#include "common/random.h"

#include <sys/random.h>

#include "common/out.h"

int random_number(uint64_t *ret_number, lh_error *error)
{
    if (getrandom(ret_number, sizeof *ret_number, 0) != (ssize_t)sizeof *ret_number)
        return out_fail(error, LH_BUG, "the system provides no random bytes");
    return LH_OK;
}

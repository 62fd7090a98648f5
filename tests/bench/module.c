/* SPDX-License-Identifier: Apache-2.0
 * Prints the microseconds of an acquire and a release on a store that is off: what module.py and
 * node.mjs compare with. */
#include <leasehold/leasehold.h>
#include <stdio.h>
#include <time.h>

enum { TIMES = 20000 };

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

int main(void)
{
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.rollout = LH_OFF;
    lh_store *store;
    lh_error error = LH_ERROR_INIT;
    if (lh_store_open(&options, &store, &error) != LH_OK)
        return 1;
    double begin = now_us();
    for (int i = 0; i < TIMES; i++) {
        lh_lease *lease;
        if (lh_acquire(store, "k", NULL, &lease, NULL, &error) != LH_OK ||
            lh_lease_release(lease, &error) != LH_OK)
            return 1;
        lh_lease_free(lease);
    }
    printf("%f", (now_us() - begin) / TIMES);
    lh_store_close(store);
}

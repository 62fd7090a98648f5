/* SPDX-License-Identifier: Apache-2.0
 * What the parts of a bench share: when it ends, and how it acquires. */
#include "bench/bench.h"

#include <signal.h>

atomic_int bench_signal;

static void take_signal(int number)
{
    atomic_store(&bench_signal, number);
}

void bench_catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = take_signal};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        (void)sigaction(numbers[i], &action, NULL);
}

bool bench_goes_on(double until_ms)
{
    return atomic_load(&bench_signal) == 0 && bench_now_ms() < until_ms;
}

lh_acquire_options bench_by_hand(void)
{
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true;
    return options;
}

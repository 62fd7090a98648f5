/* SPDX-License-Identifier: Apache-2.0
 * Reading a clock, in one number. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* For durations: it also advances while the machine sleeps, and is never set. */
static inline int64_t clock_boot_ms(void)
{
    return clock_ns(CLOCK_BOOTTIME) / 1000000;
}

/* The time of day. */
static inline int64_t clock_wall_ms(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000000;
}

/* So long from now, for calls that wait until an instant. */
static inline struct timespec clock_after(clockid_t clock, int64_t ms)
{
    int64_t until = clock_ns(clock) + ms * 1000000;
    return (struct timespec){.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
}

#endif

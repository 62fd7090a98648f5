/* SPDX-License-Identifier: Apache-2.0
 * Local time for deadlines. It is CLOCK_BOOTTIME, which continues while the machine sleeps and
 * which no administrator can step, so a process that slept through its lease notices that. The
 * server's time never comes from this clock. */
#ifndef LH_CLOCK_H
#define LH_CLOCK_H

#include <stdint.h>

/* Milliseconds on CLOCK_BOOTTIME, rounded down. */
int64_t lh_clock_ms(void);

/* The same in microseconds: for how long something took. */
int64_t lh_clock_us(void);

/* How far a server's clock is ahead of this one. The server read `server_ms` between `sent` and
 * `received`, in lh_clock_ms(). Returns `ahead` if this agrees with it, else the nearest value that
 * does. An `ahead` of INT64_MIN: not known yet. For display only; no deadline uses it. */
int64_t lh_clock_ahead(int64_t ahead, int64_t server_ms, int64_t sent, int64_t received);

/* Sleeps `ms`, a little longer if a signal interrupts it. Returns at once for 0 and less. */
void lh_clock_sleep(int64_t ms);

#endif

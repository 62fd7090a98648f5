/* SPDX-License-Identifier: Apache-2.0
 * Local time for deadlines. Only CLOCK_BOOTTIME: it goes on while the machine sleeps and no administrator steps it, so
 * that a process that slept through its lease sees that it did. The server's time never comes from here. */
#ifndef LH_CLOCK_H
#define LH_CLOCK_H

#include <stdint.h>

/* Milliseconds on CLOCK_BOOTTIME, rounded down. */
int64_t lh_clock_ms(void);

/* Sleeps `ms`, a little more when a signal interrupts it; nothing for 0 and less. */
void lh_clock_sleep(int64_t ms);

#endif

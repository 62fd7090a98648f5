/* SPDX-License-Identifier: Apache-2.0
 * Local time for deadlines. Only CLOCK_BOOTTIME: it goes on while the machine sleeps and no
 * administrator steps it, so that a process that slept through its lease sees that it did. The
 * server's time never comes from here. */
#ifndef LH_CLOCK_H
#define LH_CLOCK_H

#include <stdint.h>

/* Milliseconds on CLOCK_BOOTTIME, rounded down. */
int64_t lh_clock_ms(void);

/* How far a server's clock is ahead of this one, once an answer has shown `server_ms`, which was
 * read between `sent` and `received`: still `ahead` where the answer allows it, else the nearest
 * that it does. INT64_MIN: not known yet. For what people are shown; no deadline is made from
 * it. */
int64_t lh_clock_ahead(int64_t ahead, int64_t server_ms, int64_t sent, int64_t received);

/* Sleeps `ms`, a little more when a signal interrupts it; nothing for 0 and less. */
void lh_clock_sleep(int64_t ms);

#endif

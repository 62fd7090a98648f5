/* SPDX-License-Identifier: Apache-2.0
 * Watches a standalone, which has no change streams: reads all watched documents again and
 * again. */
#ifndef LH_EVENTS_POLL_H
#define LH_EVENTS_POLL_H

#include "operate/events_watching.h"

/* Runs until the watch ends. */
int lh_watching_poll(lh_watching *w);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Watching a standalone, which has no change streams: all watched documents are read again and
 * again. */
#ifndef LH_EVENTS_POLL_H
#define LH_EVENTS_POLL_H

#include "operate/events_watching.h"

/* Until it ends. */
int lh_watching_poll(lh_watching *w);

#endif

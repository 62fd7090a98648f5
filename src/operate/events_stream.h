/* SPDX-License-Identifier: Apache-2.0
 * Watching a replica set. */
#ifndef LH_EVENTS_STREAM_H
#define LH_EVENTS_STREAM_H

#include "operate/events_watching.h"

/* Until it ends. */
int lh_watching_follow(lh_watching *w);

#endif

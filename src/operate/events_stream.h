/* SPDX-License-Identifier: Apache-2.0
 * Watches a replica set by its change stream. */
#ifndef LH_EVENTS_STREAM_H
#define LH_EVENTS_STREAM_H

#include "operate/events_watching.h"

/* Runs until the watch ends. */
int lh_watching_follow(lh_watching *w);

#endif

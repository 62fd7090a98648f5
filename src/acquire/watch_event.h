/* SPDX-License-Identifier: Apache-2.0
 * Reads a change event of the watcher's pipeline. Pure. */
#ifndef LH_WATCH_EVENT_H
#define LH_WATCH_EVENT_H

#include "protocol/doc.h"

/* Each grant that the event's `wake` names ("<lease id>:<beat> <lease id>:<beat> …"), with beat
 * -1 if the event is incomplete: only a hint. */
void lh_watch_read(const bson_t *event, void (*granted)(void *arg, const lh_grant *grant),
                   void *arg);

#endif

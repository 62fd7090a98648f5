/* SPDX-License-Identifier: Apache-2.0
 * What a change event of the watcher's pipeline says. Pure. */
#ifndef LH_WATCH_EVENT_H
#define LH_WATCH_EVENT_H

#include "protocol/doc.h"

/* Each grant that the event's `wake` names ("<lease id>:<beat> <lease id>:<beat> …"), with beat -1
 * where the event does not tell all of it: a mere hint. */
void lh_watch_read(const bson_t *event, void (*granted)(void *arg, const lh_grant *grant),
                   void *arg);

#endif

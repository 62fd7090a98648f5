/* SPDX-License-Identifier: Apache-2.0
 * GET /v1/events: events on keys, as server-sent events. */
#ifndef SERVE_EVENTS_H
#define SERVE_EVENTS_H

#include "serve/request.h"

struct events;

/* Watching begins with the first subscriber, and then continues. */
int events_new(struct server *server, struct events **ret_events, lh_error *error);
void events_get(struct request *request);
/* Ends the streams of clients whose token was taken away. */
void events_revoke(struct events *events);
/* Sends a comment on streams that were silent for long, so that each end sees that the other is
 * connected. */
void events_beat(struct events *events);
unsigned events_subscribers(struct events *events);
/* Ends all streams, and watching. */
void events_stop(struct events *events);
void events_free(struct events *events);

#endif

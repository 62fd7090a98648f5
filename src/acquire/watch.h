/* SPDX-License-Identifier: Apache-2.0
 * The watcher: one thread of a store that follows the collection's change stream and says who was
 * granted what. A hint: what it misses, the waiters' timers find. */
#ifndef LH_WATCH_H
#define LH_WATCH_H

#include "protocol/doc.h"
#include "store/store.h"

typedef struct lh_watch_to {
    /* beat -1: only that there is something to look at */
    void (*granted)(lh_store *store, const lh_grant *grant);
    /* what happened before this was not seen */
    void (*opened)(lh_store *store);
} lh_watch_to;

/* Made with the store. LH_OK, LH_MEMORY. */
int lh_watch_new(lh_store *store, lh_watch_to to, lh_error *error);
void lh_watch_free(lh_store *store);

/* Somebody waits: the stream is open from soon on, until nobody said so for a minute. Only on a
 * replica set. */
void lh_watch_want(lh_store *store);

/* Is the stream open, so that events come? */
bool lh_watch_is_live(const lh_store *store);

/* Joins the thread: store->stopping is set. Within half a second, unless the server hangs. */
void lh_watch_stop(lh_store *store);

#endif

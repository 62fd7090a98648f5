/* SPDX-License-Identifier: Apache-2.0
 * The watcher: one thread of a store that follows the collection's change stream and reports
 * grants. Its events are hints: the waiters' timers find whatever it misses. */
#ifndef LH_WATCH_H
#define LH_WATCH_H

#include "protocol/doc.h"
#include "store/store.h"

typedef struct lh_watch_to {
    /* beat -1: only that the document has news */
    void (*granted)(lh_store *store, const lh_grant *grant);
    /* events before this were not seen */
    void (*opened)(lh_store *store);
} lh_watch_to;

/* Made with the store. LH_OK, LH_MEMORY. */
int lh_watch_new(lh_store *store, lh_watch_to to, lh_error *error);
void lh_watch_free(lh_store *store);

/* Called while there are waiters. The stream opens soon, and closes after a minute without this
 * call. Only on a replica set. */
void lh_watch_want(lh_store *store);

/* True if the stream is open. */
bool lh_watch_is_live(const lh_store *store);

/* Joins the thread, within half a second unless the server hangs. store->stopping is set. */
void lh_watch_stop(lh_store *store);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What is known of the watched documents, by _id; and a change event's delta, applied to one. */
#ifndef LH_EVENTS_SHADOW_H
#define LH_EVENTS_SHADOW_H

#include "operate/events_watching.h"

/* NULL: there is none. `holder` has _id in it. */
lh_shadow_entry *lh_shadow_find(const lh_shadow *shadow, const bson_t *holder);
/* A new entry, without a document; NULL: out of memory. */
lh_shadow_entry *lh_shadow_add(lh_shadow *shadow, const bson_t *holder);
void lh_shadow_remove(lh_shadow *shadow, lh_shadow_entry *entry);
void lh_shadow_fini(lh_shadow *shadow);

/* A copy with the fields that matter: other programs may keep anything beside them. */
bson_t *lh_shadow_shrink(const bson_t *document);
/* {field: 1, …} of these. */
void lh_shadow_append_projection(bson_t *projection);
/* The document after a change event's updateDescription. */
bson_t *lh_shadow_apply(const bson_t *document, const bson_t *description);

#endif

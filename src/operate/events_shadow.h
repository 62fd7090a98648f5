/* SPDX-License-Identifier: Apache-2.0
 * The shadow: the known state of the watched documents, by _id. Also applies the delta of a change
 * event to a document. */
#ifndef LH_EVENTS_SHADOW_H
#define LH_EVENTS_SHADOW_H

#include "operate/events_watching.h"

/* The entry for the _id in `holder`; NULL: there is none. */
lh_shadow_entry *lh_shadow_find(const lh_shadow *shadow, const bson_t *holder);
/* Adds an entry without a document. NULL: out of memory. */
lh_shadow_entry *lh_shadow_add(lh_shadow *shadow, const bson_t *holder);
void lh_shadow_remove(lh_shadow *shadow, lh_shadow_entry *entry);
void lh_shadow_fini(lh_shadow *shadow);

/* A copy with only the fields that matter; other programs may store anything besides. */
bson_t *lh_shadow_shrink(const bson_t *document);
/* Appends {field: 1, …} for these fields. */
void lh_shadow_append_projection(bson_t *projection);
/* The document after the updateDescription of a change event. */
bson_t *lh_shadow_apply(const bson_t *document, const bson_t *description);

#endif

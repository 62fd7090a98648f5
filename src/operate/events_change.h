/* SPDX-License-Identifier: Apache-2.0
 * Decodes a change event, and applies it to the watched documents. */
#ifndef LH_EVENTS_CHANGE_H
#define LH_EVENTS_CHANGE_H

#include "operate/events_watching.h"

/* Decodes `event`. False: it is not about a document; the collection was dropped or renamed. */
bool lh_change_read(const bson_t *event, lh_change *ret);
/* Applies the change, and reports the difference. LH_OK, LH_MEMORY. */
int lh_watching_change(lh_watching *w, const lh_change *change, uint64_t round);

bool lh_event_find(const bson_t *event, const char *path, bson_iter_t *ret_value);
bool lh_event_document(const bson_t *event, const char *path, bson_t *ret_view);
bool lh_event_instant(const bson_t *event, const char *path, lh_instant *ret_instant);

#endif

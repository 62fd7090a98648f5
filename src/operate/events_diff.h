/* SPDX-License-Identifier: Apache-2.0
 * Finds out what happened between two states of a key's document. */
#ifndef LH_EVENTS_DIFF_H
#define LH_EVENTS_DIFF_H

#include "operate/events_watching.h"

/* Stores `after` in the shadow entry of its _id, and takes ownership of it. Reports the difference
 * unless `silent`. LH_OK, LH_MEMORY. */
int lh_watching_put(lh_watching *w, bson_t *after, uint64_t round, bool silent, int64_t at_ms);
/* Removes the entry, and reports this. */
int lh_watching_drop(lh_watching *w, lh_shadow_entry *entry, int64_t at_ms);
/* Removes all entries that were not put in this round. */
int lh_watching_sweep(lh_watching *w, uint64_t round, int64_t at_ms);

#endif

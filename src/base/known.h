/* SPDX-License-Identifier: Apache-2.0
 * Remembers which keys have a document of ours, whose _id is the key, as far as this store has
 * seen. This is only a hint of how to find the document. The size is bounded: of two keys that
 * share a slot, the later one is remembered. May be used by any number of threads. */
#ifndef LH_KNOWN_H
#define LH_KNOWN_H

#include <stdbool.h>

typedef struct lh_known lh_known;

/* NULL: out of memory. */
lh_known *lh_known_new(void);
void lh_known_free(lh_known *known);

bool lh_known_has(const lh_known *known, const char *key);
void lh_known_note(lh_known *known, const char *key, bool own);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What is due, by time: items in a heap, so that whoever looks after many finds the next one at
 * once. Pure. The items are parts of what they stand for and nothing is allocated; whoever has the
 * heap guards it. */
#ifndef LH_DUE_H
#define LH_DUE_H

#include <stddef.h>
#include <stdint.h>

/* A heap is a pointer to its first item; NULL: nothing is due. */
typedef struct lh_due {
    int64_t at; /* INT64_MAX: it is in no heap */
    struct lh_due *child, *next, *previous;
} lh_due;

#define LH_DUE_NEVER                                                                               \
    {                                                                                              \
        INT64_MAX, NULL, NULL, NULL                                                                \
    }

/* The item is due at `at`, whatever it was before; INT64_MAX: never. Constant time for what was in
 * no heap, else logarithmic, amortized. */
void lh_due_set(lh_due **heap, lh_due *item, int64_t at);

/* When the first is due; INT64_MAX: never. */
int64_t lh_due_next(const lh_due *heap);

/* What the item is a part of: lh_due_of(heap, lh_lease, renewal). */
#define lh_due_of(item, type, member) ((type *)(void *)((char *)(item)-offsetof(type, member)))

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A heap of items by the time at which they are due, so that the next one is found at once. Pure.
 * An item is a member of the struct that it stands for, so nothing is allocated. The owner of the
 * heap has to lock it. */
#ifndef LH_DUE_H
#define LH_DUE_H

#include <stddef.h>
#include <stdint.h>

/* A heap is a pointer to its first item; NULL: it is empty. */
typedef struct lh_due {
    int64_t at; /* INT64_MAX: in no heap */
    struct lh_due *child, *next, *previous;
} lh_due;

#define LH_DUE_NEVER                                                                               \
    {                                                                                              \
        INT64_MAX, NULL, NULL, NULL                                                                \
    }

/* Makes the item due at `at`, whatever it was before. INT64_MAX: never. Takes constant time for an
 * item that was in no heap, else logarithmic time, amortized. */
void lh_due_set(lh_due **heap, lh_due *item, int64_t at);

/* When the first item is due; INT64_MAX: never. */
int64_t lh_due_next(const lh_due *heap);

/* The struct that has the item as a member: lh_due_of(heap, lh_lease, renewal). */
#define lh_due_of(item, type, member) ((type *)(void *)((char *)(item)-offsetof(type, member)))

#endif

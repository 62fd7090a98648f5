/* SPDX-License-Identifier: Apache-2.0
 * A pairing heap. Each item has a list of children, none of which is due before it. `previous` is
 * the left neighbour in that list; for the first child it is the parent. */
#include "base/due.h"

static lh_due *meld(lh_due *a, lh_due *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->at < a->at) {
        lh_due *later = a;
        a = b;
        b = later;
    }
    b->next = a->child;
    if (b->next)
        b->next->previous = b;
    b->previous = a;
    a->child = b;
    a->next = a->previous = NULL;
    return a;
}

/* Makes one heap of a list of heaps: melds pairs from the left, then all pairs from the right. */
static lh_due *meld_all(lh_due *list)
{
    lh_due *pairs = NULL, *heap = NULL;
    while (list) {
        lh_due *a = list, *b = a->next;
        list = b ? b->next : NULL;
        a->next = a->previous = NULL;
        if (b)
            b->next = b->previous = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        lh_due *one = pairs;
        pairs = one->next;
        one->next = NULL;
        heap = meld(heap, one);
    }
    return heap;
}

static void take_out(lh_due **heap, lh_due *item)
{
    lh_due *children = meld_all(item->child);
    if (*heap == item) {
        *heap = children;
    } else {
        if (item->previous->child == item)
            item->previous->child = item->next;
        else
            item->previous->next = item->next;
        if (item->next)
            item->next->previous = item->previous;
        *heap = meld(*heap, children);
    }
    *item = (lh_due)LH_DUE_NEVER;
}

void lh_due_set(lh_due **heap, lh_due *item, int64_t at)
{
    if (item->at == at)
        return;
    if (item->at != INT64_MAX)
        take_out(heap, item);
    item->at = at;
    if (at != INT64_MAX)
        *heap = meld(*heap, item);
}

int64_t lh_due_next(const lh_due *heap)
{
    return heap ? heap->at : INT64_MAX;
}

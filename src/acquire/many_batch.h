/* SPDX-License-Identifier: Apache-2.0
 * The commands for a batch of keys: one update and one read to take them, one update to give them
 * back. */
#ifndef LH_MANY_BATCH_H
#define LH_MANY_BATCH_H

#include "acquire/many.h"

/* Takes entries from `from` on, in order, up to the first that is not granted, and at most one
 * batch: *ret_got of *ret_tried. LH_OK even if *ret_got is 0. On failure none of the tried ones
 * is in hand. */
int lh_many_take(lh_many *many, size_t from, size_t *ret_got, size_t *ret_tried);

/* Gives back every lease in hand. False: the server did not confirm that all are released. */
bool lh_many_let_go(lh_many *many);

#endif

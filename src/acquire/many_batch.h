/* SPDX-License-Identifier: Apache-2.0
 * The commands on a batch of keys: taking them with one update and one read, and giving them back
 * with one update. */
#ifndef LH_MANY_BATCH_H
#define LH_MANY_BATCH_H

#include "acquire/many.h"

/* Takes entries from `from` on, in their order, up to the first that is not granted, and at most so
 * many as one command should have: *ret_got of *ret_tried. LH_OK also when that is none; else what
 * failed: none of those that were tried is in hand. */
int lh_many_take(lh_many *many, size_t from, size_t *ret_got, size_t *ret_tried);

/* Gives back what is in hand. False: the server did not say that nothing is held any more. */
bool lh_many_let_go(lh_many *many);

#endif

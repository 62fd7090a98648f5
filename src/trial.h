/* SPDX-License-Identifier: Apache-2.0
 * Trying leases on a key of our own. What is below calls it through store->hooks. */
#ifndef LH_TRIAL_H
#define LH_TRIAL_H

#include "store/store.h"

/* Acquires, is refused, renews, waits, is granted by a release, and releases; then removes the
 * document, and what trials that were killed have left. LH_OK: it all worked, and *ret_tried says
 * how much was done; else what did not, and why. A store that does not enforce refuses nobody:
 * there nothing is tried. */
int lh_trial(lh_store *store, lh_tried *ret_tried, lh_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Acquiring one lease: as a path, or as a key by itself; and telling the trail, where there is
 * one. */
#ifndef LH_ACQUIRE_H
#define LH_ACQUIRE_H

#include "acquire/many.h"

/* lh_acquire() and lh_acquire_many(), whatever the store's mode. */
int lh_real_acquire(lh_store *store, const char *key, const lh_acquire_options *options,
                    lh_lease **ret_lease, lh_record **ret_busy, lh_error *error);

#endif

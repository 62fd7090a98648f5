/* SPDX-License-Identifier: Apache-2.0
 * What else must be so for leases to work, and can be seen without writing: before a migration, and
 * by doctor. */
#ifndef LH_FIT_H
#define LH_FIT_H

#include "store/store.h"

/* LH_CONFIG: the server's feature compatibility version is below 6.0. LH_OK also where the user may
 * not ask (getParameter). */
int lh_fit_check_version(lh_store *store, int64_t deadline, lh_error *error);

/* LH_CONFIG: the collection's validator refuses documents of leases: made by the very commands that
 * would write them, and given to it, in reads. LH_OK also where the user may not ask
 * (listCollections). */
int lh_fit_check_validator(lh_store *store, int64_t deadline, lh_error *error);

#endif

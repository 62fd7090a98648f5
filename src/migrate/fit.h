/* SPDX-License-Identifier: Apache-2.0
 * Other conditions for leases to work, checked without writing. The migration and doctor check
 * them. */
#ifndef LH_FIT_H
#define LH_FIT_H

#include "store/store.h"

/* LH_CONFIG: the server's feature compatibility version is below 6.0. LH_OK also if the user may
 * not read it (getParameter). */
int lh_fit_check_version(lh_store *store, int64_t deadline, lh_error *error);

/* LH_CONFIG: the collection's validator refuses documents of leases. Aggregations make the
 * documents with the pipelines of the real commands, and match them with the validator. LH_OK also
 * if the user may not read the validator (listCollections). */
int lh_fit_check_validator(lh_store *store, int64_t deadline, lh_error *error);

#endif

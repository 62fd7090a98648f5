/* SPDX-License-Identifier: Apache-2.0
 * Paths: keys that shut out those above and below them. */
#ifndef LH_PATH_H
#define LH_PATH_H

#include "acquire/wait.h"

/* As lh_acquire(), with the complete options of `r`. */
int lh_path_acquire(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy);

typedef struct {
    const char *const *keys;
    size_t n;
    int mode; /* of the lease that is wanted */
    /* sees every grant that was acknowledged before the call; else some may be missing */
    bool surely;
    int64_t deadline;
} lh_path_query;

/* A key that is above or below one of the keys, is none of them, and is held so that a lease in
 * that mode may not be: LH_OK, and *ret_conflict says by whom; NULL where there is none. */
int lh_path_look(lh_store *store, const lh_path_query *query, lh_record **ret_conflict,
                 lh_error *error);

/* LH_BUSY with its sentence; takes `conflict` as r->busy. */
int lh_path_busy(lh_request *r, lh_record *conflict);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * One operation on one key: the short form of its command, then the whole form if the short one did
 * not settle it. */
#ifndef LH_LEASE_RUN_H
#define LH_LEASE_RUN_H

#include "lease/lease.h"

/* One operation on the document of vars->key. */
typedef struct lh_operation {
    lh_op op;
    bool whole; /* sends the whole form at once; else the short one first, if there is one */
    const lh_vars *vars;
    lh_context context;
} lh_operation;

/* Runs the operation: the whole form if the short one did not settle it. Reports grants to others
 * to the store's waiters. reply->bson is always initialised; the caller destroys it. */
int lh_lease_run(lh_store *store, const lh_operation *operation, lh_reply *reply, lh_error *error);

/* Notes the server's time of a reply (0: none), so that the store knows the distance of that
 * clock. The command was sent at `sent` or later. */
int64_t lh_lease_hear_time(lh_store *store, const bson_t *document, int64_t sent);

#endif

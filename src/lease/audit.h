/* SPDX-License-Identifier: Apache-2.0
 * The audit trail: every grant and every end, in a separate collection. Only if the store has
 * `audit`. */
#ifndef LH_AUDIT_H
#define LH_AUDIT_H

#include "protocol/doc.h"
#include "store/store.h"

/* A granted lease that was not returned to its caller yet. */
typedef struct lh_audit_grant {
    const char *key, *owner, *purpose;
    int64_t token;
    int mode;
} lh_audit_grant;

/* LH_OK: each lease has its entry, acknowledged by a majority, or the store keeps no trail. */
int lh_audit_granted(lh_store *store, const lh_audit_grant *grants, size_t n, lh_error *error);

/* How a lease ended; NULL and 0: not known. */
typedef struct lh_audit_end {
    const char *event; /* "released", "transferred", "broken", "reaped" */
    const char *key, *owner, *by, *reason, *to;
    int64_t at_ms, token, to_token; /* at_ms 0: about now */
} lh_audit_end;

/* The end is valid without its entry: always LH_OK. If the entry could not be written,
 * error->message explains it (else it is ""). */
int lh_audit_ended(lh_store *store, const lh_audit_end *ends, size_t n, lh_error *error);

/* For the migration: creates the indexes. With one of them the server removes entries older than
 * keep_ms. */
int lh_audit_prepare(lh_store *store, int64_t keep_ms, int64_t deadline, lh_error *error);

/* The server's clock. */
int lh_audit_now(lh_store *store, int64_t deadline, int64_t *ret_now_ms, lh_error *error);

#endif

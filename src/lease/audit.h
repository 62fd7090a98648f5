/* SPDX-License-Identifier: Apache-2.0
 * The trail: who was granted what, and how it ended, in a collection of its own. Only where the
 * store has `audit`. */
#ifndef LH_AUDIT_H
#define LH_AUDIT_H

#include "protocol/doc.h"
#include "store/store.h"

/* A lease that was granted, and whose caller has not been told yet. */
typedef struct lh_audit_grant {
    const char *key, *owner, *purpose;
    int64_t token;
    int mode;
} lh_audit_grant;

/* LH_OK: each has its line, acknowledged by a majority; or the store keeps no trail. */
int lh_audit_granted(lh_store *store, const lh_audit_grant *grants, size_t n, lh_error *error);

/* How a lease ended; NULL and 0: nothing to say. */
typedef struct lh_audit_end {
    const char *event; /* "released", "transferred", "broken", "reaped" */
    const char *key, *owner, *by, *reason, *to;
    int64_t at_ms, token, to_token; /* at_ms 0: about now */
} lh_audit_end;

/* It happened, whatever becomes of the line: LH_OK, and where the line could not be written,
 * error->message says so (else it is ""). */
int lh_audit_ended(lh_store *store, const lh_audit_end *ends, size_t n, lh_error *error);

/* For the migration: the indexes, of which one lets the server remove what is older than
 * keep_ms. */
int lh_audit_prepare(lh_store *store, int64_t keep_ms, int64_t deadline, lh_error *error);

/* The server's clock. */
int lh_audit_now(lh_store *store, int64_t deadline, int64_t *ret_now_ms, lh_error *error);

#endif

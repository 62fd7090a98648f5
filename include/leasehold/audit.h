/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit trail: a collection with an entry for each grant and each end of a lease.
 *
 * A store that was opened with the option `audit` writes these entries:
 *   - "granted", or "taken_over" if the previous lease ended without a release. The entry is
 *     written before the acquire returns: no lease is acknowledged without its entry. If it cannot
 *     be written in time (at most five seconds), the lease is released and the call fails as the
 *     write did: LH_UNREACHABLE, LH_DENIED, LH_CONFIG or LH_SERVER; or LH_UNKNOWN if the reply to
 *     that release was lost too. So an entry may describe a grant that no caller received.
 *   - "released", "transferred" (with `to` and `to_token`), "broken" and "reaped" (lh_reap()),
 *     written after the operation. The operation is valid even if the entry cannot be written: the
 *     call returns LH_OK, and error->message is "" or reports the missing entry. (The entry of the
 *     next grant describes how the previous lease ended, so the end is known from then on.)
 * There are no entries for the end of a lease by time (the next grant's entry describes it), for
 * renewals, for grants that were never returned to a caller (a wait that was cancelled, or whose
 * store was closed), and for operations of stores without `audit`: open all stores with this
 * option.
 *
 * Entries are inserted and never changed: a backend needs only the right to insert. lh_migrate()
 * creates the indexes, one of which removes old entries; without it the trail grows. Lease ids are
 * not in the trail. */
#ifndef LEASEHOLD_AUDIT_H
#define LEASEHOLD_AUDIT_H

#include <leasehold/record.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Fields without a value are "" or 0. */
typedef struct lh_audit_entry {
    int64_t at_ms;              /* by the server's clock */
    const char *event;          /* "granted", … as above */
    const char *key, *owner;    /* of the lease */
    const char *host;           /* of the process that did it */
    int64_t pid;                /* … */
    const char *purpose;        /* of a grant */
    const char *by, *reason;    /* of an end: by whom, and why */
    const char *to;             /* of a transfer: the new owner */
    const char *previous_owner; /* of an exclusive grant: the holder before, and how its lease */
    const char *previous_how;   /* ended: "release", "expire", "transfer" or "break" */
    int64_t token, to_token;    /* 0: unknown */
    int mode;                   /* of a grant: LH_EXCLUSIVE or LH_SHARED */
} lh_audit_entry;

typedef struct lh_audit_options {
    size_t size;
    const char *key;  /* only entries of this key; NULL: all */
    int64_t since_ms; /* only entries of the last since_ms; LH_FOREVER (default): all */
    bool follow;      /* then continue with new entries */
    /* Ends the call from another thread; NULL: nothing does. It must outlive the call. */
    lh_cancel *cancel;
} lh_audit_options;

#define LH_AUDIT_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(lh_audit_options), NULL, LH_FOREVER, false, NULL                                    \
    }
LH_API void lh_audit_options_init(lh_audit_options *options, size_t size);

/* Gives each entry to `each`, in the order of time, in constant memory. `each` borrows the entry
 * and returns 0 to continue; any other value ends the call with LH_STOPPED. With `follow`, a new
 * entry is given within a second after it was written, exactly once, also over elections and lost
 * connections. One exception: the entry of an end that a hanging server wrote more than ten seconds
 * late is not given; read again to see it.
 *
 * LH_OK (not with `follow`), LH_STOPPED, LH_CANCELLED. LH_INVALID: an option, or a store without
 * `audit`. LH_DENIED: it needs find on the trail. LH_UNREACHABLE, LH_SERVER, LH_FORKED,
 * LH_MEMORY. */
LH_API int lh_audit(lh_store *store, const lh_audit_options *options,
                    int (*each)(void *arg, const lh_audit_entry *entry), void *arg,
                    lh_error *error);

#ifdef __cplusplus
}
#endif

#endif

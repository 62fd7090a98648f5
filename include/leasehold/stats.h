/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting what is stored. */
#ifndef LEASEHOLD_STATS_H
#define LEASEHOLD_STATS_H

#include <leasehold/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The lease that has been held, or the waiter that has waited, for the longest time. */
typedef struct lh_since {
    const char *key;   /* NULL: there is none */
    const char *owner; /* "" if the document has none */
    int64_t at_ms;     /* since when */
} lh_since;

/* Totals over all documents. Each key is exactly one of: exclusive, shared, malformed, free,
 * expired. A key that is kept after its release (note.h) counts as exclusive. */
typedef struct lh_stats_report {
    uint64_t documents;
    uint64_t exclusive, shared; /* keys with a holder that is not past its end + grace */
    uint64_t malformed;         /* unreadable: held, until an operator breaks it */
    uint64_t free;              /* released; the document is kept for its token */
    uint64_t expired; /* past its end + grace, and not taken over: the next acquire gets it */
    uint64_t shared_holders;  /* leases on the shared keys */
    uint64_t queues, waiters; /* keys with waiters; waiters that still beat */
    lh_since oldest; /* the lease that has been held for the longest time without a break */
    lh_since longest_wait;
    int64_t now_ms; /* the server's clock when it replied; 0: there is no document */
} lh_stats_report;

typedef struct lh_stats_options {
    size_t size;
    /* for the server's pass over the collection: 100 … 3,600,000; default 60,000 */
    int64_t timeout_ms;
} lh_stats_options;

#define LH_STATS_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(lh_stats_options), 60000                                                            \
    }
LH_API void lh_stats_options_init(lh_stats_options *options, size_t size);

/* Counts with one command: the server reads every document once (majority, on the primary) and
 * returns a few numbers. A million documents take some seconds. The result is not a snapshot: a
 * change during the call is counted before or after. After `timeout_ms` the server gives up too.
 *
 * LH_OK: free *ret_report with lh_stats_free(). LH_UNREACHABLE: unreachable, or out of time.
 * LH_INVALID, LH_DENIED, LH_SERVER, … */
LH_API int lh_stats(lh_store *store, const lh_stats_options *options, lh_stats_report **ret_report,
                    lh_error *error);
LH_API void lh_stats_free(lh_stats_report *report);

#ifdef __cplusplus
}
#endif

#endif

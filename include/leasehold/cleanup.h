/* SPDX-License-Identifier: Apache-2.0
 *
 * Removing documents of keys that nobody uses any more. */
#ifndef LEASEHOLD_CLEANUP_H
#define LEASEHOLD_CLEANUP_H

#include <leasehold/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_cleanup_options {
    size_t size;
    /* how long a key has been free or past its end: 1,000 … a hundred years; default 86,400,000
     * (24 h) */
    int64_t older_than_ms;
    bool dry_run; /* count only, change nothing */
    /* Called after each batch; any value but 0 ends the call with LH_STOPPED. */
    int (*progress)(void *arg, uint64_t looked_at, uint64_t removed);
    void *progress_arg;
} lh_cleanup_options;

#define LH_CLEANUP_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(lh_cleanup_options), INT64_C(86400000), false, NULL, NULL                           \
    }
LH_API void lh_cleanup_options_init(lh_cleanup_options *options, size_t size);

typedef struct lh_cleanup_report {
    size_t size;
    uint64_t removed; /* documents removed: free, or past their end, for that long */
    /* holders past their end + grace, but not for that long: marked as ended; the head of the queue
     * was granted the key */
    uint64_t holders_dropped;
    uint64_t waiters_dropped; /* waiters that stopped beating */
} lh_cleanup_report;

#define LH_CLEANUP_REPORT_INIT                                                                     \
    {                                                                                              \
        sizeof(lh_cleanup_report), 0, 0, 0                                                         \
    }
LH_API void lh_cleanup_report_init(lh_cleanup_report *report, size_t size);

/* Removes dead documents, holders and waiters in bounded batches. The server judges each document
 * again in the write that changes it. Documents that cannot be read are never touched. The report
 * is filled on every outcome with what was done so far.
 *
 * LH_OK. LH_STOPPED: `progress` asked for it. LH_DENIED: it needs find, update and remove.
 * LH_INVALID, … */
LH_API int lh_cleanup(lh_store *store, const lh_cleanup_options *options, lh_cleanup_report *report,
                      lh_error *error);

#ifdef __cplusplus
}
#endif

#endif

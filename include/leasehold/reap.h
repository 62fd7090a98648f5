/* SPDX-License-Identifier: Apache-2.0
 *
 * Releasing the leases of dead processes on this host. */
#ifndef LEASEHOLD_REAP_H
#define LEASEHOLD_REAP_H

#include <leasehold/record.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A lease, or a place in a queue, of a process that has died. Fields without a value are "". */
typedef struct lh_reaped {
    const char *key, *owner, *purpose;
    int64_t pid, token; /* token 0: it waited */
    int mode;           /* LH_EXCLUSIVE or LH_SHARED */
    bool waited;        /* it was in the queue; otherwise it held the key */
    int64_t since_ms;   /* when it was granted or queued; 0: unknown */
} lh_reaped;

typedef struct lh_reap_options {
    size_t size;
    bool dry_run;   /* report only, change nothing */
    const char *by; /* recorded in `released`; NULL: the store's owner */
} lh_reap_options;

#define LH_REAP_OPTIONS_INIT                                                                       \
    {                                                                                              \
        sizeof(lh_reap_options), false, NULL                                                       \
    }
LH_API void lh_reap_options_init(lh_reap_options *options, size_t size);

typedef struct lh_reap_report {
    size_t size;
    uint64_t holders; /* leases that were ended (dry run: would be) */
    uint64_t waiters; /* waiters that were removed from queues (dry run: would be) */
    uint64_t alive;   /* leases and waiters of this host whose process is not known to be dead */
} lh_reap_report;

#define LH_REAP_REPORT_INIT                                                                        \
    {                                                                                              \
        sizeof(lh_reap_report), 0, 0, 0                                                            \
    }
LH_API void lh_reap_report_init(lh_reap_report *report, size_t size);

/* Releases the leases, and removes the waiters, of processes of this host that have died. The heads
 * of the queues get the keys. Use it when a service that was killed starts again, so that others
 * need not wait for the ends of its leases.
 *
 * It is safe at any time. A lease is ended only if it was recorded with a boot, a host name, a pid
 * namespace, a pid and a start time that all identify a process, and that process is certainly
 * gone. These are left alone: processes that are stopped or hidden; pids that belong to another
 * process now; processes of other containers or of an earlier boot; leases of older programs;
 * leases that another process renews (lh_lease_attach()) or was handed (lh_lease_transfer()); and
 * leases that were acquired under an id of the caller's (`lease_id`), because the caller may
 * continue with the id. Each write applies only to the lease and the process that were read. The
 * document's `released` then has "break", and the reason that the process has died.
 *   - Children of a dead process may still run. They then work without renewals, and only fencing
 *     tokens protect the data.
 *   - Do not use it where copies of a running machine (a snapshot that is resumed twice) share a
 *     boot id, or where a process was restored from a checkpoint (CRIU): its start time differs, so
 *     that it seems dead.
 *
 * `each` (NULL: not wanted) is called for each one after its release (dry run: instead of it), and
 * borrows it. It returns 0 to continue; any other value ends the call with LH_STOPPED. The report
 * is filled on every outcome with what was done so far.
 *
 * LH_OK. LH_STOPPED: `each` asked for it. LH_CONFIG: this system lacks the information (/proc).
 * LH_DENIED: it needs find and update. LH_INVALID, LH_UNREACHABLE, … */
LH_API int lh_reap(lh_store *store, const lh_reap_options *options,
                   int (*each)(void *arg, const lh_reaped *reaped), void *arg,
                   lh_reap_report *report, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The structs that a caller allocates, and their sizes. A program and a library of different
 * versions work together, or the call is refused. No option is ignored silently.
 *
 * Rules for a field that a later version adds:
 * - It goes to the end of the struct. The struct has no padding there (asserted in options.c). In
 *   padding, a new field would leave the size unchanged: an older library would not notice the
 *   option, or would write over the field of a report. If the last field is a bool, add a reserved
 *   field behind it, which must be 0.
 * - In an options struct, 0 must mean "off" or the default, because an older library accepts the
 *   unknown part only if it is 0. */
#ifndef LH_OPTIONS_H
#define LH_OPTIONS_H

#include <leasehold/leasehold.h>

/* Options structs: the type, its macro without _INIT, the last field. */
#define LH_OPTIONS(X)                                                                              \
    X(lh_store_options, LH_STORE_OPTIONS, log_free)                                                \
    X(lh_acquire_options, LH_ACQUIRE_OPTIONS, feedback_arg)                                        \
    X(lh_release_options, LH_RELEASE_OPTIONS, keep_ms)                                             \
    X(lh_list_options, LH_LIST_OPTIONS, n_keys)                                                    \
    X(lh_stats_options, LH_STATS_OPTIONS, timeout_ms)                                              \
    X(lh_watch_options, LH_WATCH_OPTIONS, cancel)                                                  \
    X(lh_break_options, LH_BREAK_OPTIONS, id)                                                      \
    X(lh_cleanup_options, LH_CLEANUP_OPTIONS, progress_arg)                                        \
    X(lh_reap_options, LH_REAP_OPTIONS, by)                                                        \
    X(lh_audit_options, LH_AUDIT_OPTIONS, cancel)                                                  \
    X(lh_migrate_options, LH_MIGRATE_OPTIONS, id)                                                  \
    X(lh_doctor_options, LH_DOCTOR_OPTIONS, trial)

/* Reports: the type, its macro without _INIT, the last field, and the last field of its first
 * version, which every caller has. */
#define LH_REPORTS(X)                                                                              \
    X(lh_observed, LH_OBSERVED, skipped, skipped)                                                  \
    X(lh_metrics, LH_METRICS, acquires_us, acquires_us)                                            \
    X(lh_migrate_report, LH_MIGRATE_REPORT, problems, problems)                                    \
    X(lh_cleanup_report, LH_CLEANUP_REPORT, waiters_dropped, waiters_dropped)                      \
    X(lh_reap_report, LH_REAP_REPORT, alive, alive)

/* lh_…_options_take(): fills *ret_options with the defaults, and with what `given` sets (NULL:
 * nothing). LH_INVALID: the message names the struct, and says that its size is wrong or that it
 * sets an option that this library does not know. */
#define X(type, macro, last) int type##_take(type *ret_options, const type *given, lh_error *error);
LH_OPTIONS(X)
#undef X

/* lh_…_report_check(): LH_OK if *ret_report has room for a report, or is NULL; else LH_INVALID.
 * lh_…_report_give(): copies `all` to *ret_report (may be NULL), up to the smaller size. */
#define X(type, macro, last, least)                                                                \
    int type##_check(const type *ret_report, lh_error *error);                                     \
    void type##_give(type *ret_report, const type *all);
LH_REPORTS(X)
#undef X

#endif

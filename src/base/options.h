/* SPDX-License-Identifier: Apache-2.0
 * The structs that a caller allocates, and their sizes: a program and a library of different age go
 * together, or the call is refused. No option is lost in silence.
 *
 * A field that a later version adds
 *   - goes to the end. The struct has no padding there (asserted in options.c): else the field
 *     would take its place, the size would stay the same, and an older library would not see an
 *     option, or write over what a report has there. Where a bool is the last one, fill up with a
 *     reserved field, which must be 0.
 *   - of an options struct means "off", or the default, where it is 0: an older library accepts the
 *     rest as long as it is 0. */
#ifndef LH_OPTIONS_H
#define LH_OPTIONS_H

#include <leasehold/leasehold.h>

/* Options, their macro without _INIT, their last field. */
#define LH_OPTIONS(X)                                                                              \
    X(lh_store_options, LH_STORE_OPTIONS, audit)                                                   \
    X(lh_acquire_options, LH_ACQUIRE_OPTIONS, feedback_arg)                                        \
    X(lh_release_options, LH_RELEASE_OPTIONS, note)                                                \
    X(lh_list_options, LH_LIST_OPTIONS, limit)                                                     \
    X(lh_stats_options, LH_STATS_OPTIONS, timeout_ms)                                              \
    X(lh_watch_options, LH_WATCH_OPTIONS, cancel)                                                  \
    X(lh_break_options, LH_BREAK_OPTIONS, id)                                                      \
    X(lh_cleanup_options, LH_CLEANUP_OPTIONS, progress_arg)                                        \
    X(lh_reap_options, LH_REAP_OPTIONS, each_arg)                                                  \
    X(lh_audit_options, LH_AUDIT_OPTIONS, cancel)                                                  \
    X(lh_migrate_options, LH_MIGRATE_OPTIONS, id)                                                  \
    X(lh_doctor_options, LH_DOCTOR_OPTIONS, trial)

/* What calls fill in, its macro likewise, its last field, and the last of its first version, which
 * a caller has at least. */
#define LH_REPORTS(X)                                                                              \
    X(lh_observed, LH_OBSERVED, skipped, skipped)                                                  \
    X(lh_migrate_report, LH_MIGRATE_REPORT, problems, problems)                                    \
    X(lh_cleanup_report, LH_CLEANUP_REPORT, waiters_dropped, waiters_dropped)                      \
    X(lh_reap_report, LH_REAP_REPORT, alive, alive)

/* lh_…_options_take(): fills *ret_options with the defaults, and with what `given` (NULL: nothing)
 * says. LH_OK, or LH_INVALID with the struct's name and what is wrong with its size, or that it
 * sets what this library does not know. */
#define X(type, macro, last) int type##_take(type *ret_options, const type *given, lh_error *error);
LH_OPTIONS(X)
#undef X

/* lh_…_report_check(): is there room for a report, or none wanted (NULL)? LH_OK or LH_INVALID.
 * lh_…_report_give(): copies `all` to *ret_report (NULL: to nobody), as far as that goes. */
#define X(type, macro, last, least)                                                                \
    int type##_check(const type *ret_report, lh_error *error);                                     \
    void type##_give(type *ret_report, const type *all);
LH_REPORTS(X)
#undef X

#endif

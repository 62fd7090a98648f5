/* SPDX-License-Identifier: Apache-2.0
 * Helpers for all files of the migration: deadlines, progress reports and pauses. */
#include "migrate/migrate_parts.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/error.h"
#include "store/store.h"

int64_t lh_migrate_until(const lh_migration *m)
{
    int64_t until = lh_store_deadline(m->store, 0);
    return until < m->deadline ? until : m->deadline;
}

int lh_migrate_progress(const lh_migration *m, const char *step, uint64_t done, uint64_t total,
                        lh_error *error)
{
    if (lh_clock_ms() >= m->deadline)
        return lh_fail(error, LH_REASON_TIMED_OUT,
                       "out of time during the step \"%s\": call again to resume", step);
    if (m->options->progress &&
        m->options->progress(m->options->progress_arg, step, done, total) != 0)
        return lh_fail(error, LH_STOPPED, "stopped during the step \"%s\": call again to resume",
                       step);
    return LH_OK;
}

void lh_migrate_pause(const lh_migration *m, lh_backoff *pause)
{
    int64_t ms = lh_backoff_next(pause), left = m->deadline - lh_clock_ms();
    lh_clock_sleep(ms < left ? ms : left);
}

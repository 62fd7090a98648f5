/* SPDX-License-Identifier: Apache-2.0
 * The doctor's findings: reports one, and handles a check that could not be made. */
#include "operate/doctor_finding.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "operate/doctor.h"

enum { WHAT_ROOM = 700 };

void lh_doctor_report(lh_doctor_state *d, lh_kind kind, uint64_t count, const char *what_to_do,
                      const char *what, ...)
{
    if (d->stopped)
        return;
    char text[WHAT_ROOM];
    va_list args;
    va_start(args, what);
    (void)vsnprintf(text, sizeof text, what, args);
    va_end(args);
    lh_cut_utf8(text, sizeof text - 2);
    lh_finding finding = {.id = kind.id,
                          .severity = kind.severity,
                          .outcome = kind.outcome,
                          .count = count,
                          .what = text,
                          .what_to_do = what_to_do};
    d->errors |= kind.severity == LH_SEVERITY_ERROR;
    d->stopped = d->each(d->arg, &finding) != 0;
}

const char *lh_severity_word(int severity)
{
    return severity == LH_SEVERITY_ERROR     ? "error"
           : severity == LH_SEVERITY_WARNING ? "warning"
                                             : "note";
}

int lh_doctor_failed(lh_doctor_state *d, const lh_error *why)
{
    if (why->code == LH_DENIED) {
        if (!d->denied)
            lh_doctor_report(
                d, (lh_kind){"privilege", LH_SEVERITY_ERROR, LH_DENIED}, 1,
                "give the user the role that it needs: leasehold doctor --roles prints the roles",
                "%s", why->message);
        d->denied = true;
        return LH_OK;
    }
    lh_error_give(d->error, why);
    return why->code;
}

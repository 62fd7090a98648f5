/* SPDX-License-Identifier: Apache-2.0
 * The doctor's findings: reports one, and handles a check that could not be made. */
#ifndef LH_DOCTOR_FINDING_H
#define LH_DOCTOR_FINDING_H

#include "operate/doctor.h"

/* Reports a finding. `what` is a format for what was found. */
void lh_doctor_report(lh_doctor_state *d, lh_kind kind, uint64_t count, const char *what_to_do,
                      const char *what, ...) __attribute__((format(printf, 5, 6)));

/* A check could not be made. LH_OK: this was reported as a finding, and other checks can go on. Any
 * other outcome ends the doctor. */
int lh_doctor_failed(lh_doctor_state *d, const lh_error *why);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The doctor's findings: how one is reported, and what becomes of a check that could not be
 * made. */
#ifndef LH_DOCTOR_FINDING_H
#define LH_DOCTOR_FINDING_H

#include "operate/doctor.h"

/* Tells a finding: what it is, as a format, and what to do. */
void lh_doctor_tell(lh_doctor_state *d, lh_kind kind, uint64_t count, const char *what_to_do,
                    const char *what, ...) __attribute__((format(printf, 5, 6)));

/* A check could not be made. LH_OK: it was told as a finding, go on; else the doctor can do
 * nothing. */
int lh_doctor_failed(lh_doctor_state *d, const lh_error *why);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The doctor: finds out as which user we are authenticated, and whether it has the rights of its
 * role. */
#ifndef LH_DOCTOR_RIGHTS_H
#define LH_DOCTOR_RIGHTS_H

#include "operate/doctor.h"

/* Returns LH_OK, or the error that ends the doctor's checks. */
int lh_doctor_rights(lh_doctor_state *d);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The doctor: what the connection string says, beside what there is. */
#ifndef LH_DOCTOR_URI_H
#define LH_DOCTOR_URI_H

#include "operate/doctor.h"

/* Each looks at one side, and returns LH_OK or what ends the visit. */
int lh_doctor_uri(lh_doctor_state *d); /* the connection string */

#endif

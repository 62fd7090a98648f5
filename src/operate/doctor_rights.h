/* SPDX-License-Identifier: Apache-2.0
 * The doctor: who we are for the server, and whether that user has the rights of its role. */
#ifndef LH_DOCTOR_RIGHTS_H
#define LH_DOCTOR_RIGHTS_H

#include "operate/doctor.h"

/* Each looks at one side, and returns LH_OK or what ends the visit. */
int lh_doctor_rights(lh_doctor_state *d); /* who we are, and what is missing */

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The doctor: topology, the members' clocks, known defects of servers and of the driver. */
#ifndef LH_DOCTOR_MEMBERS_H
#define LH_DOCTOR_MEMBERS_H

#include "operate/doctor.h"

/* Each looks at one side, and returns LH_OK or what ends the visit. */
int lh_doctor_members(lh_doctor_state *d); /* topology, clocks, versions */

#endif

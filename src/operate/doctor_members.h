/* SPDX-License-Identifier: Apache-2.0
 * The doctor: checks the topology, the members' clocks, and known defects of server and driver
 * versions. */
#ifndef LH_DOCTOR_MEMBERS_H
#define LH_DOCTOR_MEMBERS_H

#include "operate/doctor.h"

/* Returns LH_OK, or the error that ends the doctor's checks. */
int lh_doctor_members(lh_doctor_state *d);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The doctor: compares the connection string with the deployment. */
#ifndef LH_DOCTOR_URI_H
#define LH_DOCTOR_URI_H

#include "operate/doctor.h"

/* Returns LH_OK, or the error that ends the doctor's checks. */
int lh_doctor_uri(lh_doctor_state *d);

#endif

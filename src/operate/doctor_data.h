/* SPDX-License-Identifier: Apache-2.0
 * The doctor: the collection, its unique index, and what is stored in it. */
#ifndef LH_DOCTOR_DATA_H
#define LH_DOCTOR_DATA_H

#include "operate/doctor.h"

/* Each looks at one side, and returns LH_OK or what ends the visit. */
int lh_doctor_index(lh_doctor_state *d);     /* collection, index, duplicates */
int lh_doctor_documents(lh_doctor_state *d); /* what is stored */

#endif

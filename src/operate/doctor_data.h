/* SPDX-License-Identifier: Apache-2.0
 * The doctor: checks the collection, its unique index, and the stored documents. */
#ifndef LH_DOCTOR_DATA_H
#define LH_DOCTOR_DATA_H

#include "operate/doctor.h"

/* Each returns LH_OK, or the error that ends the doctor's checks. */
int lh_doctor_index(lh_doctor_state *d);     /* the collection, its index, duplicates */
int lh_doctor_documents(lh_doctor_state *d); /* the stored documents */

#endif

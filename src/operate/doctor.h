/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the doctor share: whom they tell. */
#ifndef LH_DOCTOR_H
#define LH_DOCTOR_H

#include "store/index.h"

typedef struct lh_doctor {
    lh_store *store;
    const lh_doctor_options *o;
    int (*each)(void *arg, const lh_finding *finding);
    void *arg;
    int64_t deadline; /* of all but the reading of the documents */
    bool stopped;     /* by `each` */
    bool errors;      /* one was found */
    bool denied;      /* a privilege was found missing: what fails for it later is no news */
    lh_error *error;
} lh_doctor_state;

/* What a finding is but its words. */
typedef struct lh_kind {
    const char *id;
    int severity, outcome;
} lh_kind;

#endif

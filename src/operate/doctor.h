/* SPDX-License-Identifier: Apache-2.0
 * State that the doctor's files share. */
#ifndef LH_DOCTOR_H
#define LH_DOCTOR_H

#include "store/index.h"

typedef struct lh_doctor {
    lh_store *store;
    const lh_doctor_options *options;
    int (*each)(void *arg, const lh_finding *finding);
    void *arg;
    int64_t deadline; /* for everything except reading the documents */
    bool stopped;     /* `each` asked to stop */
    bool errors;      /* at least one error was found */
    bool denied;      /* A missing privilege was reported, so later failures for it are not. */
    lh_error *error;
} lh_doctor_state;

/* A finding without its texts. */
typedef struct lh_kind {
    const char *id;
    int severity, outcome;
} lh_kind;

#endif

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

/* Tells a finding: what it is, as a format, and what to do. */
void lh_doctor_tell(lh_doctor_state *d, lh_kind kind, uint64_t count, const char *what_to_do, const char *what, ...)
    __attribute__((format(printf, 5, 6)));

/* A check could not be made. LH_OK: it was told as a finding, go on; else the doctor can do nothing. */
int lh_doctor_failed(lh_doctor_state *d, const lh_error *why);

/* Each looks at one side, and returns LH_OK or what ends the visit. */
int lh_doctor_uri(lh_doctor_state *d);       /* the connection string */
int lh_doctor_members(lh_doctor_state *d);   /* topology, clocks, versions */
int lh_doctor_rights(lh_doctor_state *d);    /* who we are, and what is missing */
int lh_doctor_index(lh_doctor_state *d);     /* collection, index, duplicates */
int lh_doctor_documents(lh_doctor_state *d); /* what is stored */

#endif

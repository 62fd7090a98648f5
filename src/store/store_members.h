/* SPDX-License-Identifier: Apache-2.0
 * The deployment's members, each asked separately. */
#ifndef LH_STORE_MEMBERS_H
#define LH_STORE_MEMBERS_H

#include "store/store.h"

typedef struct lh_member {
    const char *host; /* "db0:27017" */
    /* a primary, secondary or standalone; of a member that does not answer: it should be one */
    bool bears_data;
    bool is_arbiter; /* votes, and stores no data */
    /* its name does not resolve or connect here, and the URI names another member only */
    bool unasked;
    bool answers;        /* the rest is valid only if true */
    int64_t offset_ms;   /* its clock minus this machine's */
    int64_t doubt_ms;    /* the uncertainty of that: half of the round trip */
    const char *version; /* "6.0.5"; "": unknown */
} lh_member;

/* Passes each member that the primary lists to `each`; hidden members are not listed. LH_OK,
 * LH_UNREACHABLE, or as lh_store_contact(). */
int lh_store_members(lh_store *store, int64_t deadline,
                     void (*each)(void *arg, const lh_member *member), void *arg, lh_error *error);

/* The driver's version: "1.23.1". */
const char *lh_store_driver(void);

/* True if the connection uses TLS, or stays on this machine. */
bool lh_store_is_private(lh_store *store);

#endif

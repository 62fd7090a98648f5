/* SPDX-License-Identifier: Apache-2.0
 * The deployment's members, each asked by itself. */
#ifndef LH_STORE_MEMBERS_H
#define LH_STORE_MEMBERS_H

#include "store/store.h"

typedef struct lh_member {
    const char *host; /* "db0:27017" */
    /* primary, secondary, or a standalone; of one that does not answer: it should be */
    bool bears_data;
    bool is_arbiter; /* votes, and keeps nothing */
    /* not reached from here by its name, and the URI names another one alone */
    bool unasked;
    bool answers;        /* the rest is known only then */
    int64_t offset_ms;   /* its clock less this machine's */
    int64_t doubt_ms;    /* by how much that may be wrong: half of the round trip */
    const char *version; /* "6.0.5"; "" where it does not tell */
} lh_member;

/* Gives each member that the primary lists (hidden ones are not). LH_OK, LH_UNREACHABLE, or what
 * lh_store_contact() returns. */
int lh_store_members(lh_store *store, int64_t deadline,
                     void (*each)(void *arg, const lh_member *member), void *arg, lh_error *error);

/* The driver's version: "1.23.1". */
const char *lh_store_driver(void);

/* Is the deployment reached with TLS, or only on this machine? */
bool lh_store_is_private(lh_store *store);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Which actions of MongoDB's access control our commands need, which roles they make, and whether a
 * user has them. Pure: BSON in, answers out. */
#ifndef LH_RIGHTS_H
#define LH_RIGHTS_H

#include <bson/bson.h>

#include "base/error.h"

/* One action on one resource. */
typedef struct lh_right {
    const char *action;
    const char *db, *collection; /* collection "": the whole database */
} lh_right;

/* Gives the rights that `command`, run on `db`, needs; those of commands that everybody may run are
 * none. */
void lh_rights_of_command(const bson_t *command, const char *db,
                          void (*each)(void *arg, const lh_right *right), void *arg);

/* What a role is for: a collection of leases, and its trail; NULL: there is none. */
typedef struct lh_rights_on {
    const char *db, *collection, *audit;
} lh_rights_on;

/* Gives the rights of a role (LH_ROLE_…). */
void lh_rights_of_role(int role, const lh_rights_on *on,
                       void (*each)(void *arg, const lh_right *right), void *arg);

/* `status`: the answer to {connectionStatus: 1, showPrivileges: true}. Does the user have the
 * right? */
bool lh_rights_has(const bson_t *status, const lh_right *right);
/* "anna@admin"; NULL: nobody has authenticated. To be freed with bson_free(). */
char *lh_rights_user(const bson_t *status);

/* "leasehold.workspace_locks", or "the database leasehold", in `text`. */
enum { LH_RIGHT_ROOM = 192 };
void lh_rights_place(const lh_right *right, char text[LH_RIGHT_ROOM]);

/* The command {createRole: …} of a role, appended to `command`. */
void lh_rights_append_create(int role, const lh_rights_on *on, bson_t *command);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The actions of MongoDB's access control that our commands need, the roles that they form, and
 * whether a user has them. Pure. */
#ifndef LH_RIGHTS_H
#define LH_RIGHTS_H

#include <bson/bson.h>

#include "base/error.h"

/* One action on one resource. */
typedef struct lh_right {
    const char *action;
    const char *db, *collection; /* collection "": the whole database */
} lh_right;

/* Passes to `each` the rights that `command`, run on `db`, needs. A command that everybody may run
 * needs none. */
void lh_rights_of_command(const bson_t *command, const char *db,
                          void (*each)(void *arg, const lh_right *right), void *arg);

/* The subject of a role: a collection of leases and its trail (NULL: none). */
typedef struct lh_rights_on {
    const char *db, *collection, *audit;
} lh_rights_on;

/* Passes to `each` the rights of a role (LH_ROLE_…). */
void lh_rights_of_role(int role, const lh_rights_on *on,
                       void (*each)(void *arg, const lh_right *right), void *arg);

/* True if the user has the right. `status`: the reply to {connectionStatus: 1, showPrivileges:
 * true}. */
bool lh_rights_has(const bson_t *status, const lh_right *right);
/* "anna@admin"; NULL: not authenticated. The caller frees it with bson_free(). */
char *lh_rights_user(const bson_t *status);

/* Writes "leasehold.workspace_locks", or "the database leasehold", to `text`. */
enum { LH_RIGHT_ROOM = 192 };
void lh_rights_place(const lh_right *right, char text[LH_RIGHT_ROOM]);

/* Appends the command {createRole: …} of a role to `command`. */
void lh_rights_append_create(int role, const lh_rights_on *on, bson_t *command);

#endif

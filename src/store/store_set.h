/* SPDX-License-Identifier: Apache-2.0
 * Compares the connection string with the set that it reaches: another set than it names, or one
 * member alone. */
#ifndef LH_STORE_SET_H
#define LH_STORE_SET_H

#include "store/store.h"

struct _mongoc_uri_t;
struct _mongoc_server_description_t;

/* Call it before the pool is used. If the URI names a set, it notes servers of another set: the
 * driver leaves them out of its view without a message. LH_OK, LH_MEMORY. */
int lh_store_note_sets(lh_store *store, const struct _mongoc_uri_t *uri, lh_error *error);
void lh_store_forget_sets(lh_store *store); /* call it after the pool is destroyed */

/* Lets the driver choose a server for the first time. NULL at once if all hosts belong to another
 * set: the driver would wait in vain. */
struct _mongoc_server_description_t *lh_store_choose(lh_store *store,
                                                     struct _mongoc_client_t *client,
                                                     bson_error_t *why);

/* LH_OK; LH_CONFIG, with both names: a server of another set, or of none, answered. */
int lh_store_judge_sets(lh_store *store, lh_error *error);

/* True if the URI is that of one server, whatever its role. The driver then follows no election. */
bool lh_store_is_direct(const struct _mongoc_uri_t *uri);

/* Judges a server that is reached directly. LH_OK: it is the primary, or in no set. LH_CONFIG: it
 * is another member of a set. LH_UNREACHABLE: it is the only member of its set, and not yet
 * primary. */
int lh_store_judge_direct(const struct _mongoc_server_description_t *server, lh_error *error);

/* Writes "db0:27017,db1:27017", the members as `hello` lists them, for a connection string. Returns
 * their number. */
size_t lh_store_list_set(const bson_t *hello, char *list, size_t size);

/* The connection string beside the deployment. For the doctor. */
typedef struct lh_reach {
    bool direct; /* no election is followed */
    /* hosts that the connection string names (0: by an SRV record), members that keep data */
    size_t seeds, members;
    char set[128];   /* "": no set */
    char hosts[700]; /* lh_store_list_set() */
} lh_reach;
int lh_store_reach(lh_store *store, lh_reach *ret_reach, lh_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The connection string and the set that it reaches: another one than it names, or one member of
 * it alone. */
#ifndef LH_STORE_SET_H
#define LH_STORE_SET_H

#include "store/store.h"

struct _mongoc_uri_t;
struct _mongoc_server_description_t;

/* Before the pool is used: where the URI names a set, servers of another one are noted. The driver
 * leaves them out of its view, and says nothing. LH_OK, LH_MEMORY. */
int lh_store_note_sets(lh_store *store, const struct _mongoc_uri_t *uri, lh_error *error);
void lh_store_forget_sets(lh_store *store); /* after the pool has gone */

/* The first choice of a server, as the driver makes it; but NULL at once where all hosts are of
 * another set: the driver would wait in vain. */
struct _mongoc_server_description_t *lh_store_choose(lh_store *store,
                                                     struct _mongoc_client_t *client,
                                                     bson_error_t *why);

/* LH_OK; LH_CONFIG with both names when a server of another set (or of none) answered. */
int lh_store_judge_sets(lh_store *store, lh_error *error);

/* Is the URI that of one server, whatever it becomes? Then the driver follows no election. */
bool lh_store_is_direct(const struct _mongoc_uri_t *uri);

/* Of a server reached directly. LH_OK: it is the primary, or in no set. LH_CONFIG: it is another
 * member of a set; LH_UNREACHABLE: … of which it is the only one, and no primary yet. */
int lh_store_judge_direct(const struct _mongoc_server_description_t *server, lh_error *error);

/* "db0:27017,db1:27017": the set's members as `hello` lists them, for a connection string. Returns
 * how many there are. */
size_t lh_store_list_set(const bson_t *hello, char *list, size_t size);

/* What the connection string names, beside what there is. For the doctor. */
typedef struct lh_reach {
    bool direct; /* no election is followed */
    /* hosts that the connection string names (0: by an SRV record), members that keep data */
    size_t seeds, members;
    char set[128];   /* "": no set */
    char hosts[700]; /* lh_store_list_set() */
} lh_reach;
int lh_store_reach(lh_store *store, lh_reach *ret_reach, lh_error *error);

#endif

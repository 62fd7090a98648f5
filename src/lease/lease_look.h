/* SPDX-License-Identifier: Apache-2.0
 * Looking at many keys at once: which of my lease ids hold, and which wait. */
#ifndef LH_LEASE_LOOK_H
#define LH_LEASE_LOOK_H

#include "lease/lease.h"
#include "protocol/doc.h"

typedef struct lh_look {
    void (*granted)(void *arg, const lh_grant *grant,
                    int64_t now_ms); /* it holds (its end may have passed at now_ms) */
    void (*queued)(void *arg, const char *id, bool first);
    /* the holder's end, from when the server answered; of a kept key sooner by the grace */
    void (*ends)(void *arg, const char *key, int64_t in_ms);
    void *arg;
} lh_look;

/* One read at majority. A callback may be NULL. LH_OK, or what failed. */
int lh_lease_look(lh_store *store, const bson_t *keys, const bson_t *ids, const lh_look *look,
                  lh_context context, lh_error *error);

/* The document whose _id is `key` and that is not the key's: *ret_other is its record, NULL where
 * there is none. */
int lh_lease_look_other(lh_store *store, const char *key, lh_context context, lh_record **ret_other,
                        lh_error *error);

/* The first document of a find's or an aggregate's reply, borrowed from it. False: there is
 * none. */
bool lh_reply_first(const bson_t *reply, bson_t *ret_view);

/* The number in a reply; 0 where there is none. With writeErrors in it nothing is known: -1. */
int64_t lh_reply_n(const bson_t *reply);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Leases: acquire once, renew, release; a command each. */
#ifndef LH_LEASE_H
#define LH_LEASE_H

#include "lease/lease_held.h"
#include "protocol/doc.h"
#include "protocol/pipeline.h"
#include "store/store.h"

/* Draws a lease id: 128 random bits from the system. LH_BUG: the system gives none. */
int lh_lease_id_new(char ret_id[LH_LEASE_ID_ROOM], lh_error *error);

/* The range of a ttl: LH_INVALID, with the sentence. */
int lh_lease_check_ttl(int64_t ttl_ms, lh_error *error);

/* LH_DATA; `problem` says why, and the sentence how to look at it. */
int lh_lease_fail_unreadable(const char *key, const char *problem, lh_error *error);

/* The variables that every command needs. */
lh_vars lh_lease_vars(const lh_store *store, const char *key, const char *lease_id);

/* What came back: `document` is a view into `bson`, if `there` is one. The short forms of a
 * renewal and a release have none: `wrote` says that they did it, and then all is settled. `sent`:
 * lh_clock_ms() before the send. */
typedef struct lh_reply {
    bson_t bson, document;
    bool there, found, wrote; /* found: there was a document to look at */
    /* an earlier attempt may have been applied, and its answer was lost */
    bool maybe;
    int64_t sent;
    lh_mine mine; /* what the document says of the asker's id; nothing where none is there */
} lh_reply;

/* How long what was granted or renewed by this command lasts, from the server's time in its answer:
 * the ttl, or longer where an earlier one had given it more. */
int64_t lh_lease_lasts(const struct lh_mine *mine, int64_t ttl_ms);

/* Until when that may be believed: it was sent at `sent`. */
int64_t lh_lease_deadline(int64_t sent, int64_t lasts_ms);

/* A grant that may be believed until `deadline`: the server's answer, or news of one, said so. */
typedef struct lh_granted {
    lh_store *store;
    const char *key, *id;
    const lh_acquire_options *o; /* what was asked for; complete */
    int64_t deadline, token, expires_at_ms;
    bool crowded;   /* others wait for the key */
    bool unclaimed; /* by another's command: it has to be claimed */
} lh_granted;

/* The one place where a grant becomes a lease: a handle, which the store holds. LH_LOST: the id is
 * in doubt, and its release is on the way or was sent, so nobody may believe in it; it is a doubt
 * from here on. LH_MEMORY: the caller gives back what the server granted. Sends nothing. */
int lh_lease_believe(const lh_granted *granted, lh_lease **ret_lease, lh_error *error);

/* The lease goes on. False: it was over by then. */
bool lh_lease_extend(lh_lease *lease, const lh_renewed *renewed);

/* The server's end of a renewal that was sent at `sent` and whose answer does not tell it, by the
 * server's clock as last heard. It is for people. */
int64_t lh_lease_expires_after(const lh_store *store, int64_t ttl_ms, int64_t sent);

/* By what the server granted, whether it is enforced or not: how long it may be believed still. */
int64_t lh_lease_left_ms(const lh_lease *lease);
bool lh_lease_believed(const lh_lease *lease);

/* The operations themselves, whatever the store's mode: lh_lease_renew() and lh_lease_release()
 * without what calls.c checks before them. `o` may be NULL. */
int lh_core_renew(lh_lease *lease, int64_t ttl_ms, lh_record **ret_record, lh_error *error);
int lh_core_release(lh_lease *lease, const lh_release_options *o, lh_error *error);

/* Logs what a call on one lease came to. Returns the outcome. */
int lh_lease_log(lh_lease *lease, int event, int64_t began_us, int outcome, const lh_error *error);

/* It is over, by its holder's will: the store need not release it. Was it valid until now? */
bool lh_lease_end(lh_lease *lease);

/* It ended, and not by its holder's will: told once, by descriptor and callback. Nothing when it
 * was over before. Not with the lock of `held`. */
void lh_lease_lose(lh_lease *lease);

/* Sends the release of a lease id that nobody believes in; if that cannot be done now, it becomes a
 * doubt for `ttl_ms`. True: it was answered, and released. */
bool lh_lease_release_id(lh_store *store, const char *key, const char *lease_id, int64_t ttl_ms,
                         lh_context context);

/* Out of the queue; or released, if it was granted meanwhile. LH_OK also when it was neither.
 * *ret_record (if not NULL): what was seen; NULL: out of memory. */
int lh_lease_leave_queue(lh_store *store, const char *key, const char *lease_id, lh_context context,
                         lh_record **ret_record, lh_error *error);

/* Ends a lease that was not handed out, and takes back what is stored of it. LH_OK: nothing is;
 * else it is a doubt that the keeper settles. */
int lh_lease_give_back(lh_lease *lease, int64_t timeout_ms);

#endif

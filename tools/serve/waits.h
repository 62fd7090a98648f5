/* SPDX-License-Identifier: Apache-2.0
 * The waits for keys, each with an open request: a table, and one thread with epoll. */
#ifndef SERVE_WAITS_H
#define SERVE_WAITS_H

#include "serve/request.h"
#include "serve/texts.h"

struct waits;

/* An acquire, and the requests for it: one, or several with the same Idempotency-Key. It outlives
 * its requests: if a client disconnects, the place in the queue must still be released. */
struct ask {
    struct server *server;
    struct job job;
    struct repeat *repeat;    /* its Idempotency-Key's; NULL: none */
    struct request *requests; /* that want to hear of it. Guarded by waits_lock() */
    lh_waiting *waiting;
    bool queued;           /* the key was not free at once */
    bool watched;          /* it is in the table, and so are its requests */
    struct client *client; /* a reference, and one of its waits where wait_ms is not 0 */
    char key[LH_KEY_MAX + 1], owner[LH_OWNER_MAX + 1], purpose[LH_TEXT_MAX + 1];
    int64_t ttl_ms, wait_ms, began_ms;
    int64_t deserted_ms; /* when its last client went away; 0: there is one */
    int mode;
    bool path, resume;
    struct texts keys;                      /* several; then none of them is in `key` */
    char (*lease_ids)[LH_LEASE_ID_LEN + 1]; /* of `keys`, once they are granted; else NULL */
    struct ask *next, *before;
};

/* What becomes of an ask that was let go of: with the waits locked there is an outcome, or nobody
 * wants to hear of it; at the server's end it is freed, its `waiting` was ended. */
struct waits_ends {
    void (*settled)(struct ask *ask);
    void (*deserted)(struct ask *ask);
    void (*release)(struct ask *ask);
};

int waits_new(struct server *server, const struct waits_ends *ends, struct waits **ret_waits,
              lh_error *error);

/* Looks after an ask from here on: it ends as waits_ends says. False: the system has no
 * descriptor left, the server ends, or the client's token was taken away; nothing was done. */
bool waits_add(struct waits *waits, struct ask *ask);

/* Who reads or changes the requests of an ask. */
void waits_lock(struct waits *waits);
void waits_unlock(struct waits *waits);
/* Adds a request to an ask. Locked. */
void waits_join(struct waits *waits, struct ask *ask, struct request *request);

/* Those of clients whose token was taken away are answered (401), and leave the queues. */
void waits_revoke(struct waits *waits);
/* Answers all that wait (503). What they waited for stays with the table, and is ended by
 * waits_free() after the store was closed, which makes them leave the queue. */
void waits_stop(struct waits *waits);
void waits_free(struct waits *waits);

#endif

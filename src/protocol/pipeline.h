/* SPDX-License-Identifier: Apache-2.0
 * The protocol itself: the update pipelines that decide on the server, and the commands that carry
 * them. Pure.
 *
 * Each pipeline is a constant text, parsed once. The values of a call are sent in the command's
 * `let`, wrapped in $literal. The short forms have them in place, filled in as bytes. Home of
 * invariant 8: a caller's string is never part of an expression. */
#ifndef LH_PIPELINE_H
#define LH_PIPELINE_H

#include <bson/bson.h>

#include "base/error.h"

/* The operations on the document of one key. The sources in protocol/ define them. */
typedef enum {
    /* extend the caller's lease, or grant one, or leave the document untouched */
    LH_OP_ACQUIRE_EXCLUSIVE,
    LH_OP_ACQUIRE_SHARED,
    /* as acquire exclusive, but a lease that the same owner holds alone is granted again to the
     * caller */
    LH_OP_RESUME,
    LH_OP_WAIT_EXCLUSIVE, /* as acquire, or stay in the queue; also grants the first waiter */
    LH_OP_WAIT_SHARED,
    /* extend the caller's lease if it has not ended; its token must be the given one, unless that
     * is 0 */
    LH_OP_RENEW,
    LH_OP_RELEASE,      /* release, or leave the queue; the same write grants the first waiter */
    LH_OP_RELEASE_KEPT, /* the same, but the key of an exclusive lease stays taken for `keep_ms` */
    /* end the caller's lease, and grant one to `to_owner` under the new lease id `to` */
    LH_OP_TRANSFER,
    LH_OP_BREAK, /* end exactly the holder that was read */
    /* as leave, on behalf of a dead process: only if that process still holds the key, or waits for
     * it */
    LH_OP_REAP,
    LH_OP_SETTLE, /* remove the dead; grant the first waiter */
    LH_OP_COUNT
} lh_op;

typedef struct lh_pipelines lh_pipelines;

/* NULL: out of memory. */
lh_pipelines *lh_pipelines_new(void);
void lh_pipelines_free(lh_pipelines *pipelines);

enum { LH_VARS_PROC = 112 };

/* The variables of a command. Those that a pipeline does not use may be 0 or NULL. */
typedef struct lh_vars {
    const char *key, *me;               /* me: the caller's lease id */
    const char *owner, *host, *purpose; /* purpose may be NULL */
    int64_t pid, ttl_ms, grace_ms, token;
    int64_t max_shared;
    /* for commands that may wait; claim_ms is 0 in all others */
    int64_t claim_ms, beat, max_waiters;
    /* for a transfer: the new lease id, and its owner; NULL in all others */
    const char *to, *to_owner;
    /* for a release: the note for the next holder; NULL or "": none */
    const char *note;
    int64_t keep_ms;         /* for a release that keeps the key; 0 in all others */
    const char *by, *reason; /* for a break, and a reap */
    const char *dead;        /* for a reap: the process, as stored */
    /* the caller's process and the beginning of `me`; "": no process is recorded */
    char proc[LH_VARS_PROC];
    /* for a renewal, or an acquire of the caller's own lease: another process may have acquired
     * it */
    bool foreign;
    /* for a break: as read; seen_id and seen_token NULL: missing */
    const bson_value_t *seen_doc_id, *seen_id, *seen_token;
    bool by_id; /* for a break: find the document by its _id; `key` is not a valid key */
    /* for a short form: find the document by its _id, which is the key. Such a document may be
     * missing although another one has the key. */
    bool own;
    /* the _id of a document that a whole form inserts; NULL: the key. Needed if the document of
     * another key has this key as its _id. */
    const bson_oid_t *doc_id;
    bool judging; /* for cleanup */
    bool set;     /* the deployment is a replica set, and tokens come from its cluster time */
} lh_vars;

/* Makes a findAndModify on `collection` for the key. `command` is initialised and empty; everything
 * but the concerns is appended. `whole`: the form that can decide every document. Otherwise the
 * short form, if lh_pipeline_has_short(); it leaves documents that are not simple untouched. The
 * short renewal and release are an update: their reply only shows whether they changed the
 * document. */
void lh_pipeline_command(const lh_pipelines *pipelines, lh_op op, bool whole,
                         const char *collection, const lh_vars *vars, bson_t *command);

/* A find that returns {workspace_id, now, end, granted, queued, first} for each of `keys`: when its
 * holder ends, which of the lease ids `ids` hold it or wait for it, and which id is first in its
 * queue. lh_doc_each_grant() reads `granted`. */
void lh_pipeline_poll(const lh_pipelines *pipelines, const char *collection, const bson_t *keys,
                      const bson_t *ids, bson_t *command);

/* A find of the first document, in the order of keys, that matches `where` and excludes a lease
 * above or below it: one with a live exclusive holder, or, unless `shared`, with any live holder.
 * Its fields are those of an acquire whose result is busy. */
void lh_pipeline_conflict(const lh_pipelines *pipelines, const char *collection,
                          const lh_vars *vars, bool shared, const bson_t *where, bson_t *command);

/* For cleanup; ttl_ms of its variables is the time after which a free key may be removed.
 * - judge_all: a find that returns {_id, removable, dead_holders, dead_waiters} for each document.
 * - remove_many: a delete of those of `ids` that are still removable.
 * - settle_many: an update that removes the dead from those of `ids`, and grants the first
 *   waiters. */
void lh_pipeline_judge_all(const lh_pipelines *pipelines, const char *collection,
                           const lh_vars *vars, bson_t *command);
void lh_pipeline_remove_many(const lh_pipelines *pipelines, const char *collection,
                             const lh_vars *vars, const bson_t *ids, bson_t *command);
void lh_pipeline_settle_many(const lh_pipelines *pipelines, const char *collection,
                             const lh_vars *vars, const bson_t *ids, bson_t *command);

/* An aggregate that counts all documents. It returns one document {documents, exclusive, shared,
 * free, expired, malformed, readers, queues, waiters, oldest, longest: {at, key, owner}, now}, or
 * none if the collection is empty. */
void lh_pipeline_stats(const lh_pipelines *pipelines, const char *collection, const lh_vars *vars,
                       bson_t *command);

#endif

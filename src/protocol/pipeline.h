/* SPDX-License-Identifier: Apache-2.0
 * The protocol itself: the update pipelines that decide on the server, and the commands that carry
 * them. Pure.
 *
 * Each pipeline is a constant text, parsed once, and what differs from call to call travels in the
 * command's `let`, wrapped in $literal; the short forms have it in place, filled in as bytes. Home
 * of invariant 8: a caller's string is never part of an expression. */
#ifndef LH_PIPELINE_H
#define LH_PIPELINE_H

#include <bson/bson.h>

#include "base/error.h"

/* What each command does to the document of one key; the sources in protocol/ say it. */
typedef enum {
    LH_DO_ACQUIRE_EXCLUSIVE, /* extend mine, or grant, or leave untouched */
    LH_DO_ACQUIRE_SHARED,
    /* as acquire exclusive; but what the same owner holds alone is granted to it again, to me */
    LH_DO_RESUME,
    LH_DO_WAIT_EXCLUSIVE, /* the same, or stay in the queue; and grant whoever is first in it */
    LH_DO_WAIT_SHARED,
    /* extend mine while it has not ended; the token must be the one given, unless that is 0 */
    LH_DO_RENEW,
    LH_DO_LEAVE,    /* release, or leave the queue; the head is granted in the same write */
    LH_DO_TRANSFER, /* end mine, and grant it to whom I say, under a new lease id */
    LH_DO_BREAK,    /* end exactly the holder that was seen */
    /* as leave, for a process that has died: only what that process still holds, or waits for */
    LH_DO_REAP,
    LH_DO_SETTLE, /* forget the dead; grant the head */
    LH_DO_COUNT
} lh_do;

typedef struct lh_pipelines lh_pipelines;

/* NULL: out of memory. */
lh_pipelines *lh_pipelines_new(void);
void lh_pipelines_free(lh_pipelines *pipelines);

enum { LH_VARS_PROC = 112 };

/* The variables of a command, from its caller; what a pipeline does not use may stay 0 or NULL. */
typedef struct lh_vars {
    const char *key, *me;               /* me: the caller's lease id */
    const char *owner, *host, *purpose; /* purpose may be NULL */
    int64_t pid, ttl_ms, grace_ms, token;
    int64_t max_shared;
    /* of a command that may wait; claim_ms is 0 in all others */
    int64_t claim_ms, beat, max_waiters;
    /* of a transfer: the new lease id, and its owner; NULL in all others */
    const char *to, *to_owner;
    /* of a release: left for whoever holds next; NULL or "": none */
    const char *note;
    const char *by, *reason; /* of a break, and a reap */
    const char *dead;        /* of a reap: the process, as it is stored */
    /* the process that asks, and how `me` begins; "": none is recorded */
    char proc[LH_VARS_PROC];
    /* of a renewal, or an acquire of what is mine: another process may have acquired it */
    bool foreign;
    const bson_value_t *seen_doc_id, *seen_id,
        *seen_token; /* of a break: as read; seen_id and seen_token NULL: not there */
    bool by_id;      /* of a break: the document is found by its _id; `key` is no key of ours */
    /* Of a short form: look for the document whose _id is the key; it may be missing where another
     * has the key. */
    bool own;
    /* Of a document that a whole form inserts: its _id. NULL: the key; for a key whose name another
     * key's document has for its _id. */
    const bson_oid_t *doc_id;
    bool judging; /* for cleanup */
    bool set;     /* the deployment is a replica set: tokens come from its cluster time */
} lh_vars;

/* Makes a findAndModify on `collection` for the key in `command`, which is initialised and empty:
 * all but its concern. `whole`: the form that decides every document; else the short one, if
 * lh_pipeline_has_short(), which leaves untouched what is not simple. The short renewal and release
 * are an update: all that they have to say is whether they changed the document. */
void lh_pipeline_command(const lh_pipelines *pipelines, lh_do what, bool whole,
                         const char *collection, const lh_vars *vars, bson_t *command);

/* A find that says of each of `keys` {workspace_id, now, end, granted, queued, first}: which of the
 * lease ids `ids` hold it, or wait for it, which id is first in its queue, and when its holder
 * ends. `granted` is what lh_doc_each_grant() reads. */
void lh_pipeline_poll(const lh_pipelines *pipelines, const char *collection, const bson_t *keys,
                      const bson_t *ids, bson_t *command);

/* A find of the first, in the order of keys, of the documents that match `where` and that shut out
 * a lease above or below them: with an exclusive holder who is alive, or unless `shared` with any.
 * Its fields are those of an acquire that was told busy. */
void lh_pipeline_conflict(const lh_pipelines *pipelines, const char *collection,
                          const lh_vars *vars, bool shared, const bson_t *where, bson_t *command);

/* For cleanup, in whose variables ttl_ms is how long free is long enough. A find that says of each
 * document {_id, removable, dead_holders, dead_waiters}; a delete of those of `ids` that still are
 * removable; an update that forgets the dead in those of `ids`, and grants the heads of their
 * queues. */
void lh_pipeline_judge_all(const lh_pipelines *pipelines, const char *collection,
                           const lh_vars *vars, bson_t *command);
void lh_pipeline_remove_many(const lh_pipelines *pipelines, const char *collection,
                             const lh_vars *vars, const bson_t *ids, bson_t *command);
void lh_pipeline_settle_many(const lh_pipelines *pipelines, const char *collection,
                             const lh_vars *vars, const bson_t *ids, bson_t *command);

/* An aggregate that counts all documents: one answer {documents, exclusive, shared, free, expired,
 * malformed, readers, queues, waiters, oldest, longest: {at, key, owner}, now}; none of no
 * documents. */
void lh_pipeline_stats(const lh_pipelines *pipelines, const char *collection, const lh_vars *vars,
                       bson_t *command);

#endif

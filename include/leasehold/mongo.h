/* SPDX-License-Identifier: Apache-2.0
 *
 * Leasehold: what is about the MongoDB driver. Writes that a lease protects even from its own late
 * holder.
 *
 * A lease alone cannot stop a holder that was paused: it looked at lh_lease_valid(), slept through
 * the end of its lease, and then wrote over what its successor did. The server can stop it, where
 * it sees the token together with the write:
 *
 *     data                                 use                         costs
 *     on a replica set, in transactions    lh_with_guard()             two more commands in the transaction
 *                                          lh_lease_guard()            the same; begin, commit and repeat it yourself
 *     in one document, also a standalone   lh_fenced_read(), _write()  nothing more than the read and the write
 *
 *     static bool rename_it(mongoc_client_session_t *session, void *arg, bson_t **reply, bson_error_t *why)
 *     {
 *         … reads and writes with `session` in their options, as for mongoc_client_session_with_transaction() …
 *     }
 *     switch (lh_with_guard(lease, session, rename_it, &job, &error)) {
 *     case LH_OK:      break;                     // committed, by the holder of the lease
 *     case LH_LOST:    …                          // somebody else holds the key: nothing was written, nothing will be
 *     default:         log(error.message);
 *     }
 *
 * tools/examples/guarded.c is a whole program.
 *
 * Rules, for guard and fence alike (invariant 10)
 *   - Everybody who writes the data does it so. Who writes without is not protected, and protects
 *     nobody.
 *   - Guard (or fence) first, then read: what a write depends on is read in the guarded transaction
 *     itself, or after one of this lease has committed; for a single document, with
 *     lh_fenced_read(). Otherwise the holder before may still write between your read and your
 *     write, and you overwrite what it was told is done.
 *   - Only exclusive leases: readers of different age would shut each other out (LH_INVALID).
 *
 * The lease may end while a guarded transaction is open; it still commits if nobody guarded the key
 * since. Two guarded transactions of one key run one after the other, and nothing else waits for
 * them: no renewal, no queue, no takeover, no other key. The successor of a holder that died inside
 * of one waits until the server ends it: `transactionLifetimeLimitSeconds`, 60 by default. Keep
 * them short.
 *
 * The conventions are those of leasehold.h. These calls take no part in the store's connections:
 * they go by the caller's own client, and how long a server that hangs may hold them up is set by
 * that client's timeouts (`socketTimeoutMS`: 5 minutes if its URI does not say). A session, a
 * client and its collections are used by one thread at a time.
 */
#ifndef LEASEHOLD_MONGO_H
#define LEASEHOLD_MONGO_H

#include <mongoc/mongoc.h>

#include <leasehold/leasehold.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
/* who ignores LH_LOST here is not protected */
#define LH_MUST_CHECK __attribute__((warn_unused_result))
#else
#define LH_MUST_CHECK
#endif

/* ---- Guard: transactions ----------------------------------------------------------------------
 *
 * The guard reads the lease and raises the key's fence to its token, both in the caller's
 * transaction. The fences are in a collection beside the leases, in the same database:
 * `workspace_fences` for `workspace_locks`, and `<collection>.fences` for any other: a small
 * document for each key that was ever guarded, {_id: key, token, n}. A key's first guard makes it,
 * by the store's own connection. They stay for ever.
 *
 * The session's client belongs to the caller. It must reach the deployment of the lease's store:
 * elsewhere there is no such lease, which is LH_LOST. Its user needs `find` on the leases, and
 * `find` and `update` on the fences; the store's user `find`, `insert` and `update` on the
 * fences. */

/* Guards the transaction that is open in `session`: call it before the transaction's first read.
 * Two commands in it.
 *
 * LH_OK: commit, and check what the commit says. Once more in the same transaction is harmless.
 * LH_LOST: the lease has ended (by its local deadline: then nothing was sent), or the key is
 * somebody else's by now. Abort. After the
 *   server said so the transaction cannot commit, nor write.
 * LH_AGAIN: abort it and begin again: another guarded transaction of the key is open or has just
 * committed, the key had no
 *   fence yet and the transaction has read already, or there was an election. How long it is worth
 *   trying is bounded by the lease: its end is LH_LOST.
 * LH_INVALID: a shared lease; one that was attached and not yet renewed; no open transaction.
 * LH_CONFIG: a standalone server, which
 *   has no transactions; a transaction with a write concern weaker than majority. LH_DATA: the
 *   fence cannot be read. LH_DENIED, LH_UNREACHABLE, LH_SERVER, LH_FORKED, LH_MEMORY. On all of
 *   these: abort.
 *
 * `reply` is as in a callback of mongoc_client_session_with_transaction(): pass on what that gave,
 * and return false; it repeats what is to be repeated by the labels in it. On any outcome but LH_OK
 * *reply becomes a new document (what the server said, or empty), to be freed with bson_destroy(),
 * which that function does. NULL: not wanted. */
LH_API LH_MUST_CHECK int lh_lease_guard(lh_lease *lease, mongoc_client_session_t *session,
                                        bson_t **reply, lh_error *error);

/* Runs `work` in a guarded transaction of `session`, and commits it, acknowledged by a majority,
 * journalled, from a snapshot. As mongoc_client_session_with_transaction(), which it uses: `work`
 * is the same kind of callback, may be called several times, and neither begins, commits nor
 * aborts. Where it returns false because a command failed it sets *reply to a copy of that
 * command's reply (then it is called again if that is worth it) and `why`. Pauses between the
 * attempts, and gives up after two minutes.
 *
 * LH_OK: committed. LH_STOPPED: `work` returned false; nothing was written; the message is that of
 * its `why`. LH_UNKNOWN: the answer to the commit was lost: it is done, or never will be. To learn
 * which, look for what `work` wrote, in a
 *   guarded transaction.
 * Else nothing was written: LH_LOST, LH_AGAIN (others were in the way all the time), and what
 * lh_lease_guard() returns. */
LH_API LH_MUST_CHECK int lh_with_guard(lh_lease *lease, mongoc_client_session_t *session,
                                       mongoc_client_session_with_transaction_cb_t work, void *arg,
                                       lh_error *error);

/* ---- Fence: single documents, no transactions -------------------------------------------------
 *
 * The caller's document itself carries the highest token that read or wrote it so, in its field
 * LH_FENCE (a Long), and refuses smaller ones. Always one document, by its `_id`, which is data:
 * {_id: {$gt: 1}} is a value, not a condition. A document is fenced by the leases of one key only.
 * Deleting it removes its fence: mark it as deleted instead. Acknowledged by a majority,
 * journalled. */
#define LH_FENCE "fence"

/* A lease that is not enforced (lh_lease_enforced()) passes: guards do nothing, and fenced calls do
 * what they are to do without looking at the fence, which they leave as it is. (A whole new
 * document has none.) */

enum {
    LH_FENCED_CREATE = 1, /* where there is no such document, put one that has the fence alone */
};

/* Raises the document's fence and reads it, in one command: the first read of every holder. From
 * then on no holder before can write it. `id` is {_id: …} and nothing else. `flags`: 0, or
 * LH_FENCED_CREATE, so that also "there is none" stays true.
 *
 * LH_OK: *ret_document (NULL: not wanted) is initialised with the document, to be freed with
 * bson_destroy(). LH_LOST: the lease has ended (by its local deadline: then nothing was sent), or a
 * newer holder was there. LH_ABSENT: there is no such document; nothing was changed. LH_UNKNOWN:
 * the answer was lost, or of several attempts of the driver's the last failed; read again. LH_DATA:
 * its field LH_FENCE is no number: somebody else's; nothing was changed. LH_INVALID, LH_DENIED,
 * LH_UNREACHABLE (surely not done; of a standalone only, as drivers retry writes on a set),
 * LH_SERVER, LH_FORKED, LH_MEMORY. */
LH_API LH_MUST_CHECK int lh_fenced_read(lh_lease *lease, mongoc_collection_t *collection,
                                        const bson_t *id, int flags, bson_t *ret_document,
                                        lh_error *error);

/* Changes the document unless a newer holder has read or written it, and raises its fence: one
 * command, never an insert. `update`: operators ({$set: …}), a pipeline (an array: {"0": {$set:
 * …}}), or a whole new document; not empty. LH_FENCE is set by the call: a new document may have it
 * (it is replaced), operators may not (LH_SERVER). In a pipeline, what users typed belongs in
 * $literal: "$name" is an expression there.
 *
 * LH_OK: *ret_document (NULL: not wanted) is the document after it. LH_UNKNOWN: the answer was
 * lost; it may be done, or still be done later unless somebody newer comes first: lh_fenced_read()
 * tells, and settles it only where your write can be recognised. Else as lh_fenced_read(), and
 * nothing was changed. */
LH_API LH_MUST_CHECK int lh_fenced_write(lh_lease *lease, mongoc_collection_t *collection,
                                         const bson_t *id, const bson_t *update,
                                         bson_t *ret_document, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif

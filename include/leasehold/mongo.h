/* SPDX-License-Identifier: Apache-2.0
 *
 * Leasehold and the MongoDB driver: writes that are safe even if their holder is late.
 *
 * A lease alone cannot stop a holder that was paused: it checked lh_lease_valid(), slept past the
 * end of its lease, and then overwrote the work of its successor. The server can refuse such a
 * write, if it sees the token together with the write:
 *
 *     data                            use                   costs
 *     on a replica set, with          lh_with_guard()       two more commands per transaction
 *     transactions                    lh_lease_guard()      the same; the caller begins, commits
 *                                                           and repeats the transaction
 *     in one document, also on a      lh_fenced_read(),     nothing beyond the read and the write
 *     standalone                      lh_fenced_write()
 *
 *     static bool rename_it(mongoc_client_session_t *session, void *arg, bson_t **reply,
 *                           bson_error_t *why)
 *     {
 *         … reads and writes with `session` in their options, as for
 *           mongoc_client_session_with_transaction() …
 *     }
 *     switch (lh_with_guard(lease, session, rename_it, &job, &error)) {
 *     case LH_OK:      break;             // committed by the holder of the lease
 *     case LH_LOST:    …                  // another holder has the key: nothing was written
 *     default:         log(error.message);
 *     }
 *
 * tools/examples/guarded.c is a complete program.
 *
 * Rules for guards and fences (invariant 10)
 *   - Every writer of the data must use them. A writer that does not use them is unprotected, and
 *     removes the protection of all others.
 *   - Guard (or fence) first, then read. Read the data that a write depends on in the guarded
 *     transaction itself, or after a guarded transaction of this lease has committed; for a single
 *     document, with lh_fenced_read(). Otherwise the previous holder can still write between your
 *     read and your write, and you overwrite work that it believes to be done.
 *   - Only exclusive leases: readers with different tokens would exclude each other (LH_INVALID).
 *
 * The lease may end while a guarded transaction is open; the transaction still commits if nobody
 * guarded the key since. Guarded transactions of one key run one after the other. They block
 * nothing else: no renewal, no queue, no takeover, no other key. If a holder dies inside one, its
 * successor waits until the server ends the transaction, after `transactionLifetimeLimitSeconds`
 * (60 by default). Keep transactions short.
 *
 * The conventions are those of leasehold.h. These calls do not use the store's connections: they
 * use the caller's client, and that client's timeouts limit how long a hanging server delays them
 * (`socketTimeoutMS`: 5 minutes, unless its URI sets another). Use a session, a client and its
 * collections from one thread at a time. */
#ifndef LEASEHOLD_MONGO_H
#define LEASEHOLD_MONGO_H

#include <mongoc/mongoc.h>

#include <leasehold/leasehold.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
/* a caller that ignores LH_LOST here is not protected */
#define LH_MUST_CHECK __attribute__((warn_unused_result))
#else
#define LH_MUST_CHECK
#endif

/* ---- Guard: transactions ----------------------------------------------------------------------
 *
 * The guard reads the lease and raises the key's fence to its token, both in the caller's
 * transaction. Fences are in a collection beside the leases, in the same database:
 * `workspace_fences` for `workspace_locks`, `<collection>.fences` for any other. Each key that was
 * ever guarded has a small document there, {_id: key, token, n}, which stays for ever. The first
 * guard of a key creates it, through the store's own connection.
 *
 * The client of the session belongs to the caller. It must connect to the deployment of the lease's
 * store; elsewhere there is no such lease, which is LH_LOST. Its user needs `find` on the leases,
 * and `find` and `update` on the fences. The store's user needs `find`, `insert` and `update` on
 * the fences. */

/* Guards the transaction that is open in `session`. Call it before the transaction's first read. It
 * sends two commands. A second call in the same transaction is harmless.
 *
 * LH_OK: commit, and check the result of the commit.
 * LH_LOST: the lease has ended (if by its local deadline, no command was sent), or the key has
 *   another holder. Abort. Once the server has reported this, the transaction can neither commit
 *   nor write.
 * LH_AGAIN: abort and begin again. Another guarded transaction of the key is open or has just
 *   committed; or the key had no fence yet and the transaction has already read; or there was an
 *   election. Retry until the lease ends; the outcome is then LH_LOST.
 * LH_INVALID: a shared lease; a lease that was attached and not yet renewed; no open transaction.
 * LH_CONFIG: a standalone server, which has no transactions; a transaction with a write concern
 *   weaker than majority.
 * LH_DATA: the fence cannot be read.
 * LH_DENIED, LH_UNREACHABLE, LH_SERVER, LH_FORKED, LH_MEMORY. Abort on all of these.
 *
 * `reply` serves callbacks of mongoc_client_session_with_transaction(): pass it on and return
 * false, and that function repeats the transaction if the labels in it allow that. On any outcome
 * but LH_OK, *reply becomes a new document (the server's reply, or empty), which must be freed with
 * bson_destroy(); that function does so. NULL: not wanted. */
LH_API LH_MUST_CHECK int lh_lease_guard(lh_lease *lease, mongoc_client_session_t *session,
                                        bson_t **reply, lh_error *error);

/* Runs `work` in a guarded transaction of `session` and commits it, acknowledged by a majority,
 * journalled, from a snapshot. It uses mongoc_client_session_with_transaction(), and `work` is the
 * same kind of callback: it may be called several times, and must not begin, commit or abort. If a
 * command fails, `work` sets *reply to a copy of that command's reply (the transaction is repeated
 * if that may help) and `why`, and returns false. The call pauses between the attempts, and gives
 * up after two minutes.
 *
 * LH_OK: committed. LH_STOPPED: `work` returned false and nothing was written; the message is that
 * of `why`. LH_UNKNOWN: the reply to the commit was lost; the transaction is committed, or it never
 * will be. To find out, look for the writes of `work` in a guarded transaction. On all other
 * outcomes nothing was written: LH_LOST, LH_AGAIN (other transactions were in conflict at every
 * attempt), and the outcomes of lh_lease_guard(). */
LH_API LH_MUST_CHECK int lh_with_guard(lh_lease *lease, mongoc_client_session_t *session,
                                       mongoc_client_session_with_transaction_cb_t work, void *arg,
                                       lh_error *error);

/* ---- Fence: single documents, no transactions -------------------------------------------------
 *
 * The caller's document contains the highest token that has read or written it with these calls, in
 * its field LH_FENCE (a Long), and refuses smaller ones. A call is always about one document, by
 * its `_id`, which is data: {_id: {$gt: 1}} is a value, not a condition. Fence a document with the
 * leases of one key only. Deleting the document removes its fence: mark it as deleted instead.
 * Writes are acknowledged by a majority and journalled.
 *
 * A lease that is not enforced (lh_lease_enforced()) passes: guards do nothing, and fenced calls
 * read or write without checking the fence, and leave it as it is. (A whole new document then has
 * none.) */
#define LH_FENCE "fence"

enum {
    LH_FENCED_CREATE = 1, /* if the document is absent, insert one with only the fence */
};

/* Raises the document's fence and reads the document, in one command: the first read of each
 * holder. After it, no previous holder can write the document. `id` is {_id: …} and nothing else.
 * `flags`: 0, or LH_FENCED_CREATE, so that the absence of the document is fenced too.
 *
 * LH_OK: *ret_document (NULL: not wanted) is initialised with the document; free it with
 *   bson_destroy().
 * LH_LOST: the lease has ended (if by its local deadline, no command was sent), or a newer holder
 *   has used the document.
 * LH_ABSENT: there is no such document; nothing was changed.
 * LH_UNKNOWN: the reply was lost, or the last of several attempts of the driver failed. Read again.
 * LH_DATA: its field LH_FENCE is not a number and so belongs to another program; nothing was
 *   changed.
 * LH_UNREACHABLE: certainly not done; only on a standalone, because drivers retry writes on a set.
 * LH_INVALID, LH_DENIED, LH_SERVER, LH_FORKED, LH_MEMORY. */
LH_API LH_MUST_CHECK int lh_fenced_read(lh_lease *lease, mongoc_collection_t *collection,
                                        const bson_t *id, int flags, bson_t *ret_document,
                                        lh_error *error);

/* Changes the document, unless a newer holder has read or written it, and raises its fence. One
 * command, never an insert. `update` is a set of operators ({$set: …}), a pipeline (an array: {"0":
 * {$set: …}}), or a whole new document; not empty. The call sets LH_FENCE: a new document may
 * contain it (it is replaced), operators may not (LH_SERVER). In a pipeline, wrap text from users
 * in $literal, because "$name" is an expression there.
 *
 * LH_OK: *ret_document (NULL: not wanted) is the document after the change. LH_UNKNOWN: the reply
 * was lost. The change may be done, or may still happen later unless a newer holder comes first.
 * lh_fenced_read() shows and settles it, if your write can be recognised. Otherwise as
 * lh_fenced_read(), and nothing was changed. */
LH_API LH_MUST_CHECK int lh_fenced_write(lh_lease *lease, mongoc_collection_t *collection,
                                         const bson_t *id, const bson_t *update,
                                         bson_t *ret_document, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif

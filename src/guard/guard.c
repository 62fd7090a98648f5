/* SPDX-License-Identifier: Apache-2.0
 * The guard, inside the caller's transaction: reads the lease, and raises the key's fence.
 *
 * Home of invariant 10, together with guard_fenced.c. Why a transaction of an older token cannot
 * commit after one of a newer token:
 *
 * - The two statements see one snapshot. A grant that is older than the snapshot is seen by the
 *   read of the lease, because every grant that a process believes in is in the majority's history.
 * - If a newer holder raised the fence after the snapshot, its write conflicts with ours on the
 *   fence's document. So does a write that is not committed yet.
 * - What remains is a newer grant whose holder guards only after our commit. That holder reads what
 *   we wrote, because it guards before it reads.
 *
 * The fence is never created in the transaction. If it was deleted or dropped since the snapshot,
 * the transaction begins again, and its new snapshot shows who holds the key.
 *
 * The fence is a document of its own, because a write to the lease's document would stall the
 * renewals of a whole batch. It is written each time (n), so that guarded transactions of the same
 * token conflict too. */
#include "guard/guard.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "guard/guard_error.h"
#include "lease/lease_held.h"
#include "store/store.h"
#include "store/store_run.h"

#define FENCES_ROOM 136 /* a name of a collection has up to 120 */

static const char *fences_of(const lh_store *store, char name[static FENCES_ROOM])
{
    if (strcmp(store->collection, "workspace_locks") == 0)
        return "workspace_fences";
    (void)snprintf(name, FENCES_ROOM, "%s.fences",
                   /* the dot: the name of no other collection of leases gives this name */
                   store->collection);
    return name;
}

static int check_concern(const mongoc_client_session_t *session, lh_error *error)
{
    mongoc_transaction_opt_t *options = mongoc_session_opts_get_transaction_opts(session);
    if (!options)
        return lh_fail(error, LH_INVALID,
                       "the session has no open transaction: start one, then guard it");
    const mongoc_write_concern_t *concern = mongoc_transaction_opts_get_write_concern(options);
    int32_t w = concern ? mongoc_write_concern_get_w(concern) : MONGOC_WRITE_CONCERN_W_DEFAULT;
    mongoc_transaction_opts_destroy(options);
    if (w != MONGOC_WRITE_CONCERN_W_DEFAULT && w != MONGOC_WRITE_CONCERN_W_MAJORITY)
        return lh_fail(error, LH_REASON_TRANSACTIONS,
                       "the transaction has a write concern weaker than a majority, so what it "
                       "commits can be lost in a failover: use w=majority");
    return LH_OK;
}

static int check(const lh_lease *lease, const mongoc_client_session_t *session, lh_error *error)
{
    int outcome = lh_guard_check(lease, error);
    if (outcome != LH_OK)
        return outcome;
    if (!session)
        return lh_fail(error, LH_INVALID, "no session was given");
    if (!lease->enforced)
        return LH_OK;
    if (atomic_load(&lease->store->topology) == LH_TOPOLOGY_STANDALONE)
        return lh_fail(error, LH_REASON_TRANSACTIONS,
                       "the guard needs transactions, which a standalone server does not have: "
                       "make it a replica set of one member, or use lh_fenced_write()");
    return check_concern(session, error);
}

/* Runs one statement of the transaction. Takes ownership of the command; always initialises the
 * reply. */
static bool run(mongoc_client_session_t *session, const char *db, bson_t *command, bson_t *reply,
                bson_error_t *why)
{
    bson_t options = BSON_INITIALIZER;
    bool good = mongoc_client_session_append(session, &options, why);
    if (good)
        good = mongoc_client_command_with_opts(mongoc_client_session_get_client(session), db,
                                               command, NULL, &options, reply, why);
    else
        bson_init(reply);
    bson_destroy(&options);
    bson_destroy(command);
    return good;
}

/* Ends the transaction on the server only; for the driver it stays open. So the server refuses a
 * caller that ignores the failure and goes on writing. If the transaction had ended for the driver
 * too, such writes would be done without a transaction. */
static void end_transaction(mongoc_client_session_t *session)
{
    bson_t reply;
    bson_error_t why;
    (void)run(session, "admin", BCON_NEW("abortTransaction", BCON_INT32(1)), &reply, &why);
    bson_destroy(&reply);
}

/* Whether the lease is current. Its end does not matter here: as long as no other process has taken
 * over, the write harms nobody. */
static int read_lease(const lh_lease *lease, mongoc_client_session_t *session, bson_t *reply,
                      lh_error *error)
{
    bson_error_t why;
    bson_t *command =
        /* uses the index, and matches one key */
        BCON_NEW("find", BCON_UTF8(lease->store->collection), "filter", "{", "workspace_id",
                 BCON_UTF8(lease->key), "id", BCON_UTF8(lease->id), "token",
                 BCON_INT64(lh_lease_token(lease)), "released.id", "{", "$ne", BCON_UTF8(lease->id),
                 "}", "}", "projection", "{", "_id", BCON_INT32(1), "}", "limit", BCON_INT32(1),
                 "singleBatch", BCON_BOOL(true));
    if (!run(session, lease->store->db, command, reply, &why))
        return lh_guard_fail("guard the key", LH_SENT_NO_WRITE, reply, &why, error);
    bson_iter_t top, first;
    if (bson_iter_init(&top, reply) &&
        bson_iter_find_descendant(&top, "cursor.firstBatch.0", &first))
        return LH_OK;
    end_transaction(session);
    return lh_fail(error, LH_REASON_NOT_HOLDER,
                   "the lease does not hold the key, or no longer does; or the session's client is "
                   "connected to another deployment than the lease's store");
}

/* Creates the key's fence if it is missing, and reads it. This is not part of the transaction.
 * Inside the transaction, an old holder could create the fence after another process dropped it,
 * and would pass. LH_AGAIN: the fence exists now, and its token is not above ours. */
static int look_at_fence(const lh_lease *lease, const char *fences, lh_error *error)
{
    lh_store *store = lease->store;
    bson_t reply;
    bson_t *command = BCON_NEW("findAndModify", BCON_UTF8(fences), "query", "{", "_id", "{", "$eq",
                               BCON_UTF8(lease->key), "}", "}", "update", "{", "$setOnInsert", "{",
                               "token", BCON_INT64(0), "n", BCON_INT64(0), "}", "}", "upsert",
                               BCON_BOOL(true), "new", BCON_BOOL(true));
    lh_call call = {.what = "read the key's fence",
                    .command = command,
                    .deadline = lh_store_deadline(store, 0)};
    int outcome = lh_store_run(store, &call, &reply, NULL, error);
    bson_iter_t top, token;
    if (outcome == LH_UNKNOWN) /* the fence may have been created with token 0, which is harmless */
        outcome = lh_fail(error, LH_REASON_TIMED_OUT,
                          "the reply was lost while the key's fence was read");
    else if (outcome == LH_OK && bson_iter_init(&top, &reply) &&
             bson_iter_find_descendant(&top, "value.token", &token) &&
             BSON_ITER_HOLDS_NUMBER(&token))
        outcome =
            bson_iter_as_int64(&token) > lh_lease_token(lease)
                ? lh_fail(error, LH_REASON_SUPERSEDED,
                          "a newer holder has guarded the key: its fence in %s has a higher token",
                          fences)
                : lh_fail(error, LH_AGAIN, "the key had no fence yet: begin the transaction again");
    else if (outcome == LH_OK)
        outcome =
            lh_fail(error, LH_REASON_UNREADABLE,
                    "the key's fence in %s cannot be read: its token is not a number", fences);
    bson_destroy(&reply);
    bson_destroy(command);
    return outcome;
}

/* Raises the fence. It is written even if its token stays the same. LH_ABSENT: there is no fence,
 * or it has a higher token. */
static int raise_fence(const lh_lease *lease, mongoc_client_session_t *session, const char *fences,
                       bson_t *reply, lh_error *error)
{
    int64_t token = lh_lease_token(lease);
    bson_error_t why;
    bson_iter_t value;
    bson_t *command =
        BCON_NEW("findAndModify", BCON_UTF8(fences), "query", "{", "_id", "{", "$eq",
                 BCON_UTF8(lease->key), "}", "token", "{", "$lte", BCON_INT64(token), "}", "}",
                 "update", "{", "$set", "{", "token", BCON_INT64(token), "}", "$inc", "{", "n",
                 BCON_INT64(1), "}", "}", "fields", "{", "_id", BCON_INT32(1), "}");
    if (!run(session, lease->store->db, command, reply, &why))
        return lh_guard_fail("guard the key", LH_SENT_NO_WRITE, reply, &why, error);
    return bson_iter_init_find(&value, reply, "value") && BSON_ITER_HOLDS_DOCUMENT(&value)
               ? LH_OK
               : LH_ABSENT;
}

static int guard_once(const lh_lease *lease, mongoc_client_session_t *session, const char *fences,
                      bson_t *reply, lh_error *error)
{
    bson_destroy(reply);
    int outcome = read_lease(lease, session, reply, error);
    if (outcome != LH_OK)
        return outcome;
    bson_destroy(reply);
    return raise_fence(lease, session, fences, reply, error);
}

/* The transaction had only our statements. So it begins again with the same options, and the caller
 * need not know. */
static int begin_again(mongoc_client_session_t *session, lh_error *error)
{
    mongoc_transaction_opt_t *options = mongoc_session_opts_get_transaction_opts(session);
    bson_error_t why;
    bson_t nothing = BSON_INITIALIZER;
    int outcome = LH_OK;
    (void)mongoc_client_session_abort_transaction(session, NULL);
    if (!mongoc_client_session_start_transaction(session, options, &why))
        outcome =
            lh_guard_fail("begin the transaction again", LH_SENT_NO_WRITE, &nothing, &why, error);
    mongoc_transaction_opts_destroy(options);
    return outcome;
}

/* Adds the label for which the driver's loop retries. */
static void label(bson_t *reply)
{
    bson_t labels;
    BSON_APPEND_ARRAY_BEGIN(reply, "errorLabels", &labels);
    BSON_APPEND_UTF8(&labels, "0", LH_LABEL_AGAIN);
    bson_append_array_end(reply, &labels);
}

static int guard(const lh_lease *lease, mongoc_client_session_t *session, bson_t *reply,
                 lh_error *error)
{
    char name[FENCES_ROOM];
    /* what lh_guard_check() promised */
    lh_assert(lease->enforced && lease->mode == LH_EXCLUSIVE && lh_lease_token(lease) != 0);
    const char *fences = fences_of(lease->store, name);
    bool fresh =
        mongoc_client_session_get_transaction_state(session) == MONGOC_TRANSACTION_STARTING;
    int outcome = guard_once(lease, session, fences, reply, error);
    if (outcome != LH_ABSENT)
        return outcome;
    outcome = look_at_fence(lease, fences, error);
    bson_reinit(reply);
    if (outcome == LH_AGAIN && fresh) {
        outcome = begin_again(session, error);
        if (outcome == LH_OK)
            outcome = guard_once(lease, session, fences, reply, error);
        if (outcome == LH_ABSENT) /* it was removed again at once */
            outcome = lh_fail(error, LH_AGAIN,
                              "the key's fence was removed: begin the transaction again");
        else
            return outcome;
        bson_reinit(reply);
    }
    end_transaction(session);
    if (outcome == LH_AGAIN)
        label(reply);
    return outcome;
}

int lh_lease_guard(lh_lease *lease, mongoc_client_session_t *session, bson_t **reply,
                   lh_error *error)
{
    bson_t server_reply = BSON_INITIALIZER;
    int outcome = check(lease, session, error);
    if (outcome == LH_OK && lease->enforced)
        outcome = guard(lease, session, &server_reply, error);
    if (outcome != LH_OK && reply)
        *reply = outcome == LH_LOST ? bson_new() : bson_copy(&server_reply);
    bson_destroy(&server_reply);
    return outcome;
}

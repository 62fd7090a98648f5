/* SPDX-License-Identifier: Apache-2.0
 * The guard, inside of the caller's transaction: reads the lease, raises the fence.
 *
 * Home of invariant 10, with guard_fenced.c. The two statements see one snapshot. A grant that is
 * older than the snapshot is seen by the read, as every grant that anybody believes is in the
 * majority's history. A newer holder's fence that is younger than the snapshot conflicts with ours
 * on the fence's document, and so does one that is not committed yet. What remains, a newer grant
 * whose holder did not guard before our commit, reads what we wrote, since it guards before it
 * reads.
 *
 * The fence is never created in the transaction: where it was deleted or dropped since the snapshot
 * the transaction begins again, and its new snapshot knows who holds the key.
 *
 * The fence is a document of its own: a write to the lease's would stall renewals of a whole batch.
 * It is written each time (n), so that guarded transactions of one token conflict as well. */
#include "guard/guard.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "guard/guard_error.h"
#include "lease/lease_held.h"
#include "store/store.h"
#include "store/store_run.h"

#define FENCES_ROOM 136 /* a collection has up to 120 */

static const char *fences_of(const lh_store *store, char name[static FENCES_ROOM])
{
    if (strcmp(store->collection, "workspace_locks") == 0)
        return "workspace_fences";
    (void)snprintf(name, FENCES_ROOM, "%s.fences",
                   store->collection); /* the dot: no other collection's name gives the same */
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
                       "the transaction has a write concern weaker than a majority: what it "
                       "commits can be lost at a "
                       "failover; give it w=majority");
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
                       "a standalone server has no transactions, which the guard needs: make it a "
                       "replica set of one, "
                       "or use lh_fenced_write()");
    return check_concern(session, error);
}

/* One statement of the transaction. Takes the command; the reply is always initialised. */
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

/* On the server only: for the driver it stays open. So who goes on regardless is refused; had it
 * ended for the driver too, writes would go on without a transaction. */
static void end_transaction(mongoc_client_session_t *session)
{
    bson_t reply;
    bson_error_t why;
    (void)run(session, "admin", BCON_NEW("abortTransaction", BCON_INT32(1)), &reply, &why);
    bson_destroy(&reply);
}

/* Is the lease current? Its end does not matter here: as long as nobody took over, nobody can be
 * harmed. */
static int read_lease(const lh_lease *lease, mongoc_client_session_t *session, bson_t *reply,
                      lh_error *error)
{
    bson_error_t why;
    bson_t *command =
        /* with index, of one key */
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
                   "the lease is not (or no longer) the key's; or the session's client has another "
                   "deployment than the "
                   "lease's store");
}

/* Not in the transaction: who may create the fence there passes where somebody dropped it since the
 * snapshot. LH_AGAIN: there is one now that is not ahead. */
static int look_at_fence(const lh_lease *lease, const char *fences, lh_error *error)
{
    lh_store *store = lease->store;
    bson_t reply;
    bson_t *command = BCON_NEW("findAndModify", BCON_UTF8(fences), "query", "{", "_id", "{", "$eq",
                               BCON_UTF8(lease->key), "}", "}", "update", "{", "$setOnInsert", "{",
                               "token", BCON_INT64(0), "n", BCON_INT64(0), "}", "}", "upsert",
                               BCON_BOOL(true), "new", BCON_BOOL(true));
    lh_call call = {.what = "look at the key's fence",
                    .command = command,
                    .deadline = lh_store_deadline(store, 0)};
    int outcome = lh_store_run(store, &call, &reply, NULL, error);
    bson_iter_t top, token;
    if (outcome == LH_UNKNOWN) /* a fence of 0 may be there by now, which harms nobody */
        outcome = lh_fail(error, LH_UNREACHABLE,
                          "the answer was lost when the key's fence was looked at");
    else if (outcome == LH_OK && bson_iter_init(&top, &reply) &&
             bson_iter_find_descendant(&top, "value.token", &token) &&
             BSON_ITER_HOLDS_NUMBER(&token))
        outcome =
            bson_iter_as_int64(&token) > lh_lease_token(lease)
                ? lh_fail(error, LH_REASON_SUPERSEDED,
                          "a newer holder has guarded the key: its fence in %s is ahead", fences)
                : lh_fail(error, LH_AGAIN, "the key had no fence yet: begin the transaction again");
    else if (outcome == LH_OK)
        outcome = lh_fail(error, LH_REASON_UNREADABLE,
                          "the key's fence in %s cannot be read: its token is no number", fences);
    bson_destroy(&reply);
    bson_destroy(command);
    return outcome;
}

/* Written even where the token stays. A greater one matches nothing; LH_ABSENT then, as where there
 * is none. */
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

/* Nothing but ours was in it: it begins again, with the same options, and its caller need not
 * know. */
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

/* What the driver's loop looks for. */
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
        if (outcome == LH_ABSENT) /* removed at once */
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
    bson_t said = BSON_INITIALIZER;
    int outcome = check(lease, session, error);
    if (outcome == LH_OK && lease->enforced)
        outcome = guard(lease, session, &said, error);
    if (outcome != LH_OK && reply)
        *reply = outcome == LH_LOST ? bson_new() : bson_copy(&said);
    bson_destroy(&said);
    return outcome;
}

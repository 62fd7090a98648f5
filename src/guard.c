/* SPDX-License-Identifier: Apache-2.0
 * The guard, inside of the caller's transaction: reads the lease, raises the fence.
 *
 * Home of invariant 10, with guard_fenced.c. The two statements see one snapshot. A grant that is older than the snapshot is seen by
 * the read, as every grant that anybody believes is in the majority's history. A newer holder's fence that is younger than the
 * snapshot conflicts with ours on the fence's document, and so does one that is not committed yet. What remains, a newer
 * grant whose holder did not guard before our commit, reads what we wrote, since it guards before it reads.
 *
 * The fence is a document of its own: a write to the lease's would stall renewals of a whole batch. It is written each time (n), so
 * that guarded transactions of one token conflict as well. */
#include "guard.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "lease_held.h"

enum { CODE_NAMESPACE_EXISTS = 48, CODE_DUPLICATE_KEY = 11000 };

static const char *fences_of(const lh_store *store, char name[static 136])
{
    if (strcmp(store->collection, "workspace_locks") == 0)
        return "workspace_fences";
    (void)snprintf(name, 136, "%s.fences", store->collection); /* the dot: no other collection's name gives the same */
    return name;
}

static int check_concern(const mongoc_client_session_t *session, lh_error *error)
{
    mongoc_transaction_opt_t *options = mongoc_session_opts_get_transaction_opts(session);
    if (!options)
        return lh_fail(error, LH_INVALID, "the session has no open transaction: start one, then guard it");
    const mongoc_write_concern_t *concern = mongoc_transaction_opts_get_write_concern(options);
    int32_t w = concern ? mongoc_write_concern_get_w(concern) : MONGOC_WRITE_CONCERN_W_DEFAULT;
    mongoc_transaction_opts_destroy(options);
    if (w != MONGOC_WRITE_CONCERN_W_DEFAULT && w != MONGOC_WRITE_CONCERN_W_MAJORITY)
        return lh_fail(error, LH_CONFIG,
                       "the transaction has a write concern weaker than a majority: what it commits can be lost at a "
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
    if (atomic_load(&lease->store->topology) == LH_TOPOLOGY_STANDALONE)
        return lh_fail(error, LH_CONFIG,
                       "a standalone server has no transactions, which the guard needs: make it a replica set of one, "
                       "or use lh_fenced_write()");
    return check_concern(session, error);
}

/* Not in the transaction: what creates a collection there is in the way of others until it ends. What goes wrong is seen in the
 * transaction again. */
static void make_fences(lh_lease *lease, const char *name)
{
    lh_store *store = lease->store;
    if (atomic_load(&store->fences_seen))
        return;
    int64_t ms = lh_lease_remaining_ms(lease);
    bson_t *command = BCON_NEW("create", BCON_UTF8(name)), reply;
    lh_call call = {.what = "create the collection of fences",
                    .command = command,
                    .deadline = lh_store_deadline(store, ms < store->timeout_ms ? ms : 0)};
    lh_error error = {0};
    if (lh_store_run(store, &call, &reply, NULL, &error) == LH_OK || error.server_code == CODE_NAMESPACE_EXISTS)
        atomic_store(&store->fences_seen, true);
    bson_destroy(&reply);
    bson_destroy(command);
}

/* One statement of the transaction. Takes the command; the reply is always initialised. */
static bool run(mongoc_client_session_t *session, const char *db, bson_t *command, bson_t *reply, bson_error_t *why)
{
    bson_t options = BSON_INITIALIZER;
    bool good = mongoc_client_session_append(session, &options, why);
    if (good)
        good = mongoc_client_command_with_opts(mongoc_client_session_get_client(session), db, command, NULL, &options,
                                               reply, why);
    else
        bson_init(reply);
    bson_destroy(&options);
    bson_destroy(command);
    return good;
}

static int fail_lost(mongoc_client_session_t *session, lh_error *error)
{
    /* On the server only: for the driver it stays open. So who goes on regardless is refused; had it ended for the driver too,
     * writes would go on without a transaction. */
    bson_t reply;
    bson_error_t why;
    (void)run(session, "admin", BCON_NEW("abortTransaction", BCON_INT32(1)), &reply, &why);
    bson_destroy(&reply);
    return lh_fail(error, LH_LOST,
                   "the lease is not (or no longer) the key's; or the session's client has another deployment than the "
                   "lease's store");
}

/* Is the lease current? Its end does not matter here: as long as nobody took over, nobody can be harmed. */
static int read_lease(const lh_lease *lease, mongoc_client_session_t *session, bson_t *reply, lh_error *error)
{
    bson_error_t why;
    bson_t *command =
        BCON_NEW("find", BCON_UTF8(lease->store->collection), "filter", "{", /* with index, of one key */
                 "workspace_id", BCON_UTF8(lease->key), "id", BCON_UTF8(lease->id), "token",
                 BCON_INT64(lh_lease_token(lease)), "released.id", "{", "$ne", BCON_UTF8(lease->id), "}", "}",
                 "projection", "{", "_id", BCON_INT32(1), "}", "limit", BCON_INT32(1), "singleBatch", BCON_BOOL(true));
    if (!run(session, lease->store->db, command, reply, &why))
        return lh_guard_fail("guard the key", false, reply, &why, error);
    bson_iter_t top, first;
    if (bson_iter_init(&top, reply) && bson_iter_find_descendant(&top, "cursor.firstBatch.0", &first))
        return LH_OK;
    return fail_lost(session, error);
}

/* A greater token there matches nothing, so that an insert is tried, which its _id forbids; and an error ends a transaction. */
static int raise_fence(const lh_lease *lease, mongoc_client_session_t *session, const char *fences, bson_t *reply,
                       lh_error *error)
{
    bson_error_t why;
    bson_t *command =
        BCON_NEW("findAndModify", BCON_UTF8(fences), "query", "{", "_id", "{", "$eq", BCON_UTF8(lease->key), "}",
                 "token", "{", "$lte", BCON_INT64(lh_lease_token(lease)), "}", "}", "update", "{", "$set", "{", "token",
                 BCON_INT64(lh_lease_token(lease)), "}", "$inc", "{", "n", BCON_INT64(1), "}", "}", "upsert",
                 BCON_BOOL(true), "fields", "{", "_id", BCON_INT32(1), "}");
    if (run(session, lease->store->db, command, reply, &why))
        return LH_OK;
    if (why.code == CODE_DUPLICATE_KEY)
        return lh_fail(error, LH_LOST, "a newer holder has guarded the key: its fence in %s is ahead of this lease",
                       fences);
    return lh_guard_fail("guard the key", false, reply, &why, error);
}

int lh_lease_guard(lh_lease *lease, mongoc_client_session_t *session, bson_t **reply, lh_error *error)
{
    char name[136];
    bson_t said = BSON_INITIALIZER;
    int outcome = check(lease, session, error);
    if (outcome == LH_OK) {
        const char *fences = fences_of(lease->store, name);
        make_fences(lease, fences);
        bson_destroy(&said);
        outcome = read_lease(lease, session, &said, error);
        if (outcome == LH_OK) {
            bson_destroy(&said);
            outcome = raise_fence(lease, session, fences, &said, error);
        }
    }
    if (outcome != LH_OK && reply)
        *reply = outcome == LH_LOST ? bson_new() : bson_copy(&said);
    bson_destroy(&said);
    return outcome;
}

/* SPDX-License-Identifier: Apache-2.0
 * Transfers a lease: one command ends it and grants the key to the receiver, past the queue. The
 * receiver believes in the lease only after its own renewal, so nobody believes in it during the
 * transfer. */
#include "lease/lease_transfer.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/error.h"
#include "lease/audit.h"
#include "lease/lease.h"
#include "lease/lease_held.h"
#include "lease/lease_run.h"
#include "protocol/doc.h"
#include "store/store.h"

/* True if the new id, which nobody else knows, holds: by this command, or by an attempt whose
 * reply was lost. */
static int judge(const lh_reply *reply, const char *key, const char *to, int64_t *ret_token,
                 lh_error *error)
{
    lh_mine mine = reply->mine, theirs = {0};
    char problem[128];
    if (reply->there && lh_doc_reply_problem(&reply->document, problem, sizeof problem))
        return lh_lease_fail_unreadable(key, problem, error);
    if (reply->there)
        lh_doc_mine(&reply->document, to, &theirs);
    if (mine.holds)
        return lh_fail(error, LH_DATA,
                       "the token of this key has reached its maximum, so the lease cannot be "
                       "handed on. The lease stays held until it is released, or ends");
    *ret_token = theirs.token;
    if (theirs.holds || mine.transferred) /* a reader's entry is not in the reply */
        return LH_OK;
    return lh_fail(error, LH_REASON_NOT_HOLDER,
                   "the lease does not hold the key, or no longer does: nothing was changed");
}

static int transfer(lh_lease *lease, const char *to_owner, char ret_lease_id[LH_LEASE_ID_ROOM],
                    lh_error *error)
{
    char to[LH_LEASE_ID_ROOM];
    lh_assert(lease && !lease->absent && to_owner && *to_owner);
    lh_store *store = lease->store;
    int outcome = lh_lease_id_new(to, error);
    if (outcome == LH_OK && !lh_lease_end(lease))
        outcome = lh_fail(error, LH_REASON_ENDED,
                          "the lease has ended: it was released, or not renewed in time");
    if (outcome != LH_OK)
        return outcome;
    lh_assert(!lh_lease_believed(lease)); /* from before the transfer */
    lh_reply reply;
    int64_t to_token = 0;
    lh_vars vars = lh_lease_vars(store, lease->key, lease->id);
    vars.to = to;
    vars.to_owner = to_owner;
    outcome = lh_lease_run(
        store, &(lh_operation){LH_OP_TRANSFER, true, &vars, {lh_store_deadline(store, 0), NULL}},
        &reply, error);
    if (outcome == LH_OK)
        outcome = judge(&reply, lease->key, to, &to_token, error);
    if (outcome == LH_OK) {
        lh_ended ended = lh_doc_ended(&reply.document);
        (void)lh_audit_ended(store,
                             &(lh_audit_end){.event = "transferred",
                                             .key = lease->key,
                                             .owner = lease->attached ? ended.owner : lease->owner,
                                             .token = lh_lease_token(lease),
                                             .to = to_owner,
                                             .to_token = to_token,
                                             .at_ms = ended.at_ms},
                             1, error);
    }
    bson_destroy(&reply.bson);
    if (outcome == LH_OK)
        memcpy(ret_lease_id, to, LH_LEASE_ID_ROOM);
    else if (outcome == LH_UNKNOWN && error)
        memcpy(error->lease_id, to, LH_LEASE_ID_ROOM);
    return outcome;
}

int lh_core_transfer(lh_lease *lease, const char *to_owner, char ret_lease_id[LH_LEASE_ID_ROOM],
                     lh_error *error)
{
    lh_error mine = LH_ERROR_INIT;
    int64_t began_us = lh_clock_us();
    error = error ? error : &mine;
    int outcome = transfer(lease, to_owner, ret_lease_id, error);
    return lh_lease_log(lease, LH_LOG_TRANSFER, began_us, outcome, error);
}

/* SPDX-License-Identifier: Apache-2.0
 * Translates errors of the caller's client to our outcomes. The client's error API may be either
 * version, so the server's code is taken from the reply. */
#include "guard/guard_error.h"

#include <string.h>

#include "base/error.h"
#include "guard/guard.h"
#include "lease/lease.h"
#include "lease/lease_held.h"
#include "store/store.h"
#include "store/store_refused.h"
#include "store/store_unanswered.h"

enum { CODE_ILLEGAL_OPERATION = 20, CODE_NOT_IN_TRANSACTION = 263 };

int lh_guard_check(const lh_lease *lease, lh_error *error)
{
    if (!lease)
        return lh_fail(error, LH_INVALID, "no lease was given");
    int outcome = lh_store_check(lease->store, error);
    if (outcome != LH_OK)
        return outcome;
    if (!lease->enforced)
        return LH_OK; /* a lease that is not enforced always passes */
    if (lease->mode != LH_EXCLUSIVE)
        return lh_fail(
            error, LH_INVALID,
            "the lease is shared, and only exclusive leases can guard and fence: readers "
            "with different tokens would exclude each other");
    if (lh_lease_token(lease) == 0)
        return lh_fail(error, LH_INVALID,
                       "the lease was attached and not yet renewed: renew it first");
    if (!lh_lease_believed(lease))
        return lh_fail(error, LH_REASON_ENDED,
                       "the lease has ended: it was released, or not renewed in time");
    return LH_OK;
}

bool lh_guard_has_label(const bson_t *reply, const char *label)
{
    return mongoc_error_has_label(reply, label);
}

bool lh_guard_is_majority(const bson_t *reply)
{
    return !bson_has_field(reply, "writeConcernError");
}

/* The server's code; 0: the error comes from the driver. */
static uint32_t code_of(const bson_t *reply)
{
    bson_iter_t code;
    return bson_iter_init_find(&code, reply, "code") ? (uint32_t)bson_iter_as_int64(&code) : 0;
}

static int fail_unknown(const char *what, const char *message, lh_error *error)
{
    return lh_fail(error, LH_REASON_NO_REPLY, "the attempt to %s may have succeeded: %s", what,
                   message);
}

static int judge_code(const char *what, lh_guard_sent sent, const bson_t *reply,
                      const char *message, lh_error *error)
{
    uint32_t code = code_of(reply);
    if (code == CODE_ILLEGAL_OPERATION || code == CODE_NOT_IN_TRANSACTION)
        return lh_fail(error, LH_REASON_TRANSACTIONS, "this deployment cannot %s: %s", what,
                       message);
    switch (lh_store_code_kind(code)) {
    case LH_CODE_DENIED:
        return lh_fail(
            error, LH_REASON_PRIVILEGE,
            "not permitted to %s: the user of the caller's client lacks a privilege (code %u)",
            what, code);
    case LH_CODE_NOT_RUN:
    case LH_CODE_LATER:
        return sent == LH_SENT_WRITE_AGAIN
                   ? fail_unknown(what, message, error)
                   : lh_fail(error, lh_store_code_reason(code), "the server could not %s now: %s",
                             what, message);
    case LH_CODE_OPEN:
        return lh_fail(
            error, sent == LH_SENT_NO_WRITE ? lh_store_code_reason(code) : LH_REASON_INTERRUPTED,
            "the server was interrupted during the attempt to %s: %s", what, message);
    case LH_CODE_REFUSED:
    default:
        return lh_store_fail_refused(
            &(lh_refusal){.what = what, .reply = reply, .code = code, .message = message}, error);
    }
}

int lh_guard_fail(const char *what, lh_guard_sent sent, const bson_t *reply,
                  const bson_error_t *why, lh_error *error)
{
    uint32_t code = code_of(reply);
    int outcome;
    if (lh_guard_has_label(reply, LH_LABEL_AGAIN))
        outcome = lh_fail(error, LH_AGAIN, "cannot %s now; begin the transaction again: %s", what,
                          why->message);
    else if (code != 0)
        outcome = judge_code(what, sent, reply, why->message, error);
    else if (why->domain == MONGOC_ERROR_SERVER_SELECTION && sent == LH_SENT_WRITE_AGAIN)
        outcome = fail_unknown(what, why->message, error);
    else if (why->domain == MONGOC_ERROR_SERVER_SELECTION)
        outcome = lh_fail(error, lh_store_why_unreachable(why),
                          "cannot %s: no server can be reached: %s", what, why->message);
    else if (why->domain == MONGOC_ERROR_STREAM || why->domain == MONGOC_ERROR_WRITE_CONCERN)
        outcome = lh_fail(error,
                          sent == LH_SENT_NO_WRITE ? lh_store_why_unreachable(why)
                                                   : lh_store_why_unknown(why),
                          "the reply was lost during the attempt to %s: %s", what, why->message);
    else
        outcome = lh_fail(error, LH_SERVER, "the driver refused to %s: %s", what, why->message);
    if (error)
        error->server_code = (int)code;
    return outcome;
}

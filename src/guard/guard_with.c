/* SPDX-License-Identifier: Apache-2.0
 * A guarded transaction from beginning to end: the driver's own loop, which retries where that may
 * help, with the guard in front. */
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/error.h"
#include "guard/guard.h"
#include "guard/guard_error.h"
#include "lease/lease_held.h"

/* Pauses between two attempts. The driver makes none, and a paused holder may block for a long
 * time. */
#define PAUSE_FIRST_MS 2
#define PAUSE_CAP_MS   100

typedef struct {
    lh_lease *lease;
    mongoc_client_session_with_transaction_cb_t work;
    void *arg;
    lh_error *error;
    lh_backoff pause;
    bool began, stopped;
    int guarded; /* the outcome of the guard in the last attempt */
} guarding;

/* Called by the driver's loop, which owns `session`, `reply` and `why`. */
static bool attempt(mongoc_client_session_t *session, void *ctx, bson_t **reply, bson_error_t *why)
{
    guarding *g = ctx;
    lh_error error = LH_ERROR_INIT;
    if (g->began)
        lh_clock_sleep(lh_backoff_next(&g->pause));
    g->began = true;
    g->stopped = false;
    *why = (bson_error_t){0};
    g->guarded = lh_lease_guard(g->lease, session, reply, &error);
    if (g->guarded == LH_OK) {
        g->stopped = !g->work(session, g->arg, reply, why);
        return !g->stopped;
    }
    bson_set_error(why, MONGOC_ERROR_TRANSACTION, (uint32_t)g->guarded, "%s", error.message);
    lh_error_give(g->error, &error);
    return false;
}

/* Options for a snapshot, committed by a majority in bounded time. */
static mongoc_transaction_opt_t *options_new(const lh_store *store)
{
    mongoc_transaction_opt_t *options = mongoc_transaction_opts_new();
    mongoc_read_concern_t *snapshot = mongoc_read_concern_new();
    mongoc_write_concern_t *majority = mongoc_write_concern_new();
    mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    mongoc_read_concern_set_level(snapshot, MONGOC_READ_CONCERN_LEVEL_SNAPSHOT);
    mongoc_write_concern_set_w(majority, MONGOC_WRITE_CONCERN_W_MAJORITY);
    mongoc_write_concern_set_journal(majority, true);
    mongoc_transaction_opts_set_read_concern(options, snapshot);
    mongoc_transaction_opts_set_write_concern(options, majority);
    mongoc_transaction_opts_set_read_prefs(options, primary);
    mongoc_transaction_opts_set_max_commit_time_ms(options, store->timeout_ms);
    mongoc_read_prefs_destroy(primary);
    mongoc_write_concern_destroy(majority);
    mongoc_read_concern_destroy(snapshot);
    return options;
}

/* The driver gave up: in the guard, in the caller's work, or at the commit. */
static int judge(const guarding *g, const bson_t *reply, const bson_error_t *why)
{
    if (!g->began)
        return lh_guard_fail("begin the transaction", LH_SENT_NO_WRITE, reply, why, g->error);
    if (g->guarded != LH_OK)
        return g->guarded; /* attempt() has filled g->error */
    bool begin = why->domain == MONGOC_ERROR_SERVER_SELECTION,
         again = lh_guard_has_label(reply, LH_LABEL_AGAIN);
    if (g->stopped && !again && !begin)
        return lh_fail(g->error, LH_STOPPED, "%s",
                       *why->message ? why->message : "the callback returned false");
    if (lh_guard_has_label(reply, "UnknownTransactionCommitResult") || !lh_guard_is_majority(reply))
        return lh_fail(g->error,
                       lh_guard_is_majority(reply) ? LH_REASON_NO_REPLY : LH_REASON_NO_MAJORITY,
                       "the transaction may or may not be committed: %s", why->message);
    return lh_guard_fail("commit the transaction",
                         g->stopped ? LH_SENT_NO_WRITE : LH_SENT_WRITE_AGAIN, reply, why, g->error);
}

int lh_with_guard(lh_lease *lease, mongoc_client_session_t *session,
                  mongoc_client_session_with_transaction_cb_t work, void *arg, lh_error *error)
{
    int outcome = lh_guard_check(lease, error);
    if (outcome != LH_OK)
        return outcome;
    if (!session || !work)
        return lh_fail(error, LH_INVALID, "no %s was given", session ? "callback" : "session");
    if (mongoc_client_session_in_transaction(session))
        return lh_fail(error, LH_INVALID,
                       "the session has an open transaction: guard it with lh_lease_guard(), or "
                       "pass a session without one");
    guarding g = {.lease = lease, .work = work, .arg = arg, .error = error};
    g.pause =
        lh_backoff_from(PAUSE_FIRST_MS, PAUSE_CAP_MS, (uint64_t)lh_clock_ms() ^ (uintptr_t)&g);
    mongoc_transaction_opt_t *options = options_new(lease->store);
    bson_error_t why = {0};
    bson_t reply;
    bool good = mongoc_client_session_with_transaction(session, attempt, options, &g, &reply, &why);
    if (!good || !lh_guard_is_majority(&reply))
        outcome = judge(&g, &reply, &why);
    bson_destroy(&reply);
    mongoc_transaction_opts_destroy(options);
    return outcome;
}

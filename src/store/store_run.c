/* SPDX-License-Identifier: Apache-2.0
 * Running one command: bounded, repeated while its outcome is open, and its errors mapped to
 * outcomes.
 *
 * Home of invariant 3: only an answer acknowledged by a majority, journalled, without
 * writeConcernError is LH_OK. What was sent and not answered is asked again with the same lease id
 * until the deadline, and is LH_UNKNOWN when that is in vain.
 *
 * Home of: a command that one server died of is not carried to the next. */
#include "store/store_run.h"

#include <mongoc/mongoc.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/error.h"
#include "protocol/twice.h"
#include "store/store.h"
#include "store/store_again.h"
#include "store/store_client.h"
#include "store/store_contact.h"
#include "store/store_denied.h"
#include "store/store_refused.h"
#include "store/store_set.h"
#include "store/store_tls.h"
#include "store/store_unanswered.h"
#include "store/store_uri.h"

#define PAUSE_FIRST_MS 10
#define PAUSE_CAP_MS   250
/* after a lost answer: the next command may be about the same document */
#define WARY_MS 60000
/* after one was found: keepers and callers ask for it again and again */
#define WARY_FOUND_MS 3600000

/* What one attempt can mean for the loop in lh_store_run(). */
typedef enum {
    ATTEMPT_DONE,    /* a definite outcome: LH_OK or the server's refusal */
    ATTEMPT_NOT_RUN, /* surely not applied; worth another attempt */
    ATTEMPT_OPEN,    /* may have been applied */
} attempt;

/* A command, from its first attempt to its last. */
typedef struct {
    lh_store *store;
    const lh_call *call;
    lh_error *error; /* may be NULL */
    /* of the reply: each document, if it is a cursor's */
    int (*each)(void *arg, const bson_t *document);
    void *arg;
    int64_t began_us;
    int attempts;
    bool maybe; /* an attempt may have been applied, and was not answered */
    /* LH_REASON_…, if it ends without an answer; 0: no attempt failed so yet */
    int why_unreachable, why_unknown;
    /* of the attempt under way */
    mongoc_client_t *client;
    int64_t sent; /* lh_clock_ms() */
    int outcome;  /* ATTEMPT_DONE */
    bson_error_t why;
} running;

/* Codes that this file looks at by itself; what the others mean: store_refused.c. */
enum { CODE_UNAUTHORIZED = 13 };

/* "not authorized on db to execute command { … }": the command in it would show lease ids. */
static int fail_denied(const lh_call *call, const bson_error_t *why, lh_error *error)
{
    const char *cut = strstr(why->message, " to execute command");
    int len = cut ? (int)(cut - why->message) : (int)strlen(why->message);
    int reason = why->code == CODE_UNAUTHORIZED ? LH_REASON_PRIVILEGE : LH_REASON_CREDENTIALS;
    return lh_fail(error, reason, "not permitted to %s: %.*s; check the user's password and roles",
                   call->what, len, why->message);
}

static attempt judge_server_code(running *r, const bson_t *reply)
{
    const lh_call *call = r->call;
    const bson_error_t *why = &r->why;
    switch (lh_store_code_kind(why->code)) {
    case LH_CODE_DENIED:
        r->outcome = fail_denied(call, why, r->error);
        return ATTEMPT_DONE;
    /* … in which it was: statements before it, each a commit, may have been done */
    case LH_CODE_NOT_RUN:
        return call->several ? ATTEMPT_OPEN : ATTEMPT_NOT_RUN;
    case LH_CODE_LATER:
        r->outcome =
            lh_fail(r->error, lh_store_code_reason(why->code),
                    "the server cannot %s now: %s (code %u)", call->what, why->message, why->code);
        return ATTEMPT_DONE;
    case LH_CODE_OPEN:
        return ATTEMPT_OPEN;
    case LH_CODE_REFUSED:
    default:
        break;
    }
    r->outcome =
        lh_store_fail_refused(&(lh_refusal){.what = call->what,
                                            .db = call->db ? call->db : r->store->db,
                                            .collection = lh_store_collection_of(call->command),
                                            .reply = reply,
                                            .code = why->code,
                                            .message = why->message},
                              r->error);
    return ATTEMPT_DONE;
}

/* The server's own sentences. The driver gives the same code where the connection broke, or the
 * server was shut down, before it knew the user: that is an outage. */
static bool is_login_refused(const bson_error_t *why)
{
    return strstr(why->message, "uthentication failed") ||
           strstr(why->message, "which is not enabled");
}

/* The driver returned false: what does that say of the command? */
static attempt judge_failure(running *r, const bson_t *reply)
{
    const bson_error_t *why = &r->why;
    switch (why->domain) {
    case MONGOC_ERROR_SERVER_SELECTION:
        return ATTEMPT_NOT_RUN;
    case MONGOC_ERROR_STREAM:
        return why->code == MONGOC_ERROR_STREAM_CONNECT ||
                       why->code == MONGOC_ERROR_STREAM_NAME_RESOLUTION ||
                       why->code == MONGOC_ERROR_STREAM_NOT_ESTABLISHED
                   ? ATTEMPT_NOT_RUN
                   : ATTEMPT_OPEN;
    case MONGOC_ERROR_SERVER:
        return judge_server_code(r, reply);
    case MONGOC_ERROR_CLIENT:
    case MONGOC_ERROR_SCRAM:
    case MONGOC_ERROR_SASL:
        if (why->domain != MONGOC_ERROR_CLIENT || why->code == MONGOC_ERROR_CLIENT_AUTHENTICATE) {
            if (!is_login_refused(why))
                return ATTEMPT_NOT_RUN;
            r->outcome = fail_denied(r->call, why, r->error);
            return ATTEMPT_DONE;
        }
        /* fall through */
    case MONGOC_ERROR_COMMAND:
    case MONGOC_ERROR_BSON:
        r->outcome = lh_fail(r->error, LH_BUG, "cannot %s: the driver refuses the command: %s",
                             r->call->what, why->message);
        return ATTEMPT_DONE;
    default:
        return ATTEMPT_OPEN;
    }
}

/* LH_OK for a reply without writeConcernError. */
static attempt judge_success(const bson_t *reply, bson_error_t *why)
{
    bson_iter_t concern, text;
    if (!bson_iter_init_find(&concern, reply, "writeConcernError"))
        return ATTEMPT_DONE;
    const char *message = "writeConcernError";
    if (bson_iter_recurse(&concern, &text) && bson_iter_find(&text, "errmsg") &&
        BSON_ITER_HOLDS_UTF8(&text))
        message = bson_iter_utf8(&text, NULL);
    bson_set_error(why, MONGOC_ERROR_WRITE_CONCERN, 64, "no majority acknowledged the write: %s",
                   message);
    return ATTEMPT_OPEN;
}

static bool is_read(const lh_call *call)
{
    return call->kind == LH_CALL_READ || call->kind == LH_CALL_READ_SURELY;
}

/* What is sent along: bounds, and the concern. A cursor has no maxTimeMS: it would count for all of
 * its batches together, each of which the socket's timeout bounds. */
static void make_options(const lh_store *store, const lh_call *call, bool cursor, bson_t *options)
{
    int64_t ms = call->deadline - lh_clock_ms(), cap = store->socket_timeout_ms * 9 / 10;
    if (!call->slow && ms > cap)
        ms = cap;
    bson_init(options);
    if (call->session)
        (void)mongoc_client_session_append(call->session, options, NULL);
    else if (!cursor)
        BSON_APPEND_INT64(options, "maxTimeMS", ms > 1 ? ms : 1);
    bson_t concern;
    if (call->kind == LH_CALL_BARE)
        return;
    BSON_APPEND_DOCUMENT_BEGIN(options, is_read(call) ? "readConcern" : "writeConcern", &concern);
    if (is_read(call)) {
        bool surely =
            call->kind == LH_CALL_READ_SURELY && atomic_load(&store->topology) == LH_TOPOLOGY_SET;
        BSON_APPEND_UTF8(&concern, "level", surely ? "linearizable" : "majority");
    } else {
        BSON_APPEND_UTF8(&concern, "w", "majority");
        BSON_APPEND_BOOL(&concern, "j", true);
    }
    bson_append_document_end(options, &concern);
}

static attempt run_once(running *r, bson_t *reply)
{
    lh_store *store = r->store;
    const lh_call *call = r->call;
    const char *db = call->db ? call->db : store->db;
    bson_t options;
    make_options(store, call, r->each != NULL, &options);
    bson_destroy(reply);
    int64_t sent_us = lh_clock_us();
    r->sent = lh_clock_ms();
    bool good = call->kind == LH_CALL_WRITE
                    ? mongoc_client_write_command_with_opts(r->client, db, call->command, &options,
                                                            reply, &r->why)
                    : mongoc_client_read_command_with_opts(r->client, db, call->command, NULL,
                                                           &options, reply, &r->why);
    /* what the server answered itself: a reply, or its refusal */
    if (good || r->why.domain == MONGOC_ERROR_SERVER)
        lh_meter_time(&store->meters, LH_METER(round_trips), lh_clock_us() - sent_us);
    bson_destroy(&options);
    r->outcome = LH_OK;
    attempt result = judge_success(reply, &r->why);
    if (result == ATTEMPT_DONE && !good)
        result = judge_failure(r, reply);
    if (result == ATTEMPT_DONE && r->outcome == LH_DENIED && r->why.code == CODE_UNAUTHORIZED &&
        r->error)
        lh_store_name_missing(store, r->client, call, r->error);
    if (result == ATTEMPT_DONE && r->outcome != LH_OK && r->error)
        r->error->server_code = (int)r->why.code;
    return result;
}

/* After an attempt that is to be repeated. The driver avoids a server for a while whose connection
 * broke, or that is no primary any more: that it finds none then says less than the fault. */
static void learn(running *r, attempt result)
{
    if (result == ATTEMPT_OPEN)
        r->why_unknown = lh_store_why_unknown(&r->why);
    if (r->why_unreachable == 0 || r->why.domain != MONGOC_ERROR_SERVER_SELECTION)
        r->why_unreachable = lh_store_why_unreachable(&r->why);
    r->maybe = r->maybe || (result == ATTEMPT_OPEN && r->call->kind == LH_CALL_WRITE);
}

static int fail_unanswered(const running *r, lh_error *error)
{
    const char *what = r->call->what, *message = r->why.message;
    lh_assert(r->maybe || r->why_unreachable != 0);
    int outcome =
        r->maybe ? lh_fail(error, r->why_unknown ? r->why_unknown : LH_REASON_NO_REPLY,
                           "the attempt to %s may or may not have succeeded: %s", what, message)
                 : lh_fail(error, r->why_unreachable, "cannot %s: no server responded in time: %s",
                           what, message);
    if (error && r->why.domain == MONGOC_ERROR_SERVER)
        error->server_code = (int)r->why.code;
    return outcome;
}

/* Before the time of sending is taken: waiting for an election is not part of how long a command
 * took. Left out while commands are answered: it costs as much of the processor as all that we add
 * to the driver's work. */
static bool wait_for_server(running *r)
{
    mongoc_server_description_t *server = lh_store_select(r->client, &r->why);
    mongoc_server_description_destroy(server);
    return server != NULL;
}

static attempt each_once(running *r);

static void be_wary(lh_store *store, int64_t ms)
{
    int64_t until = lh_clock_ms() + ms;
    if (until > atomic_load(&store->wary_until))
        atomic_store(&store->wary_until, until);
}

typedef struct {
    const lh_call *call;
    bool found;
    lh_error error; /* … what it was */
} looking;

static int look_at_one(void *arg, const bson_t *document)
{
    looking *l = arg;
    char problem[128];
    l->found = lh_twice_find(document, problem, sizeof problem);
    if (l->found)
        (void)lh_twice_fail(l->call->what, document, problem, &l->error);
    return l->found;
}

/* May the command be sent? ATTEMPT_DONE with LH_OK: yes. With LH_DATA: never. ATTEMPT_NOT_RUN:
 * nobody knows yet. */
static attempt look_first(running *r)
{
    lh_store *store = r->store;
    bson_t command = BSON_INITIALIZER;
    lh_error mine = LH_ERROR_INIT;
    looking l = {.call = r->call, .error = LH_ERROR_INIT};
    const lh_call call = {.what = r->call->what,
                          .command = &command,
                          .deadline = r->call->deadline,
                          .kind = LH_CALL_READ};
    running look = {.store = store,
                    .call = &call,
                    .error = &mine,
                    .client = r->client,
                    .each = look_at_one,
                    .arg = &l};
    attempt result = ATTEMPT_DONE;
    if (lh_again_look(r->call->command, store->collection, &command)) {
        result = each_once(&look);
        r->outcome = look.outcome;
        r->why = look.why;
    }
    bson_destroy(&command);
    if (l.found) {
        r->outcome = LH_DATA;
        be_wary(store, WARY_FOUND_MS);
    } else if (r->outcome == LH_UNREACHABLE) { /* between two batches of documents */
        bson_set_error(&r->why, MONGOC_ERROR_STREAM, 0, "%s", mine.message);
        result = ATTEMPT_NOT_RUN;
    }
    if (result == ATTEMPT_DONE && r->outcome != LH_OK)
        lh_error_give(r->error, l.found ? &l.error : &mine);
    return result == ATTEMPT_DONE ? ATTEMPT_DONE : ATTEMPT_NOT_RUN;
}

static attempt send_once(running *r, bson_t *reply)
{
    int64_t wary_until = atomic_load(&r->store->wary_until);
    bool is_write = r->call->kind == LH_CALL_WRITE;
    bool wary = wary_until != 0 && lh_clock_ms() < wary_until && is_write;
    attempt result = wary ? look_first(r) : ATTEMPT_DONE;
    if (result != ATTEMPT_DONE || r->outcome != LH_OK)
        return result;
    result = run_once(r, reply);
    if (result == ATTEMPT_OPEN && r->why.domain == MONGOC_ERROR_STREAM && is_write)
        be_wary(r->store, WARY_MS);
    return result;
}

/* ---- From the first attempt to the last -------------------------------------------------------*/

static void log_command(const running *r, int event, int outcome, const lh_error *error)
{
    lh_log(r->store,
           &(lh_log_event){.event = event,
                           .outcome = outcome,
                           .attempt = r->attempts,
                           .duration_us = lh_clock_us() - r->began_us,
                           .key = r->call->key,
                           .command = r->call->what},
           error);
}

static void log_repeat(const running *r)
{
    lh_error error = LH_ERROR_INIT;
    int outcome = fail_unanswered(r, r->store->log.fn ? &error : NULL);
    log_command(r, LH_LOG_REPEAT, outcome, &error);
}

/* What callers guarantee. */
static running begin(lh_store *store, const lh_call *call, lh_error *error)
{
    lh_assert(call->what && *call->what && !bson_empty(call->command) && call->deadline > 0);
    lh_assert(!(is_read(call) && call->maybe)); /* a read changes nothing */
    lh_assert(!(call->slow && call->client));   /* it needs a socket that waits longer */
    return (running){.store = store,
                     .call = call,
                     .error = error,
                     .maybe = call->maybe,
                     .began_us = lh_clock_us()};
}

static int finish(const running *r, int outcome)
{
    const lh_call *call = r->call;
    /* What callers rely on: only a write can be in doubt, and nothing here knows of leases. */
    lh_assert(outcome != LH_UNKNOWN || (r->maybe && !is_read(call)));
    lh_assert(outcome != LH_BUSY && outcome != LH_LOST);
    int by_kind = is_read(call) ? LH_OPERATION_READ : LH_OPERATION_OTHER;
    lh_meter_command(&r->store->meters, call->operation ? call->operation : by_kind, outcome);
    if (r->store->log.fn)
        log_command(r, LH_LOG_COMMAND, outcome, r->error);
    return outcome;
}

/* Is it over? A refusal settles only its own attempt, not an earlier one whose answer was lost. But
 * a duplicate key is contention, which the caller knows how to go on from; and what a server died
 * of was not done. */
static bool is_settled(const running *r, attempt result)
{
    return result == ATTEMPT_DONE &&
           (r->outcome == LH_OK || !r->maybe || r->why.code == LH_MONGO_DUPLICATE_KEY ||
            r->outcome == LH_DATA);
}

/* One attempt, with a client of its own; `reply` NULL: the cursor's documents go to `each`. */
static attempt try_once(running *r, bson_t *reply)
{
    attempt result = ATTEMPT_NOT_RUN;
    r->why = (bson_error_t){0};
    r->outcome = LH_OK;
    r->attempts++;
    r->client = lh_store_take(r->store, r->call, &r->why);
    if (r->client) {
        if (!reply)
            result = each_once(r);
        else if (atomic_load(&r->store->answered) || wait_for_server(r))
            result = send_once(r, reply);
    }
    if (reply)
        atomic_store(&r->store->answered, result == ATTEMPT_DONE);
    lh_store_give(r->store, r->call, r->client);
    return result;
}

static int run(running *r, bson_t *reply)
{
    const lh_call *call = r->call;
    int outcome = lh_store_contact(r->store, call->deadline, r->error);
    if (outcome != LH_OK)
        return outcome;
    lh_backoff pause =
        lh_backoff_from(PAUSE_FIRST_MS, PAUSE_CAP_MS, (uint64_t)lh_clock_ms() ^ (uintptr_t)call);
    for (;;) {
        attempt result = try_once(r, reply);
        if (is_settled(r, result))
            return r->outcome;
        if (result != ATTEMPT_DONE)
            learn(r, result);
        int64_t ms = lh_backoff_next(&pause);
        bool stop = result == ATTEMPT_DONE || call->once ||
                    (call->client && atomic_load(&r->store->stopping));
        if (stop || lh_clock_ms() + ms >= call->deadline)
            return fail_unanswered(r, r->error);
        log_repeat(r);
        lh_clock_sleep(ms);
    }
}

int lh_store_run(lh_store *store, lh_call *call, bson_t *reply, int64_t *ret_sent, lh_error *error)
{
    lh_error mine = LH_ERROR_INIT;
    running r = begin(store, call, !error && store->log.fn ? &mine : error);
    bson_init(reply);
    int outcome = run(&r, reply);
    call->maybe = r.maybe;
    if (ret_sent)
        *ret_sent = r.sent;
    return finish(&r, outcome);
}

/* ---- Cursors ----------------------------------------------------------------------------------*/

/* Gives the cursor's documents away; the driver fetches the batches from the server that has it. */
static void drain(running *r, bson_t *reply, uint32_t server_id)
{
    const lh_call *call = r->call;
    bson_t options = BSON_INITIALIZER;
    BSON_APPEND_INT32(&options, "serverId", (int32_t)server_id);
    if (call->session)
        (void)mongoc_client_session_append(call->session, &options, NULL);
    bson_iter_t size;
    /* else the next ones come with 16 MB each */
    if (bson_iter_init_find(&size, call->command, "batchSize"))
        BSON_APPEND_INT32(&options, "batchSize", (int32_t)bson_iter_as_int64(&size));
    mongoc_cursor_t *cursor =
        mongoc_cursor_new_from_command_reply_with_opts(r->client, reply, &options);
    bson_destroy(&options);
    const bson_t *document;
    while (r->outcome == LH_OK && mongoc_cursor_next(cursor, &document))
        if (r->each(r->arg, document) != 0)
            r->outcome = lh_fail(r->error, LH_STOPPED,
                                 "stopped by the caller during the attempt to %s", call->what);
    if (r->outcome == LH_OK && mongoc_cursor_error(cursor, &r->why)) {
        attempt result = judge_failure(r, NULL);
        if (result != ATTEMPT_DONE) { /* documents were given away: it is not asked again */
            learn(r, result);
            r->outcome = fail_unanswered(r, r->error);
        } else if (r->error) {
            r->error->server_code = (int)r->why.code;
        }
    }
    mongoc_cursor_destroy(cursor);
}

/* Runs the command that opens the cursor, on the client, and drains it. ATTEMPT_DONE, or worth
 * another attempt: no document was given away then. */
static attempt each_once(running *r)
{
    mongoc_server_description_t *server = lh_store_select(r->client, &r->why);
    if (!server)
        return ATTEMPT_NOT_RUN;
    bson_t reply = BSON_INITIALIZER;
    const lh_call *call = r->call;
    lh_call mine = *call;
    mine.session = lh_store_session(r->client);
    r->call = &mine;
    attempt result = run_once(r, &reply);
    if (result == ATTEMPT_DONE && r->outcome == LH_OK) /* takes the reply */
        drain(r, &reply, mongoc_server_description_id(server));
    else
        bson_destroy(&reply);
    r->call = call;
    if (mine.session)
        mongoc_client_session_destroy(mine.session);
    mongoc_server_description_destroy(server);
    return result;
}

int lh_store_each(lh_store *store, const lh_call *call,
                  int (*each)(void *arg, const bson_t *document), void *arg, lh_error *error)
{
    lh_error mine = LH_ERROR_INIT;
    running r = begin(store, call, !error && store->log.fn ? &mine : error);
    r.each = each;
    r.arg = arg;
    return finish(&r, run(&r, NULL));
}

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
#include "store/store_denied.h"
#include "store/store_refused.h"
#include "store/store_set.h"
#include "store/store_tls.h"
#include "store/store_unanswered.h"
#include "store/store_uri.h"

#define WIRE_VERSION_6_0 17
#define PAUSE_FIRST_MS   10
#define PAUSE_CAP_MS     250
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

static attempt judge_server_code(const lh_store *store, const lh_call *call, const bson_t *reply,
                                 const bson_error_t *why, int *ret_outcome, lh_error *error)
{
    switch (lh_store_code_kind(why->code)) {
    case LH_CODE_DENIED:
        *ret_outcome = fail_denied(call, why, error);
        return ATTEMPT_DONE;
    /* … in which it was: statements before it, each a commit, may have been done */
    case LH_CODE_NOT_RUN:
        return call->several ? ATTEMPT_OPEN : ATTEMPT_NOT_RUN;
    case LH_CODE_LATER:
        *ret_outcome =
            lh_fail(error, lh_store_code_reason(why->code),
                    "the server cannot %s now: %s (code %u)", call->what, why->message, why->code);
        return ATTEMPT_DONE;
    case LH_CODE_OPEN:
        return ATTEMPT_OPEN;
    case LH_CODE_REFUSED:
    default:
        break;
    }
    *ret_outcome =
        lh_store_fail_refused(&(lh_refusal){.what = call->what,
                                            .db = call->db ? call->db : store->db,
                                            .collection = lh_store_collection_of(call->command),
                                            .reply = reply,
                                            .code = why->code,
                                            .message = why->message},
                              error);
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
static attempt judge_failure(const lh_store *store, const lh_call *call, const bson_t *reply,
                             const bson_error_t *why, int *ret_outcome, lh_error *error)
{
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
        return judge_server_code(store, call, reply, why, ret_outcome, error);
    case MONGOC_ERROR_CLIENT:
    case MONGOC_ERROR_SCRAM:
    case MONGOC_ERROR_SASL:
        if (why->domain != MONGOC_ERROR_CLIENT || why->code == MONGOC_ERROR_CLIENT_AUTHENTICATE) {
            if (!is_login_refused(why))
                return ATTEMPT_NOT_RUN;
            *ret_outcome = fail_denied(call, why, error);
            return ATTEMPT_DONE;
        }
        /* fall through */
    case MONGOC_ERROR_COMMAND:
    case MONGOC_ERROR_BSON:
        *ret_outcome = lh_fail(error, LH_BUG, "cannot %s: the driver refuses the command: %s",
                               call->what, why->message);
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
    bson_set_error(why, MONGOC_ERROR_WRITE_CONCERN, 64, "no majority acknowledged it: %s", message);
    return ATTEMPT_OPEN;
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
    if (call->bare)
        return;
    BSON_APPEND_DOCUMENT_BEGIN(options, call->read ? "readConcern" : "writeConcern", &concern);
    if (call->read) {
        bool surely = call->surely && atomic_load(&store->topology) == LH_TOPOLOGY_SET;
        BSON_APPEND_UTF8(&concern, "level", surely ? "linearizable" : "majority");
    } else {
        BSON_APPEND_UTF8(&concern, "w", "majority");
        BSON_APPEND_BOOL(&concern, "j", true);
    }
    bson_append_document_end(options, &concern);
}

static attempt run_once(lh_store *store, mongoc_client_t *client, const lh_call *call, bool cursor,
                        bson_t *reply, int64_t *ret_sent, int *ret_outcome, bson_error_t *why,
                        lh_error *error)
{
    const char *db = call->db ? call->db : store->db;
    bson_t options;
    make_options(store, call, cursor, &options);
    bson_destroy(reply);
    int64_t sent_us = lh_clock_us();
    if (ret_sent)
        *ret_sent = lh_clock_ms();
    bool good = call->read || call->bare
                    ? mongoc_client_read_command_with_opts(client, db, call->command, NULL,
                                                           &options, reply, why)
                    : mongoc_client_write_command_with_opts(client, db, call->command, &options,
                                                            reply, why);
    /* what the server answered itself: a reply, or its refusal */
    if (good || why->domain == MONGOC_ERROR_SERVER)
        lh_meter_time(&store->meters, LH_METER(round_trips), lh_clock_us() - sent_us);
    bson_destroy(&options);
    *ret_outcome = LH_OK;
    attempt result = judge_success(reply, why);
    if (result == ATTEMPT_DONE && !good)
        result = judge_failure(store, call, reply, why, ret_outcome, error);
    if (result == ATTEMPT_DONE && *ret_outcome == LH_DENIED && why->code == CODE_UNAUTHORIZED &&
        error)
        lh_store_name_missing(store, client, call, error);
    if (result == ATTEMPT_DONE && *ret_outcome != LH_OK && error)
        error->server_code = (int)why->code;
    return result;
}

/* A command, from its first attempt to its last. */
typedef struct {
    int64_t began_us;
    int attempts;
    /* LH_REASON_…, if it ends without an answer; 0: no attempt failed so yet */
    int why_unreachable, why_unknown;
} running;

/* After an attempt that is to be repeated. The driver avoids a server for a while whose connection
 * broke, or that is no primary any more: that it finds none then says less than the fault. */
static void learn(running *r, attempt result, const bson_error_t *why)
{
    if (result == ATTEMPT_OPEN)
        r->why_unknown = lh_store_why_unknown(why);
    if (r->why_unreachable == 0 || why->domain != MONGOC_ERROR_SERVER_SELECTION)
        r->why_unreachable = lh_store_why_unreachable(why);
}

static int fail_unanswered(const lh_call *call, const running *r, bool maybe,
                           const bson_error_t *why, lh_error *error)
{
    lh_assert(maybe || r->why_unreachable != 0);
    int outcome =
        maybe ? lh_fail(error, r->why_unknown ? r->why_unknown : LH_REASON_NO_REPLY,
                        "the server may or may not have done it (%s): %s", call->what, why->message)
              : lh_fail(error, r->why_unreachable, "cannot %s: no server answered in time: %s",
                        call->what, why->message);
    if (error && why->domain == MONGOC_ERROR_SERVER)
        error->server_code = (int)why->code;
    return outcome;
}

/* A client of the pool; for a slow call one of its own, whose socket waits as long as the call may
 * take. */
static mongoc_client_t *take_client(lh_store *store, const lh_call *call, bson_error_t *why)
{
    if (call->client)
        return call->client;
    mongoc_client_t *client = mongoc_client_pool_pop(store->pool);
    if (!client) {
        lh_store_set_no_connection(why);
        return NULL;
    }
    if (!call->slow)
        return client;
    mongoc_uri_t *uri = mongoc_uri_copy(mongoc_client_get_uri(client));
    mongoc_client_pool_push(store->pool, client);
    int64_t ms = call->deadline - lh_clock_ms();
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS,
                                   (int32_t)(ms > 1000 ? ms : 1000));
    client = mongoc_client_new_from_uri(uri);
    mongoc_uri_destroy(uri);
    if (!client)
        bson_set_error(why, MONGOC_ERROR_SERVER_SELECTION, 0, "out of memory");
    else
        mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
    return client;
}

static void give_client(lh_store *store, const lh_call *call, mongoc_client_t *client)
{
    if (call->client)
        return;
    if (client && call->slow)
        mongoc_client_destroy(client);
    else if (client)
        mongoc_client_pool_push(store->pool, client);
}

/* Before the time of sending is taken: waiting for an election is not part of how long a command
 * took. Left out while commands are answered: it costs as much of the processor as all that we add
 * to the driver's work. */
static bool wait_for_server(mongoc_client_t *client, bson_error_t *why)
{
    mongoc_server_description_t *server = lh_store_select(client, why);
    mongoc_server_description_destroy(server);
    return server != NULL;
}

static attempt each_once(lh_store *store, mongoc_client_t *client, const lh_call *call,
                         int (*each)(void *arg, const bson_t *document), void *arg,
                         int *ret_outcome, bson_error_t *why, lh_error *error);

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
static attempt look_first(lh_store *store, mongoc_client_t *client, const lh_call *call,
                          int *ret_outcome, bson_error_t *why, lh_error *error)
{
    bson_t command = BSON_INITIALIZER;
    lh_error mine = LH_ERROR_INIT;
    looking l = {.call = call, .error = LH_ERROR_INIT};
    attempt result = ATTEMPT_DONE;
    if (lh_again_look(call->command, store->collection, &command)) {
        const lh_call look = {
            .what = call->what, .command = &command, .deadline = call->deadline, .read = true};
        result = each_once(store, client, &look, look_at_one, &l, ret_outcome, why, &mine);
    }
    bson_destroy(&command);
    if (l.found) {
        *ret_outcome = LH_DATA;
        be_wary(store, WARY_FOUND_MS);
    } else if (*ret_outcome == LH_UNREACHABLE) { /* between two batches of documents */
        bson_set_error(why, MONGOC_ERROR_STREAM, 0, "%s", mine.message);
        result = ATTEMPT_NOT_RUN;
    }
    if (result == ATTEMPT_DONE && *ret_outcome != LH_OK)
        lh_error_give(error, l.found ? &l.error : &mine);
    return result == ATTEMPT_DONE ? ATTEMPT_DONE : ATTEMPT_NOT_RUN;
}

static attempt send_once(lh_store *store, mongoc_client_t *client, const lh_call *call,
                         bson_t *reply, int64_t *ret_sent, int *ret_outcome, bson_error_t *why,
                         lh_error *error)
{
    int64_t wary_until = atomic_load(&store->wary_until);
    *ret_outcome = LH_OK;
    bool wary = wary_until != 0 && lh_clock_ms() < wary_until && !call->read && !call->bare;
    attempt result = wary ? look_first(store, client, call, ret_outcome, why, error) : ATTEMPT_DONE;
    if (result != ATTEMPT_DONE || *ret_outcome != LH_OK)
        return result;
    result = run_once(store, client, call, false, reply, ret_sent, ret_outcome, why, error);
    if (result == ATTEMPT_OPEN && why->domain == MONGOC_ERROR_STREAM && !call->read && !call->bare)
        be_wary(store, WARY_MS);
    return result;
}

static void log_repeat(lh_store *store, const lh_call *call, const running *r,
                       const bson_error_t *why)
{
    lh_error error = LH_ERROR_INIT;
    int outcome = fail_unanswered(call, r, call->maybe, why, store->log.fn ? &error : NULL);
    lh_log(store,
           &(lh_log_event){.event = LH_LOG_REPEAT,
                           .outcome = outcome,
                           .attempt = r->attempts,
                           .duration_us = lh_clock_us() - r->began_us,
                           .key = call->key,
                           .command = call->what},
           &error);
}

/* What callers guarantee. */
static void expect(const lh_call *call)
{
    (void)call;
    lh_assert(call->what && *call->what && !bson_empty(call->command) && call->deadline > 0);
    lh_assert(call->read || !call->surely);   /* a write has no read concern */
    lh_assert(!(call->read && call->maybe));  /* a read changes nothing */
    lh_assert(!(call->slow && call->client)); /* it needs a socket that waits longer */
}

static int finish(lh_store *store, const lh_call *call, const running *r, int outcome,
                  const lh_error *error)
{
    /* What callers rely on: only a write can be in doubt, and nothing here knows of leases. */
    lh_assert(outcome != LH_UNKNOWN || (call->maybe && !call->read));
    lh_assert(outcome != LH_BUSY && outcome != LH_LOST);
    int by_read = call->read ? LH_OPERATION_READ : LH_OPERATION_OTHER;
    lh_meter_command(&store->meters, call->operation ? call->operation : by_read, outcome);
    if (store->log.fn)
        lh_log(store,
               &(lh_log_event){.event = LH_LOG_COMMAND,
                               .outcome = outcome,
                               .attempt = r->attempts,
                               .duration_us = lh_clock_us() - r->began_us,
                               .key = call->key,
                               .command = call->what},
               error);
    return outcome;
}

static int run(lh_store *store, lh_call *call, running *r, bson_t *reply, int64_t *ret_sent,
               lh_error *error)
{
    int outcome = lh_store_contact(store, call->deadline, error);
    if (outcome != LH_OK)
        return outcome;
    lh_backoff pause =
        lh_backoff_from(PAUSE_FIRST_MS, PAUSE_CAP_MS, (uint64_t)lh_clock_ms() ^ (uintptr_t)call);
    for (;;) {
        bson_error_t why = {0};
        attempt result = ATTEMPT_NOT_RUN;
        mongoc_client_t *client = take_client(store, call, &why);
        r->attempts++;
        if (client && (atomic_load(&store->answered) || wait_for_server(client, &why)))
            result = send_once(store, client, call, reply, ret_sent, &outcome, &why, error);
        atomic_store(&store->answered, result == ATTEMPT_DONE);
        give_client(store, call, client);
        /* A refusal settles only its own attempt, not an earlier one whose answer was lost. But a
         * duplicate key is contention, which the caller knows how to go on from; and what a server
         * died of was not done. */
        bool refused = result == ATTEMPT_DONE && outcome != LH_OK;
        if (result == ATTEMPT_DONE &&
            (!refused || !call->maybe || why.code == LH_MONGO_DUPLICATE_KEY || outcome == LH_DATA))
            return outcome;
        if (result != ATTEMPT_DONE)
            learn(r, result, &why);
        call->maybe |= result == ATTEMPT_OPEN && !call->read && !call->bare;
        int64_t ms = lh_backoff_next(&pause);
        bool stop = call->once || (call->client && atomic_load(&store->stopping));
        if (refused || stop || lh_clock_ms() + ms >= call->deadline)
            return fail_unanswered(call, r, call->maybe, &why, error);
        log_repeat(store, call, r, &why);
        lh_clock_sleep(ms);
    }
}

int lh_store_run(lh_store *store, lh_call *call, bson_t *reply, int64_t *ret_sent, lh_error *error)
{
    lh_error mine = LH_ERROR_INIT;
    running r = {.began_us = lh_clock_us()};
    expect(call);
    bson_init(reply);
    if (!error && store->log.fn)
        error = &mine;
    return finish(store, call, &r, run(store, call, &r, reply, ret_sent, error), error);
}

mongoc_client_t *lh_store_reserve(lh_store *store)
{
    mongoc_client_t *client = mongoc_client_pool_pop(store->pool);
    bson_t *ping = BCON_NEW("ping", BCON_INT32(1));
    /* Connects it before it is needed. (And a client that never was makes the driver complain when
     * the pool ends its sessions.) */
    if (client)
        (void)mongoc_client_command_simple(client, "admin", ping, NULL, NULL, NULL);
    bson_destroy(ping);
    return client;
}

void lh_store_unreserve(lh_store *store, mongoc_client_t *client)
{
    if (client)
        mongoc_client_pool_push(store->pool, client);
}

/* What `hello` shows of that: a config server says so; one that was started as a shard (--shardsvr)
 * tells whether its default write concern is implicit, for addShard; and once it is in a cluster
 * all its replies have a lastCommittedOpTime. (MongoDB 6.0 and 7.0.) */
static bool is_of_cluster(const bson_t *hello)
{
    return bson_has_field(hello, "configsvr") ||
           bson_has_field(hello, "isImplicitDefaultMajorityWC") ||
           bson_has_field(hello, "lastCommittedOpTime");
}

/* Is it FerretDB, which answers as MongoDB 7.0 does, and lacks what leases need? Every MongoDB
 * since 4.4 has a topologyVersion in `hello`. Only a server without one is asked what it is. */
static bool is_ferretdb(mongoc_client_t *client, const bson_t *hello)
{
    if (bson_has_field(hello, "topologyVersion"))
        return false;
    bson_t reply, *command = BCON_NEW("buildInfo", BCON_INT32(1));
    bool is_it = mongoc_client_command_simple(client, "admin", command, NULL, &reply, NULL) &&
                 bson_has_field(&reply, "ferretdbVersion");
    bson_destroy(&reply);
    bson_destroy(command);
    return is_it;
}

/* Which deployment is it? The driver knows from its handshake: MongoDB gets no command of ours. */
static int judge_topology(lh_store *store, mongoc_client_t *client,
                          const mongoc_server_description_t *server, lh_error *error)
{
    const char *type = mongoc_server_description_type(server);
    bson_iter_t wire;
    const bson_t *hello = mongoc_server_description_hello_response(server);
    if (strcmp(type, "Mongos") == 0 || strcmp(type, "LoadBalancer") == 0)
        return lh_fail(error, LH_REASON_MONGOS,
                       "this is a mongos: leases need the clock of one primary, and a sharded "
                       "unique index is not supported "
                       "yet: connect to a replica set");
    if (is_of_cluster(hello))
        return lh_fail(error, LH_REASON_SHARDED,
                       "this is a member of a sharded cluster, a shard or a config server, that is "
                       "reached directly: "
                       "its documents are not those that a mongos shows, and both would grant one "
                       "key: connect to a "
                       "replica set of its own");
    if (bson_iter_init_find(&wire, hello, "maxWireVersion") &&
        bson_iter_as_int64(&wire) < WIRE_VERSION_6_0)
        return lh_fail(error, LH_REASON_VERSION,
                       "the server is older than MongoDB 6.0, which Leasehold needs: upgrade it");
    if (is_ferretdb(client, hello))
        return lh_fail(error, LH_REASON_VERSION,
                       "the server is FerretDB, which lacks commands that leases need: connect to "
                       "MongoDB 6.0 or newer");
    int outcome = lh_store_judge_direct(server, error);
    if (outcome == LH_OK)
        atomic_store(&store->topology,
                     strcmp(type, "Standalone") == 0 ? LH_TOPOLOGY_STANDALONE : LH_TOPOLOGY_SET);
    return outcome;
}

int lh_store_contact(lh_store *store, int64_t deadline, lh_error *error)
{
    int outcome = lh_store_check(store, error);
    if (outcome != LH_OK || atomic_load(&store->topology) != LH_TOPOLOGY_UNKNOWN)
        return outcome;
    for (;;) {
        bson_error_t why = {0};
        mongoc_client_t *client = mongoc_client_pool_pop(store->pool);
        mongoc_server_description_t *server = client ? lh_store_choose(store, client, &why) : NULL;
        if (!client)
            lh_store_set_no_connection(&why);
        outcome = server ? judge_topology(store, client, server, error)
                         : lh_store_judge_sets(store, error);
        if (!server && outcome == LH_OK)
            outcome =
                lh_store_fail_no_server(client ? mongoc_client_get_uri(client) : NULL, &why, error);
        mongoc_server_description_destroy(server);
        if (client)
            mongoc_client_pool_push(store->pool, client);
        if (outcome != LH_UNREACHABLE || lh_clock_ms() + PAUSE_CAP_MS >= deadline)
            return outcome;
        lh_clock_sleep(PAUSE_CAP_MS);
    }
}

mongoc_client_session_t *lh_store_session(mongoc_client_t *client)
{
    mongoc_session_opt_t *options = mongoc_session_opts_new();
    /* it would add to our read concerns */
    mongoc_session_opts_set_causal_consistency(options, false);
    mongoc_client_session_t *session = mongoc_client_start_session(client, options, NULL);
    mongoc_session_opts_destroy(options);
    return session;
}

/* Gives the cursor's documents away; the driver fetches the batches from the server that has it. */
static int drain(const lh_store *store, mongoc_client_t *client, bson_t *reply, uint32_t server_id,
                 const lh_call *call, int (*each)(void *arg, const bson_t *document), void *arg,
                 lh_error *error)
{
    bson_t options = BSON_INITIALIZER;
    BSON_APPEND_INT32(&options, "serverId", (int32_t)server_id);
    if (call->session)
        (void)mongoc_client_session_append(call->session, &options, NULL);
    bson_iter_t size;
    /* else the next ones come with 16 MB each */
    if (bson_iter_init_find(&size, call->command, "batchSize"))
        BSON_APPEND_INT32(&options, "batchSize", (int32_t)bson_iter_as_int64(&size));
    mongoc_cursor_t *cursor =
        mongoc_cursor_new_from_command_reply_with_opts(client, reply, &options);
    bson_destroy(&options);
    int outcome = LH_OK;
    const bson_t *document;
    while (outcome == LH_OK && mongoc_cursor_next(cursor, &document))
        if (each(arg, document) != 0)
            outcome = lh_fail(error, LH_STOPPED, "stopped while it was going to %s", call->what);
    bson_error_t why;
    if (outcome == LH_OK && mongoc_cursor_error(cursor, &why)) {
        running r = {0};
        attempt result = judge_failure(store, call, NULL, &why, &outcome, error);
        if (result != ATTEMPT_DONE) {
            learn(&r, result, &why);
            outcome = fail_unanswered(call, &r, false, &why, error);
        } else if (error) {
            error->server_code = (int)why.code;
        }
    }
    mongoc_cursor_destroy(cursor);
    return outcome;
}

/* Runs the command that opens the cursor, on `client`, and drains it. ATTEMPT_DONE, or worth
 * another attempt: no document was given away then. */
static attempt each_once(lh_store *store, mongoc_client_t *client, const lh_call *call,
                         int (*each)(void *arg, const bson_t *document), void *arg,
                         int *ret_outcome, bson_error_t *why, lh_error *error)
{
    mongoc_server_description_t *server = lh_store_select(client, why);
    if (!server)
        return ATTEMPT_NOT_RUN;
    bson_t reply = BSON_INITIALIZER;
    lh_call mine = *call;
    mine.session = lh_store_session(client);
    attempt result = run_once(store, client, &mine, true, &reply, NULL, ret_outcome, why, error);
    if (result == ATTEMPT_DONE && *ret_outcome == LH_OK) /* takes the reply */
        *ret_outcome = drain(store, client, &reply, mongoc_server_description_id(server), &mine,
                             each, arg, error);
    else
        bson_destroy(&reply);
    if (mine.session)
        mongoc_client_session_destroy(mine.session);
    mongoc_server_description_destroy(server);
    return result;
}

static int run_each(lh_store *store, const lh_call *call, running *r,
                    int (*each)(void *arg, const bson_t *document), void *arg, lh_error *error)
{
    int outcome = lh_store_contact(store, call->deadline, error);
    if (outcome != LH_OK)
        return outcome;
    lh_backoff pause =
        lh_backoff_from(PAUSE_FIRST_MS, PAUSE_CAP_MS, (uint64_t)lh_clock_ms() ^ (uintptr_t)call);
    for (;;) {
        bson_error_t why = {0};
        attempt result = ATTEMPT_NOT_RUN;
        mongoc_client_t *client = take_client(store, call, &why);
        r->attempts++;
        if (client)
            result = each_once(store, client, call, each, arg, &outcome, &why, error);
        give_client(store, call, client);
        int64_t ms = lh_backoff_next(&pause);
        if (result == ATTEMPT_DONE)
            return outcome;
        learn(r, result, &why);
        if (call->once || lh_clock_ms() + ms >= call->deadline)
            return fail_unanswered(call, r, false, &why, error);
        log_repeat(store, call, r, &why);
        lh_clock_sleep(ms);
    }
}

int lh_store_each(lh_store *store, const lh_call *call,
                  int (*each)(void *arg, const bson_t *document), void *arg, lh_error *error)
{
    lh_error mine = LH_ERROR_INIT;
    running r = {.began_us = lh_clock_us()};
    expect(call);
    if (!error && store->log.fn)
        error = &mine;
    return finish(store, call, &r, run_each(store, call, &r, each, arg, error), error);
}

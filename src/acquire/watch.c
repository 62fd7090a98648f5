/* SPDX-License-Identifier: Apache-2.0
 * Follows the change stream, with our own cursor on an aggregate. The driver's change stream
 * resumes by itself, and in 1.23 it loops or resumes a closed stream (CDRIVER-6182, CDRIVER-4738).
 * Here any error closes the cursor, and a new one is opened after a pause. The waiters then poll
 * once for missed events.
 *
 * Threads: `lock` guards starting and sleeping; everything else is the thread's own, or atomic. */
#include "acquire/watch.h"

#include <mongoc/mongoc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acquire/watch_event.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/error.h"
#include "store/store_client.h"
#include "store/store_run.h"

#define AWAIT_MS 500   /* how long the server holds a getMore without news; closing takes as long */
#define IDLE_MS  60000 /* the stream closes after this time without waiters */

struct lh_watch {
    lh_watch_to to;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    pthread_t thread;
    bool running;
    atomic_bool live;
    _Atomic int64_t wanted_at;
    bson_t *pipeline;
};

/* A grant to a waiter changes `wake`. The server stores a small document as a whole if that is
 * shorter than the difference; the event is then a replace. */
static const char pipeline_text[] =
    "{'0':{'$changeStream':{}},"
    "'1':{'$match':{'$or':[{'operationType':'update','updateDescription.updatedFields.wake':{'$"
    "exists':true}},"
    "{'operationType':'replace','fullDocument.wake':{'$type':'string'}}]}},"
    "'2':{'$project':{'u':{'$ifNull':['$updateDescription.updatedFields','$fullDocument']}}},"
    "'3':{'$project':{'wake':'$u.wake','granted':{'$concatArrays':["
    "{'$cond':[{'$regexMatch':{'input':{'$ifNull':['$u.id','shared:']},'regex':'^shared:'}},[],"
    "[{'k':'$u.id','v':{'token':'$u.token','expires_at':'$u.expires_at'}}]]},"
    "{'$map':{'input':{'$filter':{'input':{'$objectToArray':'$u'},'as':'f','cond':{'$regexMatch':{'"
    "input':'$$f.k',"
    "'regex':'^shared[.][0-9a-f]{32}$'}}}},'as':'f','in':{'k':{'$substrBytes':['$$f.k',7,32]},'v':'"
    "$$f.v'}}},"
    "{'$cond':[{'$eq':[{'$type':'$u.shared'},'object']},{'$objectToArray':'$u.shared'},[]]}]}}}}";

static bson_t *parse_pipeline(void)
{
    char text[sizeof pipeline_text];
    memcpy(text, pipeline_text, sizeof text);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    bson_error_t error;
    return bson_new_from_json((const uint8_t *)text, -1, &error);
}

static void tell_grant(void *arg, const lh_grant *grant)
{
    lh_store *store = arg;
    store->watch->to.granted(store, grant);
}

/* ---- The stream -------------------------------------------------------------------------------*/

static mongoc_cursor_t *open_cursor(const lh_store *store, mongoc_client_t *client,
                                    mongoc_client_session_t *session)
{
    mongoc_cursor_t *cursor = NULL;
    bson_error_t why;
    bson_t command = BSON_INITIALIZER, options = BSON_INITIALIZER, reply = BSON_INITIALIZER,
           concern, empty;
    mongoc_server_description_t *server = mongoc_client_select_server(client, false, NULL, &why);
    if (!server || !mongoc_client_session_append(session, &options, &why))
        goto out;
    BSON_APPEND_INT32(&options, "serverId", (int32_t)mongoc_server_description_id(server));
    bson_t cursor_options = BSON_INITIALIZER;
    bson_concat(&cursor_options, &options);
    BSON_APPEND_DOCUMENT_BEGIN(&options, "readConcern", &concern);
    BSON_APPEND_UTF8(&concern, "level", "majority");
    bson_append_document_end(&options, &concern);
    BSON_APPEND_UTF8(&command, "aggregate", store->collection);
    BSON_APPEND_ARRAY(&command, "pipeline", store->watch->pipeline);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "cursor", &empty);
    bson_append_document_end(&command, &empty);
    bson_destroy(&reply);
    int64_t await_ms =
        store->socket_timeout_ms / 2 < AWAIT_MS ? store->socket_timeout_ms / 2 : AWAIT_MS;
    if (mongoc_client_read_command_with_opts(client, store->db, &command, NULL, &options, &reply,
                                             &why)) {
        BSON_APPEND_BOOL(&cursor_options, "tailable", true);
        BSON_APPEND_BOOL(&cursor_options, "awaitData", true);
        BSON_APPEND_INT64(&cursor_options, "maxAwaitTimeMS", await_ms);
        /* takes the reply */
        cursor = mongoc_cursor_new_from_command_reply_with_opts(client, &reply, &cursor_options);
        bson_init(&reply);
    }
    bson_destroy(&cursor_options);
out:
    mongoc_server_description_destroy(server);
    bson_destroy(&command);
    bson_destroy(&options);
    bson_destroy(&reply);
    return cursor;
}

static bool is_wanted(const lh_store *store)
{
    return !atomic_load(&store->stopping) &&
           lh_clock_ms() - atomic_load(&store->watch->wanted_at) < IDLE_MS;
}

/* Runs until the cursor fails or nobody wants the stream. True: it delivered an event, or lived
 * for a while. */
static bool follow(lh_store *store, mongoc_cursor_t *cursor)
{
    int64_t opened = lh_clock_ms();
    bson_error_t why;
    const bson_t *event;
    atomic_store(&store->watch->live, true);
    lh_log(store, &(lh_log_event){.event = LH_LOG_STREAM_OPENED}, NULL);
    store->watch->to.opened(store);
    while (is_wanted(store) && !mongoc_cursor_error(cursor, &why) && mongoc_cursor_more(cursor)) {
        int64_t asked = lh_clock_ms();
        if (mongoc_cursor_next(cursor, &event))
            lh_watch_read(event, tell_grant, store);
        else if (lh_clock_ms() == asked)
            lh_clock_sleep(1); /* if the server does not wait: never a busy loop */
    }
    atomic_store(&store->watch->live, false);
    lh_log(store, &(lh_log_event){.event = LH_LOG_STREAM_CLOSED}, NULL);
    return lh_clock_ms() - opened > 1000;
}

/* Sleeps `ms` (INT64_MAX: until the stream is wanted), but not beyond the store's end. */
static void pause_watching(lh_store *store, int64_t ms)
{
    struct lh_watch *watch = store->watch;
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&watch->lock);
    if (ms == INT64_MAX)
        while (!is_wanted(store) && !atomic_load(&store->stopping))
            pthread_cond_wait(&watch->wanted, &watch->lock);
    else
        while (!atomic_load(&store->stopping) &&
               pthread_cond_timedwait(&watch->wanted, &watch->lock, &until) == 0)
            ;
    pthread_mutex_unlock(&watch->lock);
}

static void *run(void *arg)
{
    lh_store *store = arg;
    (void)pthread_setname_np(pthread_self(), "lh-watch");
    mongoc_client_t *client = NULL;
    lh_backoff pause = lh_backoff_from(50, 2000, (uintptr_t)store);
    while (!atomic_load(&store->stopping)) {
        if (!is_wanted(store)) {
            pause_watching(store, INT64_MAX);
            continue;
        }
        if (!client)
            client = lh_store_reserve(store);
        mongoc_client_session_t *session =
            client ? mongoc_client_start_session(client, NULL, NULL) : NULL;
        mongoc_cursor_t *cursor = session ? open_cursor(store, client, session) : NULL;
        if (cursor && follow(store, cursor))
            pause = lh_backoff_from(50, 2000, (uintptr_t)store);
        mongoc_cursor_destroy(cursor);
        mongoc_client_session_destroy(session);
        pause_watching(store, lh_backoff_next(&pause));
    }
    lh_store_unreserve(store, client);
    return NULL;
}

/* ---- Its life ---------------------------------------------------------------------------------*/

int lh_watch_new(lh_store *store, lh_watch_to to, lh_error *error)
{
    struct lh_watch *watch = calloc(1, sizeof *watch);
    if (!watch || !(watch->pipeline = parse_pipeline())) {
        free(watch);
        return lh_fail_memory(error);
    }
    watch->to = to;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->wanted, &monotonic);
    pthread_condattr_destroy(&monotonic);
    store->watch = watch;
    return LH_OK;
}

void lh_watch_want(lh_store *store)
{
    struct lh_watch *watch = store->watch;
    int64_t now = lh_clock_ms(), before = atomic_exchange(&watch->wanted_at, now);
    if (now - before < IDLE_MS / 2 && before != 0)
        return;
    if (atomic_load(&store->topology) != LH_TOPOLOGY_SET)
        return;
    sigset_t all, mask;
    (void)sigfillset(&all);
    pthread_mutex_lock(&watch->lock);
    if (!watch->running && !atomic_load(&store->stopping)) {
        (void)pthread_sigmask(SIG_SETMASK, &all, &mask);
        /* else polling finds the grants */
        watch->running = pthread_create(&watch->thread, NULL, run, store) == 0;
        (void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
    }
    pthread_cond_signal(&watch->wanted);
    pthread_mutex_unlock(&watch->lock);
}

bool lh_watch_is_live(const lh_store *store)
{
    return atomic_load(&store->watch->live);
}

void lh_watch_stop(lh_store *store)
{
    struct lh_watch *watch = store->watch;
    if (!watch)
        return;
    pthread_mutex_lock(&watch->lock);
    pthread_cond_signal(&watch->wanted);
    pthread_mutex_unlock(&watch->lock);
    if (watch->running)
        (void)pthread_join(watch->thread, NULL);
    watch->running = false;
}

void lh_watch_free(lh_store *store)
{
    struct lh_watch *watch = store->watch;
    if (!watch)
        return;
    pthread_cond_destroy(&watch->wanted);
    pthread_mutex_destroy(&watch->lock);
    bson_destroy(watch->pipeline);
    free(watch);
    store->watch = NULL;
}

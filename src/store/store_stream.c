/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_stream.h"

#include <mongoc/mongoc.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/store.h"
#include "store/store_client.h"
#include "store/store_run.h"

#define GOODBYE_MS 1000

struct lh_stream {
    lh_store *store;
    mongoc_client_t *client;
    mongoc_client_session_t *session;
    int64_t cursor; /* 0: no cursor */
};

int lh_stream_new(lh_store *store, lh_stream **ret_stream, lh_error *error)
{
    lh_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return lh_fail_memory(error);
    stream->store = store;
    stream->client = lh_store_reserve(store);
    if (stream->client)
        stream->session = lh_store_session(stream->client);
    if (stream->session) {
        *ret_stream = stream;
        return LH_OK;
    }
    bool connected = stream->client != NULL;
    lh_stream_free(stream);
    return connected
               ? lh_fail(error, LH_REASON_NO_SERVER, "no server responds")
               : lh_fail(error, LH_REASON_CONNECTIONS, "all connections of the store are in use");
}

static int run(lh_stream *stream, const char *what, const bson_t *command, int64_t deadline,
               bool once, bson_t *reply, lh_error *error)
{
    lh_call call = {.what = what,
                    .command = command,
                    .deadline = deadline,
                    .client = stream->client,
                    .session = stream->session,
                    .kind = LH_CALL_BARE,
                    .once = once};
    int outcome = lh_store_run(stream->store, &call, reply, NULL, error);
    bson_iter_t top, id;
    stream->cursor = 0;
    if (outcome == LH_OK && bson_iter_init(&top, reply) &&
        bson_iter_find_descendant(&top, "cursor.id", &id))
        stream->cursor = bson_iter_as_int64(&id);
    return outcome;
}

/* The server drops an abandoned cursor by itself, but only after ten minutes. */
static void kill_cursor(lh_stream *stream)
{
    if (stream->cursor == 0 || lh_store_check(stream->store, NULL) != LH_OK)
        return;
    bson_t *command = BCON_NEW("killCursors", BCON_UTF8(stream->store->collection), "cursors", "[",
                               BCON_INT64(stream->cursor), "]");
    bson_t reply;
    (void)run(stream, "close the cursor", command, lh_clock_ms() + GOODBYE_MS, true, &reply, NULL);
    bson_destroy(&reply);
    bson_destroy(command);
}

void lh_stream_free(lh_stream *stream)
{
    if (!stream)
        return;
    kill_cursor(stream);
    mongoc_client_session_destroy(stream->session);
    lh_store_unreserve(stream->store, stream->client);
    free(stream);
}

int lh_stream_open(lh_stream *stream, const char *what, const bson_t *command, int64_t deadline,
                   bson_t *reply, lh_error *error)
{
    kill_cursor(stream);
    return run(stream, what, command, deadline, false, reply, error);
}

bool lh_stream_goes_on(const lh_stream *stream)
{
    return stream->cursor != 0;
}

int lh_stream_next(lh_stream *stream, int64_t await_ms, bson_t *reply, lh_error *error)
{
    bson_t *command = BCON_NEW("getMore", BCON_INT64(stream->cursor), "collection",
                               BCON_UTF8(stream->store->collection));
    if (await_ms > 0)
        BSON_APPEND_INT64(command, "maxTimeMS", await_ms);
    int64_t deadline = lh_store_deadline(stream->store, 0);
    int outcome = run(stream, "read the next batch", command, deadline, true, reply, error);
    bson_destroy(command);
    return outcome;
}

int lh_stream_each(const bson_t *reply, int (*each)(void *arg, const bson_t *document), void *arg)
{
    bson_iter_t top, batch, one;
    int result = 0;
    if (!bson_iter_init(&top, reply) ||
        (!bson_iter_find_descendant(&top, "cursor.firstBatch", &batch) &&
         (!bson_iter_init(&top, reply) ||
          !bson_iter_find_descendant(&top, "cursor.nextBatch", &batch))))
        return 0;
    if (!BSON_ITER_HOLDS_ARRAY(&batch) || !bson_iter_recurse(&batch, &one))
        return 0;
    while (result == 0 && bson_iter_next(&one)) {
        const uint8_t *data;
        uint32_t len;
        bson_t document;
        if (!BSON_ITER_HOLDS_DOCUMENT(&one))
            continue;
        bson_iter_document(&one, &len, &data);
        if (bson_init_static(&document, data, len))
            result = each(arg, &document);
    }
    return result;
}

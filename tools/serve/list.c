/* SPDX-License-Identifier: Apache-2.0
 * A list that fits into a piece is answered as a whole, so that a failure still has its status.
 * A longer one goes out in pieces while it is read: the worker makes the next while
 * libmicrohttpd sends the last, so that the longest costs two of them in memory. A client that does
 * not read a piece within STALL_MS loses the rest, because a worker waits for the client.
 * MOST_LISTS lists may be sent at once, half of them to one client. */
#include "serve/list.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/objects.h"
#include "common/text.h"
#include "serve/metrics.h"

enum { PIECE = 256 * 1024, BLOCK = 32 * 1024, STALL_MS = 10000 };

/* The state of a list in pieces, shared by the worker and libmicrohttpd. Each has a reference. */
struct stream {
    pthread_mutex_t lock;
    pthread_cond_t taken;
    struct MHD_Connection *connection;
    int refs;
    bool suspended;
    bool gone;          /* nobody reads any more */
    bool ended, failed; /* there is nothing more, or: it breaks off */
    char *piece;
    size_t len, at;
};

struct list {
    struct request *request; /* not to be touched once there is a stream */
    struct client *client;   /* its; the job has a reference */
    struct stream *stream;
    FILE *to; /* the piece that is being written */
    char *text;
    size_t len;
    const struct texts *keys; /* those that are asked for, if there are some; else all */
    bool found[MOST_TEXTS];
    uint64_t n, limit;
    bool truncated, refused;
};

/* ---- the pieces ---- */

static void stream_unref(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    bool last = --stream->refs == 0;
    pthread_mutex_unlock(&stream->lock);
    if (!last)
        return;
    free(stream->piece);
    (void)pthread_cond_destroy(&stream->taken);
    (void)pthread_mutex_destroy(&stream->lock);
    free(stream);
}

static struct stream *stream_new(struct MHD_Connection *connection)
{
    pthread_condattr_t clock;
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    stream->connection = connection;
    stream->refs = 2;
    (void)pthread_mutex_init(&stream->lock, NULL);
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&stream->taken, &clock);
    (void)pthread_condattr_destroy(&clock);
    return stream;
}

static void wake(struct stream *stream)
{
    if (!stream->suspended)
        return;
    stream->suspended = false;
    MHD_resume_connection(stream->connection);
}

/* By libmicrohttpd's thread. */
static ssize_t read_some(void *arg, uint64_t position, char *buffer, size_t size)
{
    struct stream *stream = arg;
    (void)position;
    pthread_mutex_lock(&stream->lock);
    size_t left = stream->len - stream->at, n = left < size ? left : size;
    if (n > 0)
        memcpy(buffer, stream->piece + stream->at, n);
    stream->at += n;
    if (stream->piece && stream->at == stream->len) {
        free(stream->piece);
        stream->piece = NULL;
        stream->len = stream->at = 0;
        pthread_cond_signal(&stream->taken);
    }
    ssize_t result = (ssize_t)n;
    if (n == 0 && stream->ended) {
        result =
            stream->failed ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    } else if (n == 0) {
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
    }
    pthread_mutex_unlock(&stream->lock);
    return result;
}

static void leave(void *arg)
{
    struct stream *stream = arg;
    pthread_mutex_lock(&stream->lock);
    stream->gone = true;
    pthread_cond_signal(&stream->taken);
    pthread_mutex_unlock(&stream->lock);
    stream_unref(stream);
}

/* Takes `text`, as soon as the previous piece was taken. False: it will not be taken. */
static bool give(struct stream *stream, char *text, size_t len)
{
    const struct timespec until = clock_after(CLOCK_MONOTONIC, STALL_MS);
    pthread_mutex_lock(&stream->lock);
    while (stream->piece && !stream->gone &&
           pthread_cond_timedwait(&stream->taken, &stream->lock, &until) == 0)
        continue;
    bool taken = !stream->piece && !stream->gone;
    if (taken) {
        stream->piece = text;
        stream->len = len;
        wake(stream);
    }
    pthread_mutex_unlock(&stream->lock);
    if (!taken)
        free(text);
    return taken;
}

static void end_stream(struct stream *stream, bool failed)
{
    pthread_mutex_lock(&stream->lock);
    stream->ended = true;
    stream->failed = failed;
    wake(stream);
    pthread_mutex_unlock(&stream->lock);
    stream_unref(stream);
}

/* ---- writing ---- */

static bool begin_piece(struct list *list)
{
    list->text = NULL;
    list->to = open_memstream(&list->text, &list->len);
    return list->to;
}

/* False: memory is out. */
static bool end_piece(struct list *list)
{
    bool whole = list->to && fclose(list->to) == 0;
    list->to = NULL;
    if (!whole) {
        free(list->text);
        list->text = NULL;
    }
    return whole;
}

/* From here on the answer is 200. */
static bool begin_stream(struct list *list)
{
    struct request *request = list->request;
    list->refused = true;
    if (!(request->shares & 1U << SHARE_LISTS) && !request_take(request, SHARE_LISTS))
        return false;
    struct stream *stream = stream_new(request->connection);
    struct MHD_Response *response =
        stream
            ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_some, stream, leave)
            : NULL;
    if (!response) {
        if (stream) {
            stream->refs = 1; /* nobody else has seen it */
            stream_unref(stream);
        }
        answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "out of memory");
        return false;
    }
    list->refused = false;
    list->stream = stream;
    answer_pieces(request, "application/json", response);
    return true;
}

static bool pass_on(struct list *list)
{
    if (!end_piece(list) || (!list->stream && !begin_stream(list))) {
        free(list->text);
        return false;
    }
    return give(list->stream, list->text, list->len) && begin_piece(list);
}

static int add(void *arg, const lh_record *record)
{
    struct list *list = arg;
    bson_t json;
    if (list->n == list->limit) {
        list->truncated = true;
        return 1;
    }
    if (atomic_load(&list->client->revoked))
        return 1; /* it breaks off */
    for (size_t i = 0; i < list->keys->n; i++)
        list->found[i] |= strcmp(list->keys->items[i], record->key) == 0;
    if (list->n++ > 0)
        fputs(",\n", list->to);
    object_status(&json, record);
    json_write(list->to, &json);
    return ftell(list->to) >= PIECE && !pass_on(list);
}

/* The keys that no document has are free. */
static void add_free(struct list *list)
{
    bson_t json;
    for (size_t i = 0; list->to && i < list->keys->n; i++) {
        if (list->found[i])
            continue;
        if (list->n++ > 0)
            fputs(",\n", list->to);
        object_free(&json, list->keys->items[i]);
        json_write(list->to, &json);
    }
}

/* true or false; anything else is answered. */
static bool read_flag(struct request *request, const char *name, bool *ret_flag)
{
    char text[8] = "";
    bool given;
    if (!request_decode(request, name, text, sizeof text, &given))
        return false;
    *ret_flag = strcmp(text, "true") == 0;
    if (!given || *ret_flag || strcmp(text, "false") == 0)
        return true;
    answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid", "%s must be true or false", name);
    return false;
}

static bool read_limit(struct request *request, uint64_t *ret_limit)
{
    char text[24] = "";
    bool given;
    int64_t limit = LISTED_DEFAULT;
    if (!request_decode(request, "limit", text, sizeof text, &given))
        return false;
    if (given && (!text_number(text, &limit) || limit < 1 || limit > MOST_LISTED)) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid", "limit must be 1 to %d",
                       MOST_LISTED);
        return false;
    }
    *ret_limit = (uint64_t)limit;
    return true;
}

/* All of it was written, into one piece or several. */
static void finish(struct list *list, int code, const lh_error *error)
{
    bool listed = code == LH_OK || (code == LH_STOPPED && list->truncated);
    if (list->to)
        fprintf(list->to, "],\"truncated\":%s}\n", list->truncated ? "true" : "false");
    bool whole = list->to && end_piece(list);
    if (list->stream) {
        bool given = whole && listed && give(list->stream, list->text, list->len);
        if (whole && !listed)
            free(list->text);
        end_stream(list->stream, !given);
        return;
    }
    if (whole && listed) {
        answer_text(list->request, MHD_HTTP_OK, "application/json", list->text, list->len);
        return;
    }
    if (whole)
        free(list->text);
    if (list->refused)
        return;
    if (listed || code == LH_STOPPED)
        answer_failure(list->request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "out of memory");
    else
        answer_outcome(list->request, error);
}

static void answer_list(struct request *request, const lh_list_options *options,
                        const struct texts *keys, uint64_t limit)
{
    lh_error error = LH_ERROR_INIT;
    struct server *server = request->server;
    struct list list = {
        .request = request, .client = request->client, .keys = keys, .limit = limit};
    if (!begin_piece(&list)) {
        answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "out of memory");
        return;
    }
    fputs("{\"v\":1,\"leases\":[", list.to);
    int code = lh_list(server->store, options, add, &list, &error);
    metrics_outcome(server->metrics, METRICS_LOOK, code == LH_STOPPED ? LH_OK : code);
    if (code == LH_OK)
        add_free(&list);
    finish(&list, code, &error);
}

bool list_admit(struct request *request)
{
    uint64_t limit;
    return read_limit(request, &limit) &&
           (limit <= LISTED_DEFAULT || request_take(request, SHARE_LISTS));
}

void list_get(struct request *request)
{
    char prefix[LH_KEY_MAX + 1], owner[LH_OWNER_MAX + 1];
    bool has_prefix, has_owner;
    uint64_t limit;
    lh_list_options options = LH_LIST_OPTIONS_INIT;
    if (!request_decode(request, "prefix", prefix, sizeof prefix, &has_prefix) ||
        !request_decode(request, "owner", owner, sizeof owner, &has_owner) ||
        !read_limit(request, &limit) || !read_flag(request, "expired", &options.expired) ||
        !read_flag(request, "malformed", &options.malformed) ||
        !read_flag(request, "all", &options.free_too))
        return;
    options.prefix = has_prefix ? prefix : NULL;
    options.owner = has_owner ? owner : NULL;
    options.limit = limit + 1; /* to know whether there are more */
    struct texts keys = {0};
    if (request_decode_all(request, "key", &keys)) {
        options.keys = keys.n > 0 ? (const char *const *)keys.items : NULL;
        options.n_keys = keys.n;
        options.free_too |= keys.n > 0;
        answer_list(request, &options, &keys, limit);
    }
    texts_free(&keys);
}

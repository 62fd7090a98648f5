/* SPDX-License-Identifier: Apache-2.0
 * One lh_watch() in one thread writes events into a ring; each subscriber reads from it at its own
 * pace, from libmicrohttpd's thread, and is suspended while there are no events. A subscriber that
 * falls behind by more than the ring gets a gap, and loses the events in between. So no subscriber
 * needs more than its place, or delays the others.
 *
 * With Last-Event-ID, events that are still in the ring are sent again; otherwise a gap is sent,
 * after which the client reads /v1/leases again. */
#include "serve/events.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/objects.h"
#include "serve/log.h"
#include "serve/metrics.h"

enum { RING = 4096, BLOCK = 4096, RETRY_MS = 1000 };

struct frame {
    char *text; /* "id: …\nevent: …\ndata: …\n\n" */
    size_t len;
    char *key, *id;
};

struct subscriber {
    struct events *events;
    struct MHD_Connection *connection;
    struct client *client; /* a reference */
    struct subscriber *next, **link;
    uint64_t at; /* the next frame's number */
    unsigned beat;
    char *pending; /* of a frame that did not fit */
    size_t pending_len, pending_at;
    bool suspended, gap;
    char prefix[LH_KEY_MAX + 1];
};

struct events {
    struct server *server;
    pthread_mutex_t lock;
    pthread_cond_t pause;
    pthread_t thread;
    lh_cancel *cancel;
    bool runs, open, ends;
    struct frame ring[RING];
    uint64_t first, end; /* numbers of the frames that are there */
    unsigned beat, n;
    struct subscriber *subscribers;
};

/* ---- writing ---- */

static void frame_free(struct frame *frame)
{
    free(frame->text);
    free(frame->key);
    free(frame->id);
    *frame = (struct frame){0};
}

static bool frame_make(struct frame *frame, const lh_event *event)
{
    bson_t json;
    *frame = (struct frame){.key = strdup(event->key), .id = strdup(event->id)};
    FILE *to = open_memstream(&frame->text, &frame->len);
    if (to) {
        if (*event->id)
            fprintf(to, "id: %s\n", event->id);
        fprintf(to, "event: %s\ndata: ", lh_event_word(event->kind));
        object_event(&json, event);
        json_write(to, &json);
        fputs("\n\n", to);
    }
    if (to && fclose(to) == 0 && frame->key && frame->id)
        return true;
    frame_free(frame);
    return false;
}

static void wake(struct subscriber *subscriber)
{
    if (!subscriber->suspended)
        return;
    subscriber->suspended = false;
    MHD_resume_connection(subscriber->connection);
}

static void wake_all(struct events *events)
{
    for (struct subscriber *subscriber = events->subscribers; subscriber;
         subscriber = subscriber->next)
        wake(subscriber);
}

static void append(struct events *events, const lh_event *event)
{
    struct frame frame;
    bool made = frame_make(&frame, event);
    pthread_mutex_lock(&events->lock);
    if (event->kind == LH_EVENT_OPENED)
        events->open = true;
    if (made && events->end - events->first == RING)
        frame_free(&events->ring[events->first++ % RING]);
    if (made)
        events->ring[events->end++ % RING] = frame;
    for (struct subscriber *subscriber = events->subscribers; subscriber && !made;
         subscriber = subscriber->next)
        subscriber->gap = true; /* out of memory: all subscribers miss this event */
    wake_all(events);
    pthread_mutex_unlock(&events->lock);
}

static int hear(void *arg, const lh_event *event)
{
    struct events *events = arg;
    metrics_event(events->server->metrics);
    append(events, event);
    return 0;
}

static void pause_a_while(struct events *events)
{
    const struct timespec until = clock_after(CLOCK_REALTIME, RETRY_MS);
    pthread_mutex_lock(&events->lock);
    if (!events->ends)
        (void)pthread_cond_timedwait(&events->pause, &events->lock, &until);
    pthread_mutex_unlock(&events->lock);
}

static const lh_event gap = {.kind = LH_EVENT_GAP,
                             .id = "",
                             .key = "",
                             .how = "",
                             .owner = "",
                             .host = "",
                             .purpose = "",
                             .by = "",
                             .reason = ""};

static void *keep_watching(void *arg)
{
    struct events *events = arg;
    lh_watch_options options = LH_WATCH_OPTIONS_INIT;
    options.cancel = events->cancel;
    for (;;) {
        lh_error error = LH_ERROR_INIT;
        int code = lh_watch(events->server->store, &options, hear, events, &error);
        pthread_mutex_lock(&events->lock);
        bool ends = events->ends, was_open = events->open;
        events->open = false;
        pthread_mutex_unlock(&events->lock);
        if (ends)
            return NULL;
        log_note(events->server, "watching has ended, and the server tries again: %s: %s",
                 lh_outcome_word(code), error.message);
        if (was_open)
            append(events, &gap);
        pause_a_while(events);
    }
}

/* ---- reading ---- */

/* The next frame that this subscriber wants; NULL: none. */
static const struct frame *next_frame(struct subscriber *subscriber)
{
    struct events *events = subscriber->events;
    while (subscriber->at >= events->first && subscriber->at < events->end) {
        const struct frame *frame = &events->ring[subscriber->at++ % RING];
        bool about_all = !*frame->key;
        if (about_all || strncmp(frame->key, subscriber->prefix, strlen(subscriber->prefix)) == 0)
            return frame;
    }
    return NULL;
}

/* Puts the next frame to send into `pending`. False: there is none, or out of memory. */
static bool fetch(struct subscriber *subscriber)
{
    static const char gap_text[] = "event: gap\ndata: {\"v\":1,\"event\":\"gap\"}\n\n",
                      beat_text[] = ": still here\n\n";
    struct events *events = subscriber->events;
    const struct frame *frame;
    const char *text = NULL;
    size_t len = 0;
    if (subscriber->at < events->first) {
        subscriber->at = events->end;
        subscriber->gap = true;
    }
    if (subscriber->gap) {
        subscriber->gap = false;
        text = gap_text;
        len = sizeof gap_text - 1;
    } else if ((frame = next_frame(subscriber))) {
        text = frame->text;
        len = frame->len;
    } else if (subscriber->beat != events->beat) {
        text = beat_text;
        len = sizeof beat_text - 1;
    }
    if (!text)
        return false;
    subscriber->beat = events->beat;
    subscriber->pending = malloc(len);
    if (!subscriber->pending)
        return false;
    memcpy(subscriber->pending, text, len);
    subscriber->pending_len = len;
    subscriber->pending_at = 0;
    return true;
}

static ssize_t read_some(void *arg, uint64_t position, char *buffer, size_t size)
{
    struct subscriber *subscriber = arg;
    struct events *events = subscriber->events;
    size_t n = 0;
    (void)position;
    pthread_mutex_lock(&events->lock);
    bool ends = events->ends || atomic_load(&subscriber->client->revoked);
    while (n < size && !ends && (subscriber->pending || fetch(subscriber))) {
        size_t left = subscriber->pending_len - subscriber->pending_at,
               part = left < size - n ? left : size - n;
        memcpy(buffer + n, subscriber->pending + subscriber->pending_at, part);
        n += part;
        subscriber->pending_at += part;
        if (part == left) {
            free(subscriber->pending);
            subscriber->pending = NULL;
        }
    }
    if (n == 0 && !ends) {
        subscriber->suspended = true;
        MHD_suspend_connection(subscriber->connection);
    }
    pthread_mutex_unlock(&events->lock);
    return n > 0 ? (ssize_t)n : ends ? MHD_CONTENT_READER_END_OF_STREAM : 0;
}

static void leave(void *arg)
{
    struct subscriber *subscriber = arg;
    struct events *events = subscriber->events;
    pthread_mutex_lock(&events->lock);
    *subscriber->link = subscriber->next;
    if (subscriber->next)
        subscriber->next->link = subscriber->link;
    events->n--;
    pthread_mutex_unlock(&events->lock);
    clients_unref(events->server->clients, subscriber->client);
    free(subscriber->pending);
    free(subscriber);
}

/* Places the subscriber after the event with this id, if the event is still in the ring. */
static void go_on_behind(struct subscriber *subscriber, const char *id)
{
    struct events *events = subscriber->events;
    for (uint64_t at = events->end; at > events->first; at--) {
        if (strcmp(events->ring[(at - 1) % RING].id, id) == 0) {
            subscriber->at = at;
            return;
        }
    }
    subscriber->gap = true;
}

/* The first data, so that the client knows that it is subscribed: a comment, and "opened" if
 * watching has begun already. */
static bool greet(struct subscriber *subscriber)
{
    static const char waits[] = ": hello\n\n",
                      open[] = "event: opened\ndata: {\"v\":1,\"event\":\"opened\"}\n\n";
    subscriber->pending = strdup(subscriber->events->open ? open : waits);
    subscriber->pending_len = subscriber->pending ? strlen(subscriber->pending) : 0;
    return subscriber->pending;
}

static bool begin_watching(struct events *events)
{
    if (!events->runs)
        events->runs = pthread_create(&events->thread, NULL, keep_watching, events) == 0;
    return events->runs;
}

/* False: the server ends, its token was taken away, or memory is out. */
static bool enter(struct events *events, struct subscriber *subscriber, const char *last_id)
{
    pthread_mutex_lock(&events->lock);
    bool entered = !events->ends && !atomic_load(&subscriber->client->revoked) &&
                   begin_watching(events) && greet(subscriber);
    if (entered) {
        subscriber->at = events->end;
        subscriber->beat = events->beat;
        if (last_id && *last_id)
            go_on_behind(subscriber, last_id);
        subscriber->next = events->subscribers;
        if (subscriber->next)
            subscriber->next->link = &subscriber->next;
        subscriber->link = &events->subscribers;
        events->subscribers = subscriber;
        events->n++;
    }
    pthread_mutex_unlock(&events->lock);
    return entered;
}

void events_get(struct request *request)
{
    struct events *events = request->server->events;
    bool given;
    if (!request_take(request, SHARE_EVENTS))
        return;
    struct subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (subscriber &&
        !request_decode(request, "prefix", subscriber->prefix, sizeof subscriber->prefix, &given)) {
        free(subscriber);
        return;
    }
    if (subscriber) {
        subscriber->events = events;
        subscriber->connection = request->connection;
        subscriber->client = clients_ref(request->server->clients, request->client);
    }
    if (!subscriber || !enter(events, subscriber, request_header(request, "Last-Event-ID"))) {
        if (subscriber)
            clients_unref(request->server->clients, subscriber->client);
        free(subscriber);
        answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "overloaded",
                       "the server is stopping, or has no room left");
        return;
    }
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_some, subscriber, leave);
    if (!response)
        leave(subscriber);
    answer_stream(request, response);
}

/* ---- the whole ---- */

int events_new(struct server *server, struct events **ret_events, lh_error *error)
{
    struct events *events = calloc(1, sizeof *events);
    if (!events)
        return out_fail(error, LH_MEMORY, "out of memory");
    events->server = server;
    (void)pthread_mutex_init(&events->lock, NULL);
    (void)pthread_cond_init(&events->pause, NULL);
    int code = lh_cancel_new(&events->cancel, error);
    if (code == LH_OK)
        *ret_events = events;
    else
        events_free(events);
    return code;
}

void events_beat(struct events *events)
{
    pthread_mutex_lock(&events->lock);
    events->beat++;
    wake_all(events);
    pthread_mutex_unlock(&events->lock);
}

void events_revoke(struct events *events)
{
    pthread_mutex_lock(&events->lock);
    for (struct subscriber *subscriber = events->subscribers; subscriber;
         subscriber = subscriber->next) {
        if (atomic_load(&subscriber->client->revoked))
            wake(subscriber);
    }
    pthread_mutex_unlock(&events->lock);
}

unsigned events_subscribers(struct events *events)
{
    pthread_mutex_lock(&events->lock);
    unsigned n = events->n;
    pthread_mutex_unlock(&events->lock);
    return n;
}

void events_stop(struct events *events)
{
    pthread_mutex_lock(&events->lock);
    events->ends = true;
    bool runs = events->runs;
    wake_all(events);
    pthread_cond_signal(&events->pause);
    pthread_mutex_unlock(&events->lock);
    lh_cancel_now(events->cancel);
    if (runs)
        (void)pthread_join(events->thread, NULL);
}

void events_free(struct events *events)
{
    if (!events)
        return;
    while (events->first < events->end)
        frame_free(&events->ring[events->first++ % RING]);
    lh_cancel_free(events->cancel);
    (void)pthread_cond_destroy(&events->pause);
    (void)pthread_mutex_destroy(&events->lock);
    free(events);
}

/* SPDX-License-Identifier: Apache-2.0
 * A session is a handle that the library's keeper renews (lh_lease_keep(): a thousand leases a
 * command), and a stream of its events. A session ends when the lease ends (its descriptor shows
 * that), or when the connection ends. If the connection breaks, the handle is dropped and nothing
 * is released, because the client may reconnect, here or to another server, before the lease ends
 * by its ttl. The same is done if the client's token is removed.
 *
 * Threads: libmicrohttpd's reads what is to be sent; one of ours watches the descriptors,
 * because libmicrohttpd does not look at suspended connections. That thread alone frees
 * sessions, so that what an event of epoll points to is there; the descriptors leave epoll
 * before they are closed. */
#include "serve/sessions.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/json.h"
#include "serve/attach.h"
#include "serve/metrics.h"
#include "serve/table.h"

enum { BLOCK = 1024, TEXT_SIZE = 3 * LH_KEY_MAX };

enum why { GOES_ON, CLIENT_GONE, LOST, RELEASED, STOPPING, REVOKED };
static const char *const why_words[] = {"renewed",  "gone",     "lost",
                                        "released", "stopping", "revoked"};

struct session {
    struct entry entry; /* by the lease's id */
    struct sessions *all;
    struct MHD_Connection *connection;
    int fd;
    struct client *client; /* a reference */
    lh_lease *lease;       /* NULL: its client's token was taken away */
    struct session *next_finished;
    bool suspended;
    enum why why;                   /* … it ends */
    bool told;                      /* its client was told why, or cannot be */
    int64_t said_ms, expires_at_ms; /* when something was said last; the end that was told */
    bool news;                      /* to be told: a renewal */
    bool beat;                      /* … nothing, so that both see that the other is there */
    char pending[TEXT_SIZE];
    size_t pending_len, pending_at;
};

struct sessions {
    struct server *server;
    pthread_mutex_t lock;
    pthread_t thread;
    int epoll, wake;
    bool runs, stops;
    unsigned n;
    uint64_t lost;
    struct table table;
    struct session *finished; /* libmicrohttpd knows them no more */
};

/* ---- what is told ---- */

static void wake_up(struct session *session)
{
    if (!session->suspended)
        return;
    session->suspended = false;
    MHD_resume_connection(session->connection);
}

static void end_session(struct session *session, enum why why)
{
    if (session->why != GOES_ON)
        return;
    session->why = why;
    session->told = why == CLIENT_GONE;
    session->all->lost += why == LOST;
    wake_up(session);
}

static void write_event(struct session *session)
{
    bson_t json;
    const char *word = why_words[session->why];
    int64_t remaining_ms = session->why == LOST || session->why == RELEASED
                               ? 0
                               : lh_lease_remaining_ms(session->lease);
    session->expires_at_ms = lh_lease_expires_at_ms(session->lease);
    FILE *to = fmemopen(session->pending, sizeof session->pending, "w");
    if (!to)
        return; /* memory is out: the next one may be told */
    fprintf(to, "event: %s\ndata: ", word);
    bson_init(&json);
    json_number(&json, "v", 1);
    json_text(&json, "event", word);
    json_text(&json, "key", lh_lease_key(session->lease));
    json_number(&json, "token", lh_lease_token(session->lease));
    json_number(&json, "ttl_ms", lh_lease_ttl_ms(session->lease));
    json_time(&json, "expires_at", session->expires_at_ms, 0);
    json_number(&json, "remaining_ms", remaining_ms);
    json_write(to, &json);
    fputs("\n\n", to);
    session->pending_len = (size_t)ftell(to);
    (void)fclose(to);
}

/* What is to be sent next becomes `pending`. False: nothing is. */
static bool fetch(struct session *session)
{
    static const char beat_text[] = ": still here\n\n";
    session->pending_at = session->pending_len = 0;
    if (session->why != GOES_ON ? !session->told : session->news) {
        session->told = session->why != GOES_ON;
        write_event(session);
    } else if (session->beat && session->why == GOES_ON) {
        session->pending_len = sizeof beat_text - 1;
        memcpy(session->pending, beat_text, session->pending_len);
    }
    session->news = session->beat = false;
    if (session->pending_len > 0)
        session->said_ms = serve_now_ms();
    return session->pending_len > 0;
}

static ssize_t read_some(void *arg, uint64_t position, char *buffer, size_t size)
{
    struct session *session = arg;
    struct sessions *all = session->all;
    size_t n = 0;
    (void)position;
    pthread_mutex_lock(&all->lock);
    while (n < size && (session->pending_at < session->pending_len || fetch(session))) {
        size_t left = session->pending_len - session->pending_at,
               part = left < size - n ? left : size - n;
        memcpy(buffer + n, session->pending + session->pending_at, part);
        n += part;
        session->pending_at += part;
    }
    bool ends = session->why != GOES_ON;
    if (n == 0 && !ends) {
        session->suspended = true;
        MHD_suspend_connection(session->connection);
    }
    pthread_mutex_unlock(&all->lock);
    return n > 0 ? (ssize_t)n : ends ? MHD_CONTENT_READER_END_OF_STREAM : 0;
}

/* ---- coming and going ---- */

static bool watch(const struct sessions *sessions, int fd, uint32_t events, struct session *session,
                  bool is_client)
{
    struct epoll_event event = {.events = events,
                                .data.u64 = (uint64_t)(uintptr_t)session | is_client};
    return fd >= 0 && epoll_ctl(sessions->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void nudge(const struct sessions *sessions)
{
    uint64_t one = 1;
    ssize_t written = write(sessions->wake, &one, sizeof one);
    (void)written; /* an eventfd takes it */
}

/* libmicrohttpd is done with it: its connection is about to be closed. */
static void leave(void *arg)
{
    struct session *session = arg;
    struct sessions *all = session->all;
    pthread_mutex_lock(&all->lock);
    (void)epoll_ctl(all->epoll, EPOLL_CTL_DEL, session->fd, NULL);
    session->suspended = false;
    session->next_finished = all->finished;
    all->finished = session;
    end_session(session, CLIENT_GONE);
    nudge(all);
    pthread_mutex_unlock(&all->lock);
}

/* Ends the renewals, and releases nothing. */
static void forget_lease(struct session *session)
{
    if (!session->lease)
        return;
    (void)epoll_ctl(session->all->epoll, EPOLL_CTL_DEL, lh_lease_lost_fd(session->lease), NULL);
    lh_lease_free(session->lease);
    session->lease = NULL;
}

/* By the thread that watches, or when there is none. */
static void drop(struct session *session)
{
    table_remove(&session->entry);
    session->all->n--;
    forget_lease(session);
    clients_unref(session->all->server->clients, session->client);
    free(session);
}

/* What is told last is written before the lease is forgotten. A client that has not read what
 * came before is not told. */
static void end_if_revoked(struct session *session)
{
    if (session->why != GOES_ON || !atomic_load(&session->client->revoked))
        return;
    end_session(session, REVOKED);
    session->told = true;
    if (session->pending_at == session->pending_len) {
        session->pending_at = 0;
        write_event(session);
    }
    forget_lease(session);
}

typedef void session_visitor(struct session *session);

static void visit(struct entry *entry, void *arg)
{
    session_visitor *const *visitor = arg;
    (*visitor)((struct session *)entry);
}

static void each(struct sessions *sessions, session_visitor *visitor)
{
    table_each(&sessions->table, visit, &visitor);
}

static void drop_finished(struct sessions *sessions)
{
    uint64_t ignored;
    ssize_t got = read(sessions->wake, &ignored, sizeof ignored);
    (void)got;
    while (sessions->finished) {
        struct session *session = sessions->finished;
        sessions->finished = session->next_finished;
        drop(session);
    }
}

static void look_after(struct sessions *sessions, uint64_t word)
{
    union {
        uintptr_t number;
        struct session *session;
    } data = {.number = (uintptr_t)(word & ~UINT64_C(1))};
    if (!data.session) {
        drop_finished(sessions);
        return;
    }
    if (!(word & 1) && !data.session->lease)
        return; /* the event is older than end_if_revoked() */
    (void)epoll_ctl(sessions->epoll, EPOLL_CTL_DEL,
                    word & 1 ? data.session->fd : lh_lease_lost_fd(data.session->lease), NULL);
    end_session(data.session, word & 1 ? CLIENT_GONE : LOST);
}

static void *keep_watch(void *arg)
{
    struct sessions *sessions = arg;
    struct epoll_event event;
    for (;;) {
        int n = epoll_wait(sessions->epoll, &event, 1, -1);
        pthread_mutex_lock(&sessions->lock);
        bool stops = sessions->stops;
        if (n == 1 && !stops)
            look_after(sessions, event.data.u64);
        pthread_mutex_unlock(&sessions->lock);
        if (stops)
            return NULL;
    }
}

/* Enters it with its lease. False: the server ends, its token was taken away, or a descriptor is
 * missing; nothing was done. */
static bool enter(struct sessions *sessions, struct session *session, lh_lease *lease)
{
    session->lease = lease;
    pthread_mutex_lock(&sessions->lock);
    int lost_fd = lh_lease_lost_fd(lease);
    bool room = !sessions->stops && !atomic_load(&session->client->revoked) &&
                watch(sessions, lost_fd, EPOLLIN, session, false);
    if (room) {
        table_add(&sessions->table, lh_lease_id(lease), &session->entry);
        sessions->n++;
        session->news = true;
        (void)watch(sessions, session->fd, EPOLLRDHUP, session,
                    true); /* unseen, it is noticed when something is sent */
    }
    pthread_mutex_unlock(&sessions->lock);
    return room;
}

static void begin(struct request *request, lh_lease *lease)
{
    struct sessions *sessions = request->server->sessions;
    struct session *session = calloc(1, sizeof *session);
    if (session) {
        session->all = sessions;
        session->connection = request->connection;
        session->fd = request->fd;
        session->client = clients_ref(request->server->clients, request->client);
        session->said_ms = serve_now_ms();
    }
    if (!session || !enter(sessions, session, lease)) {
        if (session)
            clients_unref(request->server->clients, session->client);
        free(session);
        lh_lease_free(lease);
        if (atomic_load(&request->client->revoked))
            request_revoke(request);
        else
            answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "overloaded",
                           "the server is stopping, or has no room left");
        return;
    }
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_some, session, leave);
    if (!response)
        leave(session);
    answer_stream(request, response);
}

bool sessions_admit(struct request *request)
{
    return request_take(request, SHARE_SESSIONS);
}

void sessions_get(struct request *request)
{
    lh_record *record = NULL;
    lh_error error = LH_ERROR_INIT;
    lh_lease *lease = attach_lease(request);
    if (!lease)
        return;
    int code = lh_lease_renew(lease, 0, &record, &error);
    metrics_outcome(request->server->metrics, METRICS_RENEW, code);
    if (code == LH_OK)
        code = lh_lease_keep(lease, &error);
    if (code == LH_OK) {
        begin(request, lease);
        return;
    }
    attach_not_renewed(request, code, record, &error);
    lh_record_free(record);
    lh_lease_free(lease);
}

void sessions_released(struct sessions *sessions, const char *lease_id)
{
    pthread_mutex_lock(&sessions->lock);
    for (struct entry *entry = table_find(&sessions->table, lease_id); entry; entry = entry->next) {
        struct session *session = (struct session *)entry;
        if (session->lease && strcmp(lh_lease_id(session->lease), lease_id) == 0)
            end_session(session, RELEASED);
    }
    pthread_mutex_unlock(&sessions->lock);
}

void sessions_revoke(struct sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
    each(sessions, end_if_revoked);
    pthread_mutex_unlock(&sessions->lock);
}

/* ---- as time goes by ---- */

static void tell(struct session *session)
{
    if (session->why != GOES_ON)
        return;
    session->news = lh_lease_expires_at_ms(session->lease) != session->expires_at_ms;
    session->beat = serve_now_ms() - session->said_ms >= BEAT_MS;
    if (session->news || session->beat)
        wake_up(session);
}

void sessions_tick(struct sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
    each(sessions, tell);
    pthread_mutex_unlock(&sessions->lock);
}

unsigned sessions_count(struct sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
    unsigned n = sessions->n;
    pthread_mutex_unlock(&sessions->lock);
    return n;
}

uint64_t sessions_lost(struct sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
    uint64_t lost = sessions->lost;
    pthread_mutex_unlock(&sessions->lock);
    return lost;
}

/* ---- the whole ---- */

int sessions_new(struct server *server, struct sessions **ret_sessions, lh_error *error)
{
    struct sessions *sessions = calloc(1, sizeof *sessions);
    if (!sessions)
        return out_fail(error, LH_MEMORY, "out of memory");
    sessions->server = server;
    table_init(&sessions->table);
    (void)pthread_mutex_init(&sessions->lock, NULL);
    sessions->epoll = epoll_create1(EPOLL_CLOEXEC);
    sessions->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sessions->runs = sessions->epoll >= 0 &&
                     watch(sessions, sessions->wake, EPOLLIN, NULL, false) &&
                     pthread_create(&sessions->thread, NULL, keep_watch, sessions) == 0;
    if (!sessions->runs) {
        sessions_free(sessions);
        return out_fail(error, LH_MEMORY, "the system has no thread or file descriptor left");
    }
    (void)pthread_setname_np(sessions->thread, "serve-sessions");
    *ret_sessions = sessions;
    return LH_OK;
}

static void say_goodbye(struct session *session)
{
    end_session(session, session->all->server->config.release_at_exit ? RELEASED : STOPPING);
}

void sessions_stop(struct sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
    sessions->stops = true;
    each(sessions, say_goodbye);
    pthread_mutex_unlock(&sessions->lock);
    nudge(sessions);
    (void)pthread_join(sessions->thread, NULL);
    sessions->runs = false;
}

void sessions_forget(struct sessions *sessions)
{
    each(sessions, drop);
}

void sessions_free(struct sessions *sessions)
{
    if (!sessions)
        return;
    if (sessions->runs)
        sessions_stop(sessions);
    sessions_forget(sessions);
    if (sessions->epoll >= 0)
        (void)close(sessions->epoll);
    if (sessions->wake >= 0)
        (void)close(sessions->wake);
    (void)pthread_mutex_destroy(&sessions->lock);
    free(sessions);
}

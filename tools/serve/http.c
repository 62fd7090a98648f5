/* SPDX-License-Identifier: Apache-2.0
 * libmicrohttpd, wrapped: one thread with epoll reads requests, hands them to routes.c, and sends
 * the replies. */
#include "serve/http.h"

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "serve/acquire.h"
#include "serve/connections.h"
#include "serve/framing.h"
#include "serve/leases.h"
#include "serve/listen.h"
#include "serve/log.h"
#include "serve/many.h"
#include "serve/metrics.h"
#include "serve/routes.h"

enum { MEMORY_PER_CONNECTION = 32 * 1024, MOST_SWALLOWED = 1024 * 1024 };

struct http {
    struct server *server;
    struct MHD_Daemon *daemon;
    atomic_uint open; /* requests */
};

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http *http = arg;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (what == MHD_CONNECTION_NOTIFY_CLOSED)
        connections_close(http->server->connections, *context);
    else if (info)
        *context = connections_open(http->server->connections, info->connect_fd);
}

static struct connection *held_by(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* Called with the first line of a request. Paths stay encoded, see keep_encoded(). */
static void *on_line(void *arg, const char *uri, struct MHD_Connection *connection)
{
    struct http *http = arg;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    request->server = http->server;
    request->connection = connection;
    request->fd = info ? info->connect_fd : -1;
    request->held_by = held_by(connection);
    request->began_us = serve_now_us();
    request->uri_len = strlen(uri);
    request->path = strndup(uri, strcspn(uri, "?"));
    listen_name_client(request->fd, request->address);
    atomic_fetch_add(&http->open, 1);
    /* libmicrohttpd has no room for more of them than a few hundred, and would never answer. */
    if (request->held_by && framing_arguments(uri) > MOST_ARGUMENTS)
        connections_refuse(request->held_by, "too many arguments after the ?");
    return request;
}

static size_t keep_encoded(void *arg, struct MHD_Connection *connection, char *text)
{
    (void)arg, (void)connection;
    return strlen(text);
}

static enum MHD_Result send_answer(struct request *request)
{
    if (*request->lease_id &&
        request_gone(
            request)) { /* the grant cannot be reported: on_completed() of http.c releases it */
        MHD_destroy_response(request->response);
        request->response = NULL;
        request->status = 0;
    }
    if (!request->response)
        return MHD_NO;
    connections_allow(request->server->connections, request->held_by,
                      request->streams ? 0 : ANSWER_MS, true);
    if (request->closes)
        (void)MHD_add_response_header(request->response, "Connection", "close");
    enum MHD_Result queued =
        MHD_queue_response(request->connection, request->status, request->response);
    MHD_destroy_response(request->response); /* libmicrohttpd has its own reference */
    request->response = NULL;
    return queued;
}

/* A request that was answered by its head: its body is read nevertheless, if it is not too long,
 * because a client that is still sending may find the connection closed, and not read the reply. A
 * client that expects 100 Continue does not send the body. */
static bool reads_on(const struct request *request)
{
    const char *length = request_header(request, "Content-Length");
    return !request_header(request, "Expect") &&
           (!length || strtoull(length, NULL, 10) <= MOST_SWALLOWED);
}

/* Takes a part of the body. A body that is too long is read up to a limit, so that the reply
 * arrives. */
static enum MHD_Result take(struct request *request, const char *data, size_t len)
{
    request->body_len += len;
    if (request->body_len > MOST_BODY || request->status) {
        request->too_large = true;
        return request->body_len > MOST_SWALLOWED ? MHD_NO : MHD_YES;
    }
    if (!request->body)
        request->body = malloc(MOST_BODY + 1);
    if (!request->body)
        return MHD_NO;
    memcpy(request->body + request->body_len - len, data, len);
    request->body[request->body_len] = '\0';
    return MHD_YES;
}

static enum MHD_Result on_access(void *arg, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *data_len, void **context)
{
    struct request *request = *context;
    (void)arg, (void)connection;
    if (!request || !request->path)
        return MHD_NO; /* out of memory */
    if (!request->presented) {
        request->presented = true;
        (void)snprintf(request->method, sizeof request->method, "%s", method);
        connections_allow(request->server->connections, request->held_by, BODY_MS, false);
        if (!framing_is_clear(request, method, url, version))
            return send_answer(request);
        return routes_admit(request, url) || reads_on(request) ? MHD_YES : send_answer(request);
    }
    if (*data_len) {
        size_t len = *data_len;
        *data_len = 0;
        return take(request, data, len);
    }
    if (!request->begun) {
        request->begun = true;
        connections_allow(request->server->connections, request->held_by, 0, false);
        if (request->status)
            return send_answer(request); /* by its head */
        if (request->too_large)
            answer_failure(request, MHD_HTTP_CONTENT_TOO_LARGE, "body",
                           "the body has more than %d bytes", MOST_BODY);
        else
            routes_run(request);
        if (request->handed)
            return MHD_YES; /* it is suspended, and comes here again */
    }
    return send_answer(request);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode end)
{
    struct http *http = arg;
    struct request *request = *context;
    (void)connection;
    if (!request)
        return;
    bool sent = end == MHD_REQUEST_TERMINATED_COMPLETED_OK && request->status != 0;
    if (*request->lease_id && !sent && request->wanted)
        many_take_back(request, request->wanted);
    else if (*request->lease_id && !sent)
        leases_give_back(http->server, request->client, request->key, request->lease_id);
    if (request->presented) {
        metrics_request(http->server->metrics,
                        request->route ? (size_t)(request->route - routes) : METRICS_ROUTES,
                        request->status);
        log_request(request, sent);
    }
    if (request->response)
        MHD_destroy_response(request->response);
    acquire_drop(request->wanted);
    request_give(request);
    clients_unref(http->server->clients, request->client);
    connections_allow(http->server->connections, request->held_by, AGAIN_MS, true);
    if (request->body)
        explicit_bzero(request->body, MOST_BODY);
    free(request->body);
    free(request->path);
    free(request);
    *context = NULL;
    atomic_fetch_sub(&http->open, 1);
}

static void on_message(void *arg, const char *format, va_list args)
{
    struct http *http = arg;
    char line[256];
    if (!http->server->out->verbose)
        return;
    (void)vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\n")] = '\0';
    log_note(http->server, "libmicrohttpd: %s", line);
}

/* A connection that waits needs two descriptors. */
static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int http_start(struct server *server, struct http **ret_http, lh_error *error)
{
    struct http *http = calloc(1, sizeof *http);
    if (!http)
        return out_fail(error, LH_MEMORY, "out of memory");
    http->server = server;
    allow_descriptors();
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_access, http, MHD_OPTION_EXTERNAL_LOGGER, on_message, http,
        MHD_OPTION_LISTEN_SOCKET, listen_fd(server->listener), MHD_OPTION_URI_LOG_CALLBACK, on_line,
        http, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_encoded, http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)MOST_OF_AN_ADDRESS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)MOST_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)MEMORY_PER_CONNECTION, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!http->daemon) {
        free(http);
        return out_fail(error, LH_CONFIG, "the HTTP server could not be started on %s",
                        server->config.listen);
    }
    *ret_http = http;
    return LH_OK;
}

void http_quiesce(struct http *http)
{
    MHD_socket fd = MHD_quiesce_daemon(http->daemon);
    (void)fd; /* the listener closes it */
}

bool http_drain(struct http *http, int64_t patience_ms)
{
    int64_t until = serve_now_ms() + patience_ms;
    while (atomic_load(&http->open) > 0 && serve_now_ms() < until)
        (void)usleep(5000);
    return atomic_load(&http->open) == 0;
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}

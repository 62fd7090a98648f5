/* SPDX-License-Identifier: Apache-2.0
 * libmicrohttpd closes a connection that sends nothing for IDLE_SECONDS. A connection that sends a
 * byte now and then would stay open. So a request must arrive, and a reply must be read, within a
 * limit. A slower client gets 408, if no reply has begun, and the connection is shut down;
 * libmicrohttpd notices this, and closes it. */
#include "serve/connections.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A peer that vanished (its machine, the network) does not reply to probes. Its connection is
 * closed after about half a minute, also while it only listens. */
enum { PROBE_AFTER_S = 15, PROBE_EVERY_S = 5, PROBES = 3, UNHEARD_MS = 30000 };

struct connection {
    struct connection *next, **link;
    int fd;
    struct client *client; /* whose it is, with a share; NULL: nobody's yet */
    int64_t until_ms;      /* 0: any time */
    bool answering;
};

struct connections {
    struct clients *clients;
    pthread_mutex_t lock;
    struct connection *first;
    unsigned n;
    uint64_t ended;
};

int connections_new(struct clients *clients, struct connections **ret_connections, lh_error *error)
{
    struct connections *connections = calloc(1, sizeof *connections);
    if (!connections)
        return out_fail(error, LH_MEMORY, "out of memory");
    (void)pthread_mutex_init(&connections->lock, NULL);
    connections->clients = clients;
    *ret_connections = connections;
    return LH_OK;
}

void connections_free(struct connections *connections)
{
    if (!connections)
        return;
    (void)pthread_mutex_destroy(&connections->lock);
    free(connections);
}

/* On a Unix socket these fail, and are not needed. */
static void probe(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, PROBE_AFTER_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, PROBE_EVERY_S},
        {IPPROTO_TCP, TCP_KEEPCNT, PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, UNHEARD_MS},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof options[i].value);
}

struct connection *connections_open(struct connections *connections, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->fd = fd;
    connection->until_ms = serve_now_ms() + HEAD_MS;
    probe(fd);
    pthread_mutex_lock(&connections->lock);
    connection->next = connections->first;
    if (connection->next)
        connection->next->link = &connection->next;
    connection->link = &connections->first;
    connections->first = connection;
    connections->n++;
    pthread_mutex_unlock(&connections->lock);
    return connection;
}

static void disown(struct connections *connections, struct connection *connection)
{
    if (!connection->client)
        return;
    clients_give(connections->clients, connection->client, SHARE_CONNECTIONS);
    clients_unref(connections->clients, connection->client);
    connection->client = NULL;
}

int connections_belong(struct connections *connections, struct connection *connection,
                       struct client *client)
{
    if (!connection || connection->client == client)
        return SHARE_TAKEN;
    disown(connections, connection);
    int result = clients_take(connections->clients, client, SHARE_CONNECTIONS);
    if (result == SHARE_TAKEN)
        connection->client = clients_ref(connections->clients, client);
    return result;
}

void connections_close(struct connections *connections, struct connection *connection)
{
    if (!connection)
        return;
    disown(connections, connection);
    pthread_mutex_lock(&connections->lock);
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    connections->n--;
    pthread_mutex_unlock(&connections->lock);
    free(connection);
}

void connections_allow(struct connections *connections, struct connection *connection, int64_t ms,
                       bool answering)
{
    if (!connection)
        return;
    pthread_mutex_lock(&connections->lock);
    connection->until_ms = ms > 0 ? serve_now_ms() + ms : 0;
    connection->answering = answering;
    pthread_mutex_unlock(&connections->lock);
}

void connections_refuse(struct connection *connection, const char *detail)
{
    char body[256], text[512];
    int len = snprintf(body, sizeof body,
                       "{\"type\":\"urn:leasehold:problem:invalid\",\"title\":\"Bad "
                       "Request\",\"status\":400,\"detail\":\"%s\",\"v\":1,\"outcome\":\"error\","
                       "\"code\":\"invalid\"}\n",
                       detail);
    len = snprintf(text, sizeof text,
                   "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: "
                   "application/problem+json\r\n"
                   "Content-Length: %d\r\n\r\n%s",
                   len, body);
    (void)send(connection->fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(connection->fd, SHUT_RDWR);
}

static void end_connection(const struct connection *connection)
{
    static const char text[] =
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    if (!connection->answering)
        (void)send(connection->fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(connection->fd, SHUT_RDWR);
}

void connections_tick(struct connections *connections)
{
    int64_t now = serve_now_ms();
    pthread_mutex_lock(&connections->lock);
    for (struct connection *connection = connections->first; connection;
         connection = connection->next) {
        if (connection->until_ms == 0 || connection->until_ms > now)
            continue;
        connection->until_ms = 0;
        connections->ended++;
        end_connection(connection);
    }
    pthread_mutex_unlock(&connections->lock);
}

unsigned connections_count(struct connections *connections)
{
    pthread_mutex_lock(&connections->lock);
    unsigned n = connections->n;
    pthread_mutex_unlock(&connections->lock);
    return n;
}

uint64_t connections_ended(struct connections *connections)
{
    pthread_mutex_lock(&connections->lock);
    uint64_t ended = connections->ended;
    pthread_mutex_unlock(&connections->lock);
    return ended;
}

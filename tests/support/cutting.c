/* SPDX-License-Identifier: Apache-2.0
 * A proxy in front of one server that knows where messages end (each begins with its length), and
 * cuts at their boundaries: the request never arrives, or late, when nobody listens any more; its
 * answer is lost, or comes late. Then the connection is gone. */
#include "cutting.h"

bool cut_read(int fd, uint8_t *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = recv(fd, to + at, n - at, 0);
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

bool cut_write(int fd, const uint8_t *from, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t put = send(fd, from + at, n - at, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        at += (size_t)put;
    }
    return true;
}

uint8_t *cut_message(int fd, size_t *ret_size)
{
    uint8_t head[4];
    if (!cut_read(fd, head, 4))
        return NULL;
    size_t size =
        /* little-endian */
        (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    uint8_t *message = size >= 16 && size < (1 << 26) ? malloc(size) : NULL;
    if (!message)
        return NULL;
    memcpy(message, head, 4);
    if (!cut_read(fd, message + 4, size - 4)) {
        free(message);
        return NULL;
    }
    *ret_size = size;
    return message;
}

cut_kind cut_judge(cutter *c, const uint8_t *message, size_t size)
{
    cut_kind kind = CUT_NONE;
    pthread_mutex_lock(&c->lock);
    if (c->kind != CUT_NONE && memmem(message, size, c->command, strlen(c->command) + 1) &&
        memmem(message, size, c->has_one, strlen(c->has_one)) &&
        (!c->has_two || memmem(message, size, c->has_two, strlen(c->has_two))) && c->skip-- <= 0) {
        kind = c->kind;
        c->hits++;
        if (!c->all)
            c->kind = CUT_NONE;
    }
    pthread_mutex_unlock(&c->lock);
    return kind;
}

void cut_through(cut_kind kind, const cut_connection *k, int server, const uint8_t *message,
                 size_t size)
{
    if (kind == CUT_REQUEST_LOST)
        return;
    if (kind == CUT_REQUEST_LATE)
        usleep(CUT_LATE_MS * 1000);
    size_t reply_size;
    uint8_t *reply = cut_write(server, message, size) ? cut_message(server, &reply_size) : NULL;
    if (reply && kind == CUT_REPLY_LATE) {
        usleep(CUT_LATE_MS * 1000);
        (void)cut_write(k->client, reply, reply_size);
    }
    free(reply);
}

int cut_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

void *cut_serve(void *arg)
{
    cut_connection k = *(cut_connection *)arg;
    free(arg);
    int server = cut_connect(k.c->to_port);
    bool goes_on = server >= 0;
    while (goes_on && !atomic_load(&k.c->closed)) {
        struct pollfd pollers[] = {{.fd = k.client, .events = POLLIN},
                                   {.fd = server, .events = POLLIN}};
        if (poll(pollers, 2, 100) <= 0)
            continue;
        bool asks = pollers[0].revents != 0;
        size_t size;
        uint8_t *message = cut_message(asks ? k.client : server, &size);
        cut_kind kind = message && asks ? cut_judge(k.c, message, size) : CUT_NONE;
        if (kind != CUT_NONE)
            cut_through(kind, &k, server, message, size);
        goes_on = message && kind == CUT_NONE && cut_write(asks ? server : k.client, message, size);
        free(message);
    }
    (void)close(k.client);
    if (server >= 0)
        (void)close(server);
    return NULL;
}

void *cut_accept(void *arg)
{
    cutter *c = arg;
    int yes = 1;
    while (!atomic_load(&c->closed) && c->n < CUT_CONNECTIONS) {
        struct pollfd poller = {.fd = c->listener, .events = POLLIN};
        if (poll(&poller, 1, 50) <= 0)
            continue;
        cut_connection *k = malloc(sizeof *k);
        if (!k)
            break;
        *k = (cut_connection){.c = c, .client = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC)};
        (void)setsockopt(k->client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        if (pthread_create(&c->threads[c->n], NULL, cut_serve, k) == 0) {
            c->n++;
        } else {
            (void)close(k->client);
            free(k);
        }
    }
    return NULL;
}

bool cut_open(cutter *c, int to_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    *c = (cutter){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .to_port = to_port};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pthread_mutex_init(&c->lock, NULL);
    bool good = bind(c->listener, (struct sockaddr *)&at, sizeof at) == 0 &&
                listen(c->listener, 64) == 0 &&
                getsockname(c->listener, (struct sockaddr *)&at, &len) == 0;
    c->port = ntohs(at.sin_port);
    return good && pthread_create(&c->acceptor, NULL, cut_accept, c) == 0;
}

void cut_arm(cutter *c, cut_kind kind, bool all, const char *command, const char *has_one,
             const char *has_two, int skip)
{
    pthread_mutex_lock(&c->lock);
    c->kind = kind;
    c->all = all;
    c->command = command;
    c->has_one = has_one;
    c->has_two = has_two;
    c->skip = skip;
    c->hits = 0;
    pthread_mutex_unlock(&c->lock);
}

void cut_mend(cutter *c)
{
    pthread_mutex_lock(&c->lock);
    c->kind = CUT_NONE;
    pthread_mutex_unlock(&c->lock);
}

int cut_hits(cutter *c)
{
    pthread_mutex_lock(&c->lock);
    int hits = c->hits;
    pthread_mutex_unlock(&c->lock);
    return hits;
}

void cut_close(cutter *c)
{
    atomic_store(&c->closed, true);
    (void)pthread_join(c->acceptor, NULL);
    for (size_t i = 0; i < c->n; i++)
        (void)pthread_join(c->threads[i], NULL);
    (void)close(c->listener);
    pthread_mutex_destroy(&c->lock);
}

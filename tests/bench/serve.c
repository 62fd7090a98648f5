/* SPDX-License-Identifier: Apache-2.0
 * Leases over HTTP beside the library's own, in the same run:
 * how long an acquire takes, in turn; and how many requests a second are answered on 1, 16 and 64
 * connections, each with a key of its own. Prints; asserts nothing.
 *
 *     leasehold --uri URI --db leasehold_bench serve --listen 127.0.0.1:8080 --quiet
 *     serve URI [port] [rounds] [seconds]         (default: 8080, 500, 5) */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

enum { CONNECTIONS_MAX = 64, STATUSES = 600, ANSWER_SIZE = 4096, REQUEST_SIZE = 512 };

static int port;

typedef struct {
    int fd, status;
    char body[ANSWER_SIZE];
} answer;

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect", "no server listens there");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

/* A request on a connection that stays, and its answer. */
static void ask(answer *a, const char *request)
{
    char text[ANSWER_SIZE];
    size_t len = 0;
    if (send(a->fd, request, strlen(request), 0) != (ssize_t)strlen(request))
        die("send", "the connection is gone");
    for (;;) {
        ssize_t got = recv(a->fd, text + len, sizeof text - len - 1, 0);
        if (got <= 0)
            die("recv", "the connection is gone");
        len += (size_t)got;
        text[len] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        if (end && length && len >= (size_t)(end + 4 - text) + strtoul(length + 16, NULL, 10)) {
            a->status = atoi(text + 9);
            strcpy(a->body, end + 4);
            return;
        }
    }
}

static void ask_acquire(answer *a, const char *key)
{
    char request[REQUEST_SIZE];
    static const char body[] = "{\"owner\":\"bench\"}";
    (void)snprintf(
        request, sizeof request,
        "POST /v1/leases/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n%s",
        key, sizeof body - 1, body);
    ask(a, request);
}

static void ask_release(answer *a, const char *key)
{
    char request[REQUEST_SIZE];
    const char *lease = strstr(a->body, "\"lease\":\"");
    (void)snprintf(request, sizeof request,
                   "DELETE /v1/leases/%s HTTP/1.1\r\nHost: localhost\r\nLease-Id: %.32s\r\n\r\n",
                   key, lease ? lease + 9 : "");
    ask(a, request);
}

static void in_turn(lh_store *store, int rounds)
{
    double *own = calloc((size_t)rounds, sizeof *own),
           *over_http = calloc((size_t)rounds, sizeof *over_http);
    answer a = {.fd = dial()};
    for (int i = -20; i < rounds; i++) { /* the first ones connect, and are not counted */
        double start = now();
        lh_lease *lease = acquire(store, "bench:own", LH_EXCLUSIVE);
        double taken = now() - start;
        release(lease);
        start = now();
        ask_acquire(&a, "bench:http");
        if (i >= 0) {
            own[i] = taken;
            over_http[i] = now() - start;
        }
        if (a.status != 201)
            die("acquire over HTTP", a.body);
        ask_release(&a, "bench:http");
    }
    double library = print("acquire, by the library", own, rounds);
    double http = print("acquire, over HTTP", over_http, rounds);
    printf("over HTTP / by the library: %.2f (%.2f ms more)\n", http / library, http - library);
    (void)close(a.fd);
    free(own);
    free(over_http);
}

typedef struct {
    pthread_t thread;
    int number;
    double until;
    unsigned statuses[STATUSES];
} caller;

static void *call(void *arg)
{
    caller *c = arg;
    char key[32];
    answer a = {.fd = dial()};
    (void)snprintf(key, sizeof key, "bench:%d", c->number);
    while (now() < c->until) {
        ask_acquire(&a, key);
        c->statuses[a.status % STATUSES]++;
        ask_release(&a, key);
        c->statuses[a.status % STATUSES]++;
    }
    (void)close(a.fd);
    return NULL;
}

static void at_once(int n, int seconds)
{
    static caller callers[CONNECTIONS_MAX];
    unsigned all = 0, good = 0;
    double start = now();
    for (int i = 0; i < n; i++) {
        callers[i] = (caller){.number = i, .until = start + seconds * 1000};
        if (pthread_create(&callers[i].thread, NULL, call, &callers[i]) != 0)
            die("thread", "the system has none left");
    }
    for (int i = 0; i < n; i++) {
        (void)pthread_join(callers[i].thread, NULL);
        for (int status = 0; status < STATUSES; status++)
            all += callers[i].statuses[status];
        good += callers[i].statuses[200] + callers[i].statuses[201];
    }
    printf("%2d connections: %6.0f requests a second, %u of %u not 200 or 201\n", n,
           all / ((now() - start) / 1000), all - good, all);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static const int connections[] = {1, 16, CONNECTIONS_MAX};
    if (argc < 2)
        die(argv[0], "URI [port] [rounds] [seconds]");
    port = number(argc, argv, 2, 8080, 65535);
    int rounds = number(argc, argv, 3, 500, 1000000), seconds = number(argc, argv, 4, 5, 3600);
    lh_store *store = open_store(argv[1]);
    in_turn(store, rounds);
    lh_store_close(store);
    for (size_t i = 0; i < sizeof connections / sizeof connections[0]; i++)
        at_once(connections[i], seconds);
    return 0;
}

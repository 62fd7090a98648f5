/* SPDX-License-Identifier: Apache-2.0
 * A proxy in front of one server that knows where messages end (each begins with its length), and
 * cuts at their boundaries: the request never arrives, or late, when nobody listens any more; its
 * answer is lost, or comes late. Then the connection is gone. */
#ifndef CUTTING_H
#define CUTTING_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef enum {
    CUT_NONE,
    CUT_REQUEST_LOST,
    CUT_REPLY_LOST,
    CUT_REPLY_LATE,
    CUT_REQUEST_LATE
} cut_kind;

#define CUT_LATE_MS     1000
#define CUT_CONNECTIONS 256

typedef struct cutter {
    int listener, to_port, port;
    pthread_t acceptor, threads[CUT_CONNECTIONS];
    size_t n;
    atomic_bool closed;
    pthread_mutex_t lock; /* of what follows */
    cut_kind kind;
    /* each such message, until it is mended; else the first alone */
    bool all;
    int skip; /* so many go through before */
    /* … of messages with this command and these bytes (has_two may be NULL) */
    const char *command, *has_one, *has_two;
    int hits;
} cutter;

typedef struct {
    cutter *c;
    int client;
} cut_connection;

bool cut_read(int fd, uint8_t *to, size_t n);

bool cut_write(int fd, const uint8_t *from, size_t n);

/* A whole message, to be freed; NULL: the connection ended. */
uint8_t *cut_message(int fd, size_t *ret_size);

cut_kind cut_judge(cutter *c, const uint8_t *message, size_t size);

/* A request that met the cut; the connection ends behind it. */
void cut_through(cut_kind kind, const cut_connection *k, int server, const uint8_t *message,
                 size_t size);

int cut_connect(int port);

void *cut_serve(void *arg);

void *cut_accept(void *arg);

/* Listens on loopback, at c->port. */
bool cut_open(cutter *c, int to_port);

void cut_arm(cutter *c, cut_kind kind, bool all, const char *command, const char *has_one,
             const char *has_two, int skip);

void cut_mend(cutter *c);

int cut_hits(cutter *c);

void cut_close(cutter *c);

#endif

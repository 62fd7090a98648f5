/* SPDX-License-Identifier: Apache-2.0
 * The open connections, and the deadline of each for its current step. */
#ifndef SERVE_CONNECTIONS_H
#define SERVE_CONNECTIONS_H

#include "serve/clients.h"
#include "serve/server.h"

struct connection;
struct connections;

int connections_new(struct clients *clients, struct connections **ret_connections, lh_error *error);
void connections_free(struct connections *connections);

/* It was accepted: it has HEAD_MS for a request's head. NULL: memory is out. A vanished peer is
 * noticed. */
struct connection *connections_open(struct connections *connections, int fd);
/* It is about to be closed. */
void connections_close(struct connections *connections, struct connection *connection);
/* A request of this client came over the connection, which then counts for this client, until a
 * request of another client comes. SHARE_TAKEN, or what clients_take() said; NULL: SHARE_TAKEN. */
int connections_belong(struct connections *connections, struct connection *connection,
                       struct client *client);
/* Ends the connection now, with a reply that libmicrohttpd cannot send: status 400, and the
 * fault. */
void connections_refuse(struct connection *connection, const char *detail);
/* Sets the limit for the current step of the connection; 0: no limit. `answering`: a reply is being
 * sent. NULL: nothing is done. */
void connections_allow(struct connections *connections, struct connection *connection, int64_t ms,
                       bool answering);

/* Ends the connections that take too long. */
void connections_tick(struct connections *connections);
unsigned connections_count(struct connections *connections);
uint64_t connections_ended(struct connections *connections);

#endif

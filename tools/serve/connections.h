/* SPDX-License-Identifier: Apache-2.0
 * The connections that are open, and until when each may take for what it is at. */
#ifndef SERVE_CONNECTIONS_H
#define SERVE_CONNECTIONS_H

#include "serve/clients.h"
#include "serve/server.h"

struct connection;
struct connections;

int connections_new(struct clients *clients, struct connections **ret_connections, lh_error *error);
void connections_free(struct connections *connections);

/* It was accepted: it has HEAD_MS for a request's head. NULL: memory is out. A peer that is gone
 * without a word is noticed. */
struct connection *connections_open(struct connections *connections, int fd);
/* It is about to be closed. */
void connections_close(struct connections *connections, struct connection *connection);
/* A request of this client came by it: it is one of the client's connections, until another
 * client's comes. SHARE_TAKEN, or what clients_take() said; NULL: SHARE_TAKEN. */
int connections_belong(struct connections *connections, struct connection *connection,
                       struct client *client);
/* Ends it now, with an answer that libmicrohttpd cannot give: status 400, and what is wrong. */
void connections_refuse(struct connection *connection, const char *detail);
/* What it is at now may take this long; 0: any time. `answering`: an answer is on its way. NULL:
 * nothing is done. */
void connections_allow(struct connections *connections, struct connection *connection, int64_t ms,
                       bool answering);

/* Ends those that take too long. */
void connections_tick(struct connections *connections);
unsigned connections_count(struct connections *connections);
uint64_t connections_ended(struct connections *connections);

#endif

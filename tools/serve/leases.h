/* SPDX-License-Identifier: Apache-2.0
 * What is done with leases besides acquiring them: one call of the library each, by a worker. */
#ifndef SERVE_LEASES_H
#define SERVE_LEASES_H

#include "serve/request.h"

void leases_status(struct request *request);
void leases_renew(struct request *request);
void leases_release(struct request *request);
void leases_transfer(struct request *request);
void leases_break(struct request *request);

/* Releases a lease whose grant could not be told, as soon as a worker can. */
void leases_give_back(struct server *server, struct client *client, const char *key,
                      const char *lease_id);

#endif

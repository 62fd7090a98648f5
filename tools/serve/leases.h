/* SPDX-License-Identifier: Apache-2.0
 * What is done with leases besides acquiring them: one call of the library each, by a worker. */
#ifndef SERVE_LEASES_H
#define SERVE_LEASES_H

#include "request.h"

void leases_status(struct request *request);
void leases_renew(struct request *request);
void leases_release(struct request *request);
void leases_break(struct request *request);

/* The handle on the lease that the header Lease-Id names; NULL: it was answered. */
lh_lease *leases_attach(struct request *request);
/* That it was not renewed: lost, and who holds the key now (NULL: not known), or a failure. */
void leases_answer_renewal(struct request *request, int code, const lh_record *record, const lh_error *error);

/* Releases a lease whose grant could not be told, as soon as a worker can. */
void leases_give_back(struct server *server, const char *key, const char *lease_id);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/leases with several keys. */
#ifndef SERVE_MANY_H
#define SERVE_MANY_H

#include "serve/waits.h"

/* Acquires all or none, and answers. The request keeps `ask`, which has the lease ids, until the
 * answer was sent. */
void many_acquire(struct request *request, struct ask *ask);
/* Releases it again: it could not be sent. */
void many_take_back(struct request *request, const struct ask *ask);

#endif

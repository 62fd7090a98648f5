/* SPDX-License-Identifier: Apache-2.0
 * GET /v1/leases: keys and their holders. */
#ifndef SERVE_LIST_H
#define SERVE_LIST_H

#include "serve/request.h"

/* By a worker. */
/* Takes one of the client's long lists where it asks for one. False: it was answered. */
bool list_admit(struct request *request);
void list_get(struct request *request);

#endif

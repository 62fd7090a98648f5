/* SPDX-License-Identifier: Apache-2.0
 * GET /v1/leases: who holds what. */
#ifndef SERVE_LIST_H
#define SERVE_LIST_H

#include "request.h"

/* By a worker. */
void list_get(struct request *request);

#endif

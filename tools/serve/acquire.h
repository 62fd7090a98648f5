/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/leases/{key}. */
#ifndef SERVE_ACQUIRE_H
#define SERVE_ACQUIRE_H

#include "waits.h"

/* By a worker. */
void acquire_post(struct request *request);

/* For waits_new(). */
extern const struct waits_ends acquire_ends;

#endif

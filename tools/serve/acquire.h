/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/leases/{key}. */
#ifndef SERVE_ACQUIRE_H
#define SERVE_ACQUIRE_H

#include "waits.h"

/* By a worker. */
void acquire_post(struct request *request);

/* What waits.c tells of an ask that it has let go of, with the waits locked: there is an outcome; nobody wants to hear of it. */
void acquire_settled(struct ask *ask);
void acquire_deserted(struct ask *ask);

/* Frees it; its `waiting` was ended. */
void acquire_free(struct ask *ask);

#endif

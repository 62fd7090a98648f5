/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/leases/{key}. */
#ifndef SERVE_ACQUIRE_H
#define SERVE_ACQUIRE_H

#include "serve/waits.h"

/* Reads what is asked for; a wait is one of the client's from here on. False: it was answered. */
bool acquire_admit(struct request *request);
/* By a worker. */
void acquire_post(struct request *request);
/* What was read and not taken up. NULL: nothing is done. */
void acquire_drop(struct ask *ask);

/* For waits_new(). */
extern const struct waits_ends acquire_ends;

#endif

/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/leases/{key}. */
#ifndef SERVE_ACQUIRE_H
#define SERVE_ACQUIRE_H

#include "serve/waits.h"

/* Reads the request; from here on its wait counts for the client. False: the request was
 * answered. */
bool acquire_admit(struct request *request);
/* By a worker. */
void acquire_post(struct request *request);
/* What the library is asked for. */
lh_acquire_options acquire_options(const struct ask *ask);
/* The answer where nothing was granted. */
void acquire_refused(struct request *request, const char *key, int code, const lh_record *busy,
                     const lh_error *error);
/* Frees a request that was read and not started. NULL: nothing is done. */
void acquire_drop(struct ask *ask);

/* For waits_new(). */
extern const struct waits_ends acquire_ends;

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The log of the server on stderr: one JSON object on each line, never with a token, a lease id, a
 * query or a body. A separate thread writes, so that a slow or missing reader delays nothing. */
#ifndef SERVE_LOG_H
#define SERVE_LOG_H

#include "serve/request.h"

struct log;

/* LH_OK, or LH_MEMORY. */
int log_new(struct log **ret_log, lh_error *error);
/* Waits a moment for the thread to write the remaining lines, and ends it. NULL: nothing is
 * done. */
void log_free(struct log *log);

/* A request that has ended; not with --quiet. `sent`: its answer was. */
void log_request(const struct request *request, bool sent);
/* Anything else that an operator should know; not with --quiet. */
void log_note(const struct server *server, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Lines that could not be written. */
uint64_t log_dropped(struct log *log);

#endif

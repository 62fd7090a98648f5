/* SPDX-License-Identifier: Apache-2.0
 * What the server says on stderr: one JSON object a line. Never a token, a lease id, a query or a body. */
#ifndef SERVE_LOG_H
#define SERVE_LOG_H

#include "request.h"

/* A request that has ended; not with --quiet. `sent`: its answer was. */
void log_request(const struct request *request, bool sent);
/* Anything else that an operator should know; not with --quiet. */
void log_note(const struct server *server, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

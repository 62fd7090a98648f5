/* SPDX-License-Identifier: Apache-2.0
 * The HTTP server itself. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include "serve/server.h"

struct http;

/* Begins to answer on the listener's socket. LH_OK, or LH_CONFIG. */
int http_start(struct server *server, struct http **ret_http, lh_error *error);
/* Accepts nobody any more. */
void http_quiesce(struct http *http);
/* Waits until no request is open, `patience_ms` at most; false: some are. */
bool http_drain(struct http *http, int64_t patience_ms);
/* Ends it. No connection may be suspended. NULL: nothing is done. */
void http_stop(struct http *http);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Where a request ends must be clear: a proxy in front of us that reads it otherwise would take
 * what follows for another client's request. */
#ifndef SERVE_FRAMING_H
#define SERVE_FRAMING_H

#include "serve/request.h"

/* Can the head be read in one way only? The first three are libmicrohttpd's, as they stand in
 * its memory. False: it was answered (400), and the connection is to be closed. */
bool framing_is_clear(struct request *request, const char *method, const char *path,
                      const char *version);

/* How many arguments there may be behind the `?`. */
size_t framing_arguments(const char *uri);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The end of a request must be clear. A proxy in front of us that finds another end would treat the
 * following bytes as a request of another client. */
#ifndef SERVE_FRAMING_H
#define SERVE_FRAMING_H

#include "serve/request.h"

/* Whether the head can be read in only one way. The first three are libmicrohttpd's, as they stand
 * in its memory. False: it was answered (400), and the connection is to be closed. */
bool framing_is_clear(struct request *request, const char *method, const char *path,
                      const char *version);

/* How many arguments there may be behind the `?`. */
size_t framing_arguments(const char *uri);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What the caller may do: for a page that shows only what can be done. */
#ifndef SERVE_WHOAMI_H
#define SERVE_WHOAMI_H

#include "serve/request.h"

void whoami_get(struct request *request);

#endif

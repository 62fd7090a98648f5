/* SPDX-License-Identifier: Apache-2.0
 * The permissions of the caller, for a page that shows only permitted actions. */
#ifndef SERVE_WHOAMI_H
#define SERVE_WHOAMI_H

#include "serve/request.h"

void whoami_get(struct request *request);

#endif

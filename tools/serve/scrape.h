/* SPDX-License-Identifier: Apache-2.0
 * GET /metrics. */
#ifndef SERVE_SCRAPE_H
#define SERVE_SCRAPE_H

#include "serve/request.h"

void scrape_get(struct request *request);

#endif

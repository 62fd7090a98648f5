/* SPDX-License-Identifier: Apache-2.0
 * GET /v1/stats and GET /v1/audit. */
#ifndef SERVE_REPORTS_H
#define SERVE_REPORTS_H

#include "serve/request.h"

/* Both may take long: each is one of the client's long lists. */
bool reports_admit(struct request *request);
void reports_stats(struct request *request);
void reports_audit(struct request *request);

#endif

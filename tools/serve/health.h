/* SPDX-License-Identifier: Apache-2.0
 * Liveness and readiness, for supervisors of processes. */
#ifndef SERVE_HEALTH_H
#define SERVE_HEALTH_H

#include "serve/request.h"

void health_alive(struct request *request);
void health_ready(struct request *request);

int health_new(struct ready **ret_ready, lh_error *error);
void health_free(struct ready *ready);

/* Tells systemd ($NOTIFY_SOCKET), if it wants to know: "READY=1". */
void health_notify(const char *state);

#endif

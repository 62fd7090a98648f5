/* SPDX-License-Identifier: Apache-2.0
 * `leasehold serve --probe`: the health check of a container that has no other program in it. */
#ifndef SERVE_PROBE_H
#define SERVE_PROBE_H

#include "common/cli.h"

/* Asks the server at --listen for /healthz. Returns the exit status: 0, or that of the error. */
int probe_run(const struct cli *cli);

#endif

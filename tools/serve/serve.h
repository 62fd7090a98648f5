/* SPDX-License-Identifier: Apache-2.0
 * leasehold serve, from the outside. */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include "common/cli.h"

extern const struct command cmd_serve;

/* Serves until a signal ends it. Returns the exit code. */
int serve_run(const struct cli *cli);

#endif

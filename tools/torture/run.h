/* SPDX-License-Identifier: Apache-2.0
 * leasehold torture, from the outside. */
#ifndef TORTURE_RUN_H
#define TORTURE_RUN_H

#include "common/cli.h"

extern const struct command cmd_torture;

/* Runs torture, or the part of one of its processes. Returns the exit code. */
int torture_run(const struct cli *cli);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Commands that are separate programs. */
#ifndef CLI_ELSEWHERE_H
#define CLI_ELSEWHERE_H

#include "common/cli.h"

/* Replaces this process by the program of cli->command, with the same options. argv[at] is the
 * command's name. Returns an exit code when there is no such program. */
int elsewhere_run(const struct cli *cli, int argc, char **argv, int at);

#endif

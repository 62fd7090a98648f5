/* SPDX-License-Identifier: Apache-2.0
 * The start and the end of every program. */
#ifndef COMMON_PROGRAM_H
#define COMMON_PROGRAM_H

#include "common/cli.h"

/* Prepares the process, calls `run`, and ends the process with the exit code that `run` returns. */
_Noreturn void program_main(int argc, char **argv,
                            int (*run)(struct cli *cli, int argc, char **argv));

/* Reads the options of cli->command, which follow argv[0], and those of the environment. False when
 * nothing is left to do: *ret_exit is the exit code then. */
bool program_begin(struct cli *cli, int argc, char **argv, int *ret_exit);

void program_version(void);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What every program does around its commands. */
#ifndef COMMON_PROGRAM_H
#define COMMON_PROGRAM_H

#include "common/cli.h"

/* Prepares the process, lets `run` do its work, and ends the process by the exit code that it
 * returns. */
_Noreturn void program_main(int argc, char **argv,
                            int (*run)(struct cli *cli, int argc, char **argv));

/* Reads the options of cli->command, which follow argv[0], and those of the environment. False when
 * nothing is left to do: *ret_exit is the exit code then. */
bool program_begin(struct cli *cli, int argc, char **argv, int *ret_exit);

void program_version(void);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The program's own help: all commands, the global options, the exit codes. */
#ifndef CLI_OVERVIEW_H
#define CLI_OVERVIEW_H

#include <stdio.h>

void overview_print(FILE *to);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Usage and help, made from the command table. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdio.h>

#include "cli/commands.h"

/* What the exit codes mean; a NULL meaning ends the table. */
extern const struct help_exit {
    int code;
    const char *meaning;
} help_exits[];

void help_program(FILE *to);
void help_command(const struct command *command);
/* "leasehold acquire KEY [options]". */
void help_usage(FILE *to, const struct command *command);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Usage and help of a command, made from its description. */
#ifndef COMMON_HELP_H
#define COMMON_HELP_H

#include <stdio.h>

#include "common/cli.h"

/* The meanings of the exit codes; a NULL meaning ends the table. */
extern const struct help_exit {
    int code;
    const char *meaning;
} help_exits[];

void help_command(const struct command *command);

/* Its parts: "leasehold acquire KEY [options]", a table of options, the exit codes. */
void help_usage(FILE *to, const struct command *command);
void help_options(FILE *to, const struct opt_spec *specs);
void help_exit_codes(FILE *to);

#endif

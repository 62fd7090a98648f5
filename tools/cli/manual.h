/* SPDX-License-Identifier: Apache-2.0
 * The manual pages' source, in scdoc's language, made from the command table. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "common/cli.h"

void manual_program(void);
void manual_command(const struct command *command);

#endif

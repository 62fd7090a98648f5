/* SPDX-License-Identifier: Apache-2.0
 * The table of commands. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "common/cli.h"

extern const struct command cmd_acquire, cmd_audit, cmd_break, cmd_cleanup, cmd_completion,
    cmd_doctor, cmd_key, cmd_list, cmd_migrate, cmd_reap, cmd_release, cmd_renew, cmd_run,
    cmd_stats, cmd_status, cmd_transfer, cmd_watch;
/* Each beside its program, in tools/bench, tools/serve and tools/torture. */
extern const struct command cmd_bench, cmd_serve, cmd_torture;

/* All of them, in the order of the help; NULL at the end. */
extern const struct command *const commands[];

#endif

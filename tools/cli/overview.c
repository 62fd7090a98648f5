/* SPDX-License-Identifier: Apache-2.0
 * The program's own help, made from the command table. */
#include "cli/overview.h"

#include "cli/commands.h"
#include "common/help.h"

void overview_print(FILE *to)
{
    fputs("Leases on keys, kept in MongoDB: the holder of a key may work on it until the lease "
          "ends.\n\n"
          "Usage: leasehold [global options] COMMAND [options] [KEY] [-- CMD…]\n\nCommands:\n",
          to);
    for (const struct command *const *command = commands; *command; command++)
        fprintf(to, "  %-12s%s\n", (*command)->name, (*command)->summary);
    fputs("\nGlobal options, before or after the command [and the environment variable "
          "for it]:\n",
          to);
    help_options(to, opts_global);
    fputs("\nExamples:\n"
          "  $ export LEASEHOLD_URI=mongodb://db0,db1,db2/?replicaSet=rs\n"
          "  $ leasehold migrate --yes\n"
          "  $ leasehold run project:42 -- ./rebuild.sh\n\n"
          "LEASEHOLD_PROTECT=break,cleanup,migrate,reap refuses these; with LEASEHOLD_MODE=observe "
          "or off no\n"
          "lease is refused (man leasehold-upgrade).\n"
          "Durations: 250ms, 30s, 5m, 2h, 7d; a bare number is seconds.\n"
          "Exit codes:",
          to);
    help_exit_codes(to);
    fputs("`leasehold COMMAND --help` explains a command.\n", to);
}

/* SPDX-License-Identifier: Apache-2.0
 * Usage and help, made from the command table, so that they can't say anything else than what is parsed. */
#include "help.h"

#include <string.h>

enum { OPTION_COLUMN = 26 };

void help_usage(FILE *to, const struct command *command)
{
    fprintf(to, "leasehold %s", command->name);
    if (command->words)
        fprintf(to, " %s", command->words);
    if (command->options)
        fputs(" [options]", to);
    fputs(command->takes_command ? " -- CMD…\n" : "\n", to);
}

static void print_options(FILE *to, const struct opt_spec *specs)
{
    for (; specs && specs->name; specs++) {
        char left[64], letter[] = {'-', specs->letter, ',', ' ', '\0'};
        int width = snprintf(left, sizeof left, "  %s--%s%s%s", specs->letter ? letter : "", specs->name,
                             specs->value ? " " : "", specs->value ? specs->value : "");
        fprintf(to, "%s%*s%s", left, width < OPTION_COLUMN ? OPTION_COLUMN - width : 1, "", specs->help);
        if (specs->env)
            fprintf(to, " [%s]", specs->env);
        fputc('\n', to);
    }
}

void help_program(FILE *to)
{
    fputs("Leases on keys, kept in MongoDB: who holds a key may work on it until the lease ends.\n\n"
          "Usage: leasehold [global options] COMMAND [options] [KEY] [-- CMD…]\n\nCommands:\n",
          to);
    for (const struct command *const *command = commands; *command; command++)
        fprintf(to, "  %-10s%s\n", (*command)->name, (*command)->summary);
    fputs("\nGlobal options, before or after the command [and what the environment may say instead]:\n", to);
    print_options(to, opts_global);
    fputs("\nExamples:\n"
          "  $ export LEASEHOLD_URI=mongodb://db0,db1,db2/?replicaSet=rs\n"
          "  $ leasehold migrate --yes\n"
          "  $ leasehold run project:42 -- ./rebuild.sh\n\n"
          "Durations: 250ms, 30s, 5m, 2h, 7d; a bare number is seconds.\n"
          "Exit codes: 0 done, 64 usage, 65 unreadable stored data, 69 server unreachable, 74 outcome unknown,\n"
          "75 busy, 76 lost or not the holder, 77 not permitted, 78 configuration.\n"
          "`leasehold COMMAND --help` explains a command.\n",
          to);
}

void help_command(const struct command *command)
{
    printf("%s\n\nUsage: ", command->summary);
    help_usage(stdout, command);
    printf("\n%s\n", command->detail);
    if (command->options) {
        puts("\nOptions [and what the environment may say instead]:");
        print_options(stdout, command->also);
        print_options(stdout, command->options);
    }
    printf("\nExample:\n%s\nThe global options are explained by `leasehold --help`.\n", command->example);
}

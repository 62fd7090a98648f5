/* SPDX-License-Identifier: Apache-2.0
 * Usage and help, made from the command table, so that they can't say anything else than what is parsed. */
#include "cli/help.h"

#include <string.h>

enum { OPTION_COLUMN = 26, LINE_WIDTH = 100 };

const struct help_exit help_exits[] = {
    {EXIT_DONE, "done"},
    {EXIT_USAGE, "usage"},
    {EXIT_DATA, "unreadable stored data"},
    {EXIT_UNREACHABLE, "server unreachable"},
    {EXIT_BUG, "a bug of ours"},
    {EXIT_UNKNOWN, "outcome unknown"},
    {EXIT_BUSY, "busy"},
    {EXIT_LOST, "lost or not the holder"},
    {EXIT_DENIED, "not permitted"},
    {EXIT_CONFIG, "configuration or refused by the server"},
    {0, NULL},
};

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

static void print_exits(FILE *to)
{
    int column = (int)strlen("Exit codes:");
    for (const struct help_exit *exit = help_exits; exit->meaning; exit++) {
        char text[64];
        int width = snprintf(text, sizeof text, "%d %s%c", exit->code, exit->meaning, exit[1].meaning ? ',' : '.');
        bool breaks = column + 1 + width > LINE_WIDTH;
        fprintf(to, "%c%s", breaks ? '\n' : ' ', text);
        column = breaks ? width : column + 1 + width;
    }
    fputc('\n', to);
}

void help_program(FILE *to)
{
    fputs("Leases on keys, kept in MongoDB: who holds a key may work on it until the lease ends.\n\n"
          "Usage: leasehold [global options] COMMAND [options] [KEY] [-- CMD…]\n\nCommands:\n",
          to);
    for (const struct command *const *command = commands; *command; command++)
        fprintf(to, "  %-12s%s\n", (*command)->name, (*command)->summary);
    fputs("\nGlobal options, before or after the command [and what the environment may say instead]:\n", to);
    print_options(to, opts_global);
    fputs("\nExamples:\n"
          "  $ export LEASEHOLD_URI=mongodb://db0,db1,db2/?replicaSet=rs\n"
          "  $ leasehold migrate --yes\n"
          "  $ leasehold run project:42 -- ./rebuild.sh\n\n"
          "LEASEHOLD_PROTECT=break,cleanup,migrate,reap refuses these; LEASEHOLD_MODE=observe, or off, refuses nobody\n"
          "a lease (man leasehold-upgrade).\n"
          "Durations: 250ms, 30s, 5m, 2h, 7d; a bare number is seconds.\n"
          "Exit codes:",
          to);
    print_exits(to);
    fputs("`leasehold COMMAND --help` explains a command.\n", to);
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

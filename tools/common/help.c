/* SPDX-License-Identifier: Apache-2.0
 * Usage and help, made from a command's description, so that they always agree with the parser. */
#include "common/help.h"

#include <string.h>

enum { OPTION_COLUMN = 26, LINE_WIDTH = 100 };

const struct help_exit help_exits[] = {
    {EXIT_DONE, "done"},
    {EXIT_USAGE, "usage"},
    {EXIT_DATA, "unreadable stored data"},
    {EXIT_UNREACHABLE, "server unreachable"},
    {EXIT_BUG, "a bug in Leasehold"},
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

void help_options(FILE *to, const struct opt_spec *specs)
{
    for (; specs && specs->name; specs++) {
        char left[64], letter[] = {'-', specs->letter, ',', ' ', '\0'};
        int width =
            snprintf(left, sizeof left, "  %s--%s%s%s", specs->letter ? letter : "", specs->name,
                     specs->value ? " " : "", specs->value ? specs->value : "");
        fprintf(to, "%s%*s%s", left, width < OPTION_COLUMN ? OPTION_COLUMN - width : 1, "",
                specs->help);
        if (specs->env)
            fprintf(to, " [%s]", specs->env);
        fputc('\n', to);
    }
}

void help_exit_codes(FILE *to)
{
    int column = (int)strlen("Exit codes:");
    for (const struct help_exit *exit = help_exits; exit->meaning; exit++) {
        char text[64];
        int width = snprintf(text, sizeof text, "%d %s%c", exit->code, exit->meaning,
                             exit[1].meaning ? ',' : '.');
        bool breaks = column + 1 + width > LINE_WIDTH;
        fprintf(to, "%c%s", breaks ? '\n' : ' ', text);
        column = breaks ? width : column + 1 + width;
    }
    fputc('\n', to);
}

void help_command(const struct command *command)
{
    printf("%s\n\nUsage: ", command->summary);
    help_usage(stdout, command);
    printf("\n%s\n", command->detail);
    if (command->options) {
        puts("\nOptions [and the environment variable for it]:");
        help_options(stdout, command->also);
        help_options(stdout, command->options);
    }
    printf("\nExample:\n%s\nThe global options are explained by `leasehold --help`.\n",
           command->example);
}

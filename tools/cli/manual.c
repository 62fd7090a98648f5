/* SPDX-License-Identifier: Apache-2.0
 * The manual pages' source, made from the command table: what `leasehold help --scdoc [COMMAND]`
 * prints, for tools/man/make. This code is in the program because the table is there. The help does
 * not mention it, because it is only for building. */
#include "cli/manual.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "common/help.h"

enum { LINE_WIDTH = 72 };

/* Writes plain text. Characters that scdoc would interpret as markup are escaped. The lines are
 * wrapped again, but never before a word that would be markup at the beginning of a line. */
static void put_at(const char *text, const char *indent)
{
    size_t column = 0;
    for (const char *word = text; *word;) {
        size_t len = strcspn(word, " \n");
        if (column > 0) {
            bool cuts = column + len > LINE_WIDTH && isalpha((unsigned char)*word);
            printf("%s%s", cuts ? "\n" : " ", cuts ? indent : "");
            column = cuts ? 0 : column + 1;
        }
        for (size_t i = 0; i < len; i++) {
            if (strchr("\\*_#[]|~`<>", word[i]))
                putchar('\\');
            putchar(word[i]);
        }
        column += len;
        word += len + strspn(word + len, " \n");
    }
}

static void put(const char *text)
{
    put_at(text, "");
}

static void put_options(const struct opt_spec *specs)
{
    for (; specs && specs->name; specs++) {
        if (specs->letter)
            printf("*-%c*, ", specs->letter);
        printf("*--%s*", specs->name);
        if (specs->value)
            printf(" _%s_", specs->value);
        fputs("\n\t", stdout);
        put_at(specs->help, "\t");
        if (specs->env) {
            fputs(".\n\tEnvironment: ", stdout);
            put(specs->env);
        }
        fputs("\n\n", stdout);
    }
}

static void put_exits(void)
{
    fputs("# EXIT STATUS\n\n", stdout);
    for (const struct help_exit *exit = help_exits; exit->meaning; exit++) {
        printf("*%d*\n\t", exit->code);
        put(exit->meaning);
        fputs("\n\n", stdout);
    }
}

/* Indented by two in the table. */
static void put_example(const char *example)
{
    fputs("```\n", stdout);
    for (const char *line = example; *line;) {
        size_t len = strcspn(line, "\n"), indent = strspn(line, " ") < 2 ? 0 : 2;
        printf("%.*s\n", (int)(len - indent), line + indent);
        line += len + (line[len] == '\n');
    }
    fputs("```\n\n", stdout);
}

static void put_see_also(const char *but)
{
    fputs("# SEE ALSO\n\n", stdout);
    if (but)
        fputs("*leasehold*(1), ", stdout);
    for (const struct command *const *command = commands; *command; command++) {
        if (!but || strcmp((*command)->name, but) != 0)
            printf("*leasehold-%s*(1),\n", (*command)->name);
    }
    fputs("*libleasehold*(3), *leasehold-schema*(5), *leasehold-connection*(7), "
          "*leasehold-node*(7), *leasehold-python*(7), *leasehold-restart*(7), "
          "*leasehold-upgrade*(7)\n",
          stdout);
}

void manual_program(void)
{
    fputs("leasehold(1)\n\n# NAME\n\nleasehold - leases on keys, kept in MongoDB\n\n# SYNOPSIS\n\n"
          "*leasehold* [_global options_] _COMMAND_ [_options_] [_KEY_] [-- _CMD_...]\n\n# "
          "DESCRIPTION\n\n"
          "A lease is a lock with an end. The holder of the lease on a key may work on\n"
          "it until the lease ends, is released, or is broken by an operator.\n"
          "Results go to the standard output, everything else to standard error.\n"
          "A flag beats the environment. White space around a name, an address, a\n"
          "number or a duration is removed, as files and variables often end in a\n"
          "line feed; inside a name it is refused. Keys are used as\n"
          "they are, and so are the texts of --purpose, --reason, --note and --prefix.\n"
          "Each command has a page of its own.\n\n# COMMANDS\n\n",
          stdout);
    for (const struct command *const *command = commands; *command; command++) {
        printf("*leasehold-%s*(1)\n\t", (*command)->name);
        put((*command)->summary);
        fputs("\n\n", stdout);
    }
    fputs("# OPTIONS\n\nBefore or after the command.\n\n", stdout);
    put_options(opts_global);
    fputs("Durations are 250ms, 30s, 5m, 2h, 7d; a bare number is seconds.\n\n# ENVIRONMENT\n\n"
          "*LEASEHOLD\\_PROTECT*\n\tcommands that are refused with the exit status 77, "
          "separated by commas: break,cleanup\n\n"
          "*LEASEHOLD\\_MODE*\n\t_enforce_, _observe_ or _off_: how acquire, renew, release, "
          "transfer and run take part in a roll-out. See *leasehold-upgrade*(7)\n\n"
          "*MONGODB\\_URI*\n\tthe deployment, if LEASEHOLD\\_URI is not set\n\n"
          "*NO\\_COLOR*\n\tany value: no colours\n\nOther variables are named beside the option "
          "that they "
          "set.\n\n",
          stdout);
    put_exits();
    fputs("# EXAMPLES\n\n```\n$ export LEASEHOLD_URI=mongodb://db0,db1,db2/?replicaSet=rs\n$ "
          "leasehold migrate --yes\n"
          "$ leasehold run project:42 -- ./rebuild.sh\n```\n\n",
          stdout);
    put_see_also(NULL);
}

void manual_command(const struct command *command)
{
    printf("leasehold-%s(1)\n\n# NAME\n\nleasehold-%s - ", command->name, command->name);
    put(command->summary);
    printf("\n\n# SYNOPSIS\n\n*leasehold* [_global options_] *%s*", command->name);
    if (command->words) {
        putchar(' ');
        put(command->words);
    }
    fputs(command->options ? " [_options_]" : "", stdout);
    fputs(command->takes_command ? " -- _CMD_..." : "", stdout);
    fputs("\n\n# DESCRIPTION\n\n", stdout);
    put(command->detail);
    fputs("\n\n", stdout);
    if (command->options) {
        fputs("# OPTIONS\n\n", stdout);
        put_options(command->also);
        put_options(command->options);
        fputs("The global options are explained in *leasehold*(1).\n\n", stdout);
    }
    put_exits();
    fputs("# EXAMPLES\n\n", stdout);
    put_example(command->example);
    put_see_also(command->name);
}

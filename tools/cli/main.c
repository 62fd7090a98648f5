/* SPDX-License-Identifier: Apache-2.0
 * The command line: a table of commands. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/elsewhere.h"
#include "cli/manual.h"
#include "cli/overview.h"
#include "common/help.h"
#include "common/program.h"
#include "common/text.h"

enum { MOST_COMMANDS = 32 };

const struct command *const commands[] = {
    &cmd_acquire, &cmd_renew,  &cmd_release, &cmd_transfer, &cmd_run,   &cmd_status,     &cmd_list,
    &cmd_stats,   &cmd_watch,  &cmd_migrate, &cmd_cleanup,  &cmd_break, &cmd_reap,       &cmd_audit,
    &cmd_key,     &cmd_doctor, &cmd_bench,   &cmd_torture,  &cmd_serve, &cmd_completion, NULL,
};

static const struct command *find_command(const char *name)
{
    for (const struct command *const *command = commands; *command; command++) {
        if (strcmp((*command)->name, name) == 0)
            return *command;
    }
    return NULL;
}

static int unknown_command(const char *word, lh_error *error)
{
    const char *names[MOST_COMMANDS] = {0};
    for (size_t i = 0; commands[i] && i + 1 < MOST_COMMANDS; i++)
        names[i] = commands[i]->name;
    const char *nearest = text_nearest(word, names);
    char quoted[64];
    if (nearest)
        return out_fail(error, LH_INVALID, "there is no command \"%s\"; did you mean %s?",
                        opts_quotable(word, quoted), nearest);
    return out_fail(error, LH_INVALID, "there is no command \"%s\"; leasehold --help lists them",
                    opts_quotable(word, quoted));
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
    lh_error error = LH_ERROR_INIT;
    int at;
    if (opts_parse_globals(argc, argv, &cli->args, &at, &error) != LH_OK)
        return out_error(&cli->out, &error);
    if (cli_flag(cli, OPT_VERSION)) {
        program_version();
        return EXIT_DONE;
    }
    bool asks_help = cli_flag(cli, OPT_HELP) || (at < argc && strcmp(argv[at], "help") == 0);
    while (at < argc && strcmp(argv[at], "help") == 0)
        at++;
    bool asks_manual = asks_help && at < argc && strcmp(argv[at], "--scdoc") == 0;
    at += asks_manual;
    if (at >= argc && asks_manual) {
        manual_program();
        return EXIT_DONE;
    }
    if (at >= argc) {
        overview_print(asks_help ? stdout : stderr);
        if (asks_help)
            return EXIT_DONE;
        out_fail(&error, LH_INVALID, "which command?");
        return out_error(&cli->out, &error);
    }
    cli->command = find_command(argv[at]);
    if (!cli->command) {
        (void)unknown_command(argv[at], &error);
        return out_error(&cli->out, &error);
    }
    if (asks_help) {
        (asks_manual ? manual_command : help_command)(cli->command);
        return EXIT_DONE;
    }
    int exit;
    if (!program_begin(cli, argc - at, argv + at, &exit))
        return exit;
    return cli->command->run ? cli->command->run(cli) : elsewhere_run(cli, argc, argv, at);
}

int main(int argc, char **argv)
{
    program_main(argc, argv, dispatch);
}

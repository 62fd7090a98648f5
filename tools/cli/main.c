/* SPDX-License-Identifier: Apache-2.0
 * The command line: a table of commands, and what is the same for all of them. */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/manual.h"
#include "common/text.h"

enum { MOST_COMMANDS = 32 };

const struct command *const commands[] = {
    &cmd_acquire, &cmd_renew, &cmd_release, &cmd_transfer, &cmd_run,        &cmd_status, &cmd_list,
    &cmd_stats,   &cmd_watch, &cmd_migrate, &cmd_cleanup,  &cmd_break,      &cmd_reap,   &cmd_audit,
    &cmd_doctor,  &cmd_bench, &cmd_torture, &cmd_serve,    &cmd_completion, NULL,
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
        return out_fail(error, LH_INVALID, "there is no command \"%s\"; did you mean %s?", opts_quotable(word, quoted),
                        nearest);
    return out_fail(error, LH_INVALID, "there is no command \"%s\"; leasehold --help lists them",
                    opts_quotable(word, quoted));
}

static int check_words(const struct cli *cli, lh_error *error)
{
    const struct command *command = cli->command;
    const struct args *args = &cli->args;
    bool by_id = command->or_id && cli_flag(cli, OPT_ID);
    int wanted = command->any_words ? args->n_words : command->words && !by_id ? 1 : 0;
    char quoted[64];
    if (args->n_words > wanted && command->takes_command)
        return out_fail(error, LH_INVALID, "\"%s\" is one word too many: the command to run stands after --",
                        opts_quotable(args->words[wanted], quoted));
    if (args->n_words > wanted)
        return out_fail(error, LH_INVALID, "\"%s\" is one word too many", opts_quotable(args->words[wanted], quoted));
    if (args->n_words < wanted)
        return out_fail(error, LH_INVALID, "which key? usage: leasehold %s %s …", command->name, command->words);
    if (command->takes_command && args->n_rest == 0)
        return out_fail(error, LH_INVALID, "which command is to run? usage: leasehold %s %s -- CMD…", command->name,
                        command->words);
    /* Here, so that a bad key is told without asking a server. */
    for (int i = 0; i < wanted; i++) {
        if (lh_key_check(args->words[i], strlen(args->words[i]), error) != LH_OK)
            return LH_INVALID;
    }
    return LH_OK;
}

static void choose_voice(struct cli *cli)
{
    const char *no_color = getenv("NO_COLOR");
    bool colors = !cli_flag(cli, OPT_NO_COLOR) && !(no_color && *no_color);
    cli->out.json = cli->out.json || cli_flag(cli, OPT_JSON);
    cli->out.quiet = cli_flag(cli, OPT_QUIET);
    cli->out.verbose = cli_flag(cli, OPT_VERBOSE);
    cli->out.color = colors && isatty(STDOUT_FILENO);
    cli->out.progress = isatty(STDERR_FILENO);
}

static int print_version(void)
{
    printf("leasehold %s\n", lh_version());
    return EXIT_DONE;
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    lh_error error = LH_ERROR_INIT;
    const struct command *command = cli->command;
    const struct opt_spec *const tables[OPTS_TABLES] = {command->also, command->options};
    if (opts_parse_command(argc, argv, tables, command->takes_command, &cli->args, &error) != LH_OK)
        return out_error(&cli->out, &error);
    if (cli_flag(cli, OPT_VERSION))
        return print_version();
    if (cli_flag(cli, OPT_HELP)) {
        help_command(command);
        return EXIT_DONE;
    }
    choose_voice(cli);
    if (opts_from_environment(opts_global, &cli->args, &error) != LH_OK ||
        opts_from_environment(command->also, &cli->args, &error) != LH_OK ||
        opts_from_environment(command->options, &cli->args, &error) != LH_OK || check_words(cli, &error) != LH_OK)
        return out_error(&cli->out, &error);
    return command->run(cli);
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
    lh_error error = LH_ERROR_INIT;
    int at;
    if (opts_parse_globals(argc, argv, &cli->args, &at, &error) != LH_OK)
        return out_error(&cli->out, &error);
    if (cli_flag(cli, OPT_VERSION))
        return print_version();
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
        help_program(asks_help ? stdout : stderr);
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
    cli->out.command = cli->command->name;
    if (asks_help) {
        (asks_manual ? manual_command : help_command)(cli->command);
        return EXIT_DONE;
    }
    return run_command(cli, argc - at, argv + at);
}

/* The driver, loaded, has made a file of counters in shared memory, which it removes when the process ends in good order.
 * Nobody reads ours, and we may be killed: away with it at once. */
static void drop_driver_counters(void)
{
    char name[32];
    (void)snprintf(name, sizeof name, "/mongoc-%ld", (long)getpid());
    (void)shm_unlink(name);
}

/* A standard stream that is closed would be the number of what is opened next: results would go to the server's socket. So its
 * place is taken, the wrong way round, so that reading and writing fail as before, and what `run` runs finds it closed. */
static void fill_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) /* all below are open, so it gets this number */
            (void)open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    }
}

int main(int argc, char **argv)
{
    fill_streams();
    drop_driver_counters();
    struct cli cli = {0};
    if (!args_init(&cli.args, argc))
        return EXIT_BUG;
    /* Text is UTF-8 whatever the environment says, because that is what is stored. */
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        (void)setlocale(LC_CTYPE, "");
    /* A result that nobody reads must not end us before we have undone what it would have told of. */
    (void)signal(SIGPIPE, SIG_IGN);
    lh_driver_log(NULL, NULL); /* it may quote connection strings; what matters comes back as errors */
    cli.out.json = opts_wants_json(argc, argv);
    int exit = out_finish(&cli.out, dispatch(&cli, argc, argv));
    args_fini(&cli.args);
#ifdef __SANITIZE_ADDRESS__
    __lsan_do_leak_check(); /* else done at a return */
#endif
    _exit(exit); /* the driver's threads may still be there (connect_close): nothing may be torn down under them */
}

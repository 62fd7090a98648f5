/* SPDX-License-Identifier: Apache-2.0
 * The start and the end of every program, and the options of a command. */
#include "common/program.h"

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

#include "common/help.h"

static int check_words(const struct cli *cli, lh_error *error)
{
    const struct command *command = cli->command;
    const struct args *args = &cli->args;
    bool by_id = command->or_id && cli_flag(cli, OPT_ID);
    int wanted = command->any_words ? args->n_words : command->words && !by_id ? 1 : 0;
    char quoted[64];
    if (args->n_words > wanted)
        return out_fail(error, LH_INVALID, "\"%s\" is one word too many",
                        opts_quotable(args->words[wanted], quoted));
    if (args->n_words < (command->takes_command ? 1 : wanted))
        return out_fail(error, LH_INVALID, "which key? usage: leasehold %s %s …", command->name,
                        command->words);
    if (command->takes_command && args->n_rest == 0)
        return out_fail(error, LH_INVALID,
                        "which command is to run? It comes after --: leasehold %s %s -- CMD…",
                        command->name, command->words);
    /* Checked here, so that a bad key is reported without a request to a server. */
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

/* What was given on the command line, and would have to be again. */
static char *same_options(const struct cli *cli)
{
    static const struct {
        enum opt_id id;
        const char *name;
    } ours[] = {{OPT_URI_FILE, "uri-file"},
                {OPT_DB, "db"},
                {OPT_COLLECTION, "collection"},
                {OPT_AUDIT, "audit"}};
    char *same = NULL;
    size_t size;
    FILE *to = open_memstream(&same, &size);
    for (size_t i = 0; to && i < sizeof ours / sizeof *ours; i++) {
        const struct opt_value *option = &cli->args.opt[ours[i].id];
        if (option->given && !option->from_env && strcmp(option->text, "-") != 0 &&
            !strchr(option->text, '\''))
            fprintf(to, " --%s '%s'", ours[i].name, option->text);
    }
    if (to)
        (void)fclose(to);
    return same;
}

void program_version(void)
{
    printf("leasehold %s\n", lh_version());
}

bool program_begin(struct cli *cli, int argc, char **argv, int *ret_exit)
{
    lh_error error = LH_ERROR_INIT;
    const struct command *command = cli->command;
    const struct opt_spec *const tables[OPTS_TABLES] = {command->also, command->options};
    *ret_exit = EXIT_DONE;
    cli->out.command = command->name;
    if (opts_parse_command(argc, argv, tables, command->takes_command, &cli->args, &error) !=
        LH_OK) {
        *ret_exit = out_error(&cli->out, &error);
        return false;
    }
    if (cli_flag(cli, OPT_VERSION)) {
        program_version();
        return false;
    }
    if (cli_flag(cli, OPT_HELP)) {
        help_command(command);
        return false;
    }
    choose_voice(cli);
    if (opts_from_environment(opts_global, &cli->args, &error) != LH_OK ||
        opts_from_environment(command->also, &cli->args, &error) != LH_OK ||
        opts_from_environment(command->options, &cli->args, &error) != LH_OK ||
        check_words(cli, &error) != LH_OK) {
        *ret_exit = out_error(&cli->out, &error);
        return false;
    }
    cli->out.same = same_options(cli);
    return true;
}

/* The driver, loaded, has made a file of counters in shared memory, which it removes when the
 * process ends in good order. Nobody reads ours, and we may be killed: remove the file at once. */
static void drop_driver_counters(void)
{
    char name[32];
    (void)snprintf(name, sizeof name, "/mongoc-%ld", (long)getpid());
    (void)shm_unlink(name);
}

/* A standard stream that is closed would be the number of what is opened next: results would go to
 * the server's socket. So its place is taken, the wrong way round, so that reading and writing fail
 * as before, and what `run` runs finds it closed. */
static void fill_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) /* all below are open, so it gets this number */
            (void)open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    }
}

_Noreturn void program_main(int argc, char **argv,
                            int (*run)(struct cli *cli, int argc, char **argv))
{
    fill_streams();
    drop_driver_counters();
    struct cli cli = {0};
    if (!args_init(&cli.args, argc))
        _exit(EXIT_BUG);
    /* Text is UTF-8 whatever the environment says, because that is what is stored. */
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        (void)setlocale(LC_CTYPE, "");
    /* If nobody reads the result, the program must not end before it has undone the operation. */
    (void)signal(SIGPIPE, SIG_IGN);
    /* it may quote connection strings; what matters comes back as errors */
    lh_driver_log(NULL, NULL, NULL);
    cli.out.json = opts_wants_json(argc, argv);
    int exit = out_finish(&cli.out, run(&cli, argc, argv));
    free(cli.out.same);
    args_fini(&cli.args);
#ifdef __SANITIZE_ADDRESS__
    __lsan_do_leak_check(); /* else done at a return */
#endif
    _exit(exit); /* the driver's threads may still be there (connect_close): nothing may be torn
                    down under them */
}

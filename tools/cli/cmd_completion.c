/* SPDX-License-Identifier: Apache-2.0
 * leasehold completion: the scripts by which a shell completes our command lines, made from the
 * command table. Lease keys are not completed, because that would send a request to the server at
 * each key press. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

/* Calls `each` for every option of every command; an option of several commands comes several
 * times. */
static void each_option(void (*each)(const struct opt_spec *spec))
{
    const struct opt_spec *tables[] = {opts_global, opts_lease};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const struct opt_spec *spec = tables[i]; spec->name; spec++)
            each(spec);
    for (const struct command *const *command = commands; *command; command++)
        for (const struct opt_spec *spec = (*command)->options; spec && spec->name; spec++)
            each(spec);
}

static bool is_file(const struct opt_spec *spec)
{
    return spec->value && strcmp(spec->value, "FILE") == 0;
}

static void put_names(const struct opt_spec *spec)
{
    for (; spec && spec->name; spec++)
        printf(" --%s", spec->name);
}

static void put_commands(void)
{
    for (const struct command *const *command = commands; *command; command++)
        printf(" %s", (*command)->name);
}

/* Writes text between single quotes. Characters that would end the quotes, or that zsh's
 * specifications interpret, are escaped. */
static void put_quoted(const char *text, const char *escaped, const char *quote)
{
    for (const char *c = text; *c; c++) {
        if (strchr(escaped, *c))
            putchar('\\');
        if (*c == '\'')
            fputs(quote, stdout);
        else
            putchar(*c);
    }
}

/* ---- bash ---- */

static void bash_case_of_valued(const struct opt_spec *spec)
{
    if (spec->kind != OPT_FLAG && !is_file(spec)) {
        printf(" | --%s", spec->name);
        if (spec->letter)
            printf(" | -%c", spec->letter);
    }
}

static void bash_case_of_file(const struct opt_spec *spec)
{
    if (is_file(spec))
        printf(" | --%s", spec->name);
}

static void bash(void)
{
    fputs("# bash completion for leasehold\n_leasehold()\n{\n"
          "    local word command='' words i current=${COMP_WORDS[COMP_CWORD]}\n    COMPREPLY=()\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n        word=${COMP_WORDS[i]}\n        case "
          "$word in\n        --)\n"
          "            if [[ ' ",
          stdout);
    for (const struct command *const *command = commands; *command; command++)
        if ((*command)->takes_command)
            printf("%s ", (*command)->name);
    fputs("' == *\" $command \"* ]] && declare -F _command_offset >/dev/null; then _command_offset "
          "$((i + 1)); fi\n"
          "            return ;;\n        --:",
          stdout);
    each_option(bash_case_of_valued);
    each_option(bash_case_of_file);
    fputs(") ((i++)) ;;\n        -*) ;;\n        *) if [ -z \"$command\" ]; then command=$word; fi "
          ";;\n        esac\n    done\n"
          "    case ${COMP_WORDS[COMP_CWORD - 1]} in\n    --:",
          stdout);
    each_option(bash_case_of_file);
    fputs(") compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "
          "\"$current\"); return ;;\n    --:",
          stdout);
    each_option(bash_case_of_valued);
    fputs(") return ;;\n    esac\n    case $command in\n    '') words='help", stdout);
    put_commands();
    fputs("' ;;\n    help) words='", stdout);
    put_commands();
    fputs("' ;;\n    completion) words='bash zsh fish' ;;\n    *) words='' ;;\n    esac\n    case "
          "$command in\n",
          stdout);
    for (const struct command *const *command = commands; *command; command++) {
        printf("    %s) words+='", (*command)->name);
        put_names((*command)->also);
        put_names((*command)->options);
        fputs("' ;;\n", stdout);
    }
    fputs("    esac\n    if [[ -z $command || $current == -* ]]; then words+='", stdout);
    put_names(opts_global);
    fputs("'; fi\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n}\ncomplete "
          "-F _leasehold leasehold\n",
          stdout);
}

/* ---- zsh ---- */

static void zsh_options(const struct opt_spec *spec)
{
    for (; spec && spec->name; spec++) {
        char letter[] = {'-', spec->letter, '\0'};
        for (int i = spec->letter ? 0 : 1; i < 2; i++) {
            printf("    '%s%s[", i ? "--" : letter, i ? spec->name : "");
            put_quoted(spec->help, "[]:\\", "'\\''");
            printf("]%s%s%s%s'\n", spec->kind == OPT_FLAG ? "" : ":",
                   spec->kind == OPT_FLAG ? "" : spec->value, spec->kind == OPT_FLAG ? "" : ":",
                   is_file(spec) ? "_files" : "");
        }
    }
}

static void zsh(void)
{
    fputs("#compdef leasehold\n_leasehold() {\n  local curcontext=\"$curcontext\" state line\n"
          "  local -a commands globals options\n  commands=(\n    'help:explain a command'\n",
          stdout);
    for (const struct command *const *command = commands; *command; command++) {
        printf("    '%s:", (*command)->name);
        put_quoted((*command)->summary, ":\\", "'\\''");
        fputs("'\n", stdout);
    }
    fputs("  )\n  globals=(\n", stdout);
    zsh_options(opts_global);
    fputs(
        "  )\n  _arguments -C $globals '1: :->command' '*:: :->rest' && return\n  case $state in\n"
        "  command) _describe -t commands command commands; return ;;\n  esac\n  options=()\n  "
        "case $words[1] in\n"
        "  help) _describe -t commands command commands; return ;;\n"
        "  completion) options=('1:shell:(bash zsh fish)') ;;\n",
        stdout);
    for (const struct command *const *command = commands; *command; command++) {
        if (!(*command)->options)
            continue;
        printf("  %s) options=(\n", (*command)->name);
        zsh_options((*command)->also);
        zsh_options((*command)->options);
        fputs((*command)->takes_command ? "    '1:KEY:' '*:::command:_normal') ;;\n"
                                        : "    '*:KEY:') ;;\n",
              stdout);
    }
    fputs("  esac\n  _arguments $globals $options\n}\n"
          "if [ \"$funcstack[1]\" = _leasehold ]; then _leasehold \"$@\"; else compdef _leasehold "
          "leasehold; fi\n",
          stdout);
}

/* ---- fish ---- */

static void fish_options(const char *condition, const char *of, const struct opt_spec *spec)
{
    for (; spec && spec->name; spec++) {
        printf("complete -c leasehold%s%s%s -l %s", condition, of, *of ? "'" : "", spec->name);
        if (spec->letter)
            printf(" -%c %c", strlen(spec->name) == 1 ? 'o' : 's', spec->letter);
        fputs(spec->kind == OPT_FLAG ? "" : is_file(spec) ? " -r -F" : " -x", stdout);
        fputs(" -d '", stdout);
        put_quoted(spec->help, "\\'", "'");
        fputs("'\n", stdout);
    }
}

static void fish(void)
{
    fputs("# fish completion for leasehold\ncomplete -c leasehold -f\nset -l commands help",
          stdout);
    put_commands();
    fputs("\ncomplete -c leasehold -n \"not __fish_seen_subcommand_from $commands\" -a help -d "
          "'explain a command'\n",
          stdout);
    for (const struct command *const *command = commands; *command; command++) {
        printf("complete -c leasehold -n \"not __fish_seen_subcommand_from $commands\" -a %s -d '",
               (*command)->name);
        put_quoted((*command)->summary, "\\'", "'");
        fputs("'\n", stdout);
    }
    fputs("complete -c leasehold -n '__fish_seen_subcommand_from help' -a \"$commands\"\n"
          "complete -c leasehold -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n",
          stdout);
    fish_options("", "", opts_global);
    for (const struct command *const *command = commands; *command; command++) {
        fish_options(" -n '__fish_seen_subcommand_from ", (*command)->name, (*command)->also);
        fish_options(" -n '__fish_seen_subcommand_from ", (*command)->name, (*command)->options);
        if ((*command)->takes_command)
            printf("complete -c leasehold -n '__fish_seen_subcommand_from %s; and contains -- -- "
                   "(commandline -opc)' -a '(__fish_complete_subcommand --fcs-skip=(contains -i -- "
                   "-- (commandline -opc)))'\n",
                   (*command)->name);
    }
}

static int run(const struct cli *cli)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; cli->args.n_words == 1 && i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(cli->args.words[0], shells[i].name) == 0) {
            shells[i].print();
            return EXIT_DONE;
        }
    }
    lh_error error = LH_ERROR_INIT;
    (void)out_fail(&error, LH_INVALID, "which shell? leasehold completion bash, zsh or fish");
    return out_error(&cli->out, &error);
}

const struct command cmd_completion = {
    .name = "completion",
    .run = run,
    .words = "bash|zsh|fish",
    .any_words = true,
    .summary = "print the completion script for a shell",
    .detail = "Packages install it where the shell finds it. By hand, for bash, add to ~/.bashrc:\n"
              "source <(leasehold completion bash). For zsh write it to a file named _leasehold\n"
              "in a folder of $fpath.",
    .example = "  $ leasehold completion fish > ~/.config/fish/completions/leasehold.fish\n",
};

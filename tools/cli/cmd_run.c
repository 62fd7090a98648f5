/* SPDX-License-Identifier: Apache-2.0
 * leasehold run: holds a lease while a command runs. This file ties the parts together: acquire
 * (wait.c), start (run_child.c), watch (run_loop.c), release. The library renews meanwhile. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/record.h"
#include "cli/run.h"
#include "cli/wait.h"
#include "common/cli.h"
#include "common/connect.h"

enum { TIES = 5, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

/* Sets the variables that describe the lease to the command. */
struct ties {
    char *text[TIES];
    char **environment;
};

/* Whether the variable is one of those with a connection string, and whether that has a secret: any
 * text before the last @, and options with a name like a secret. */
static bool is_secret(const char *variable)
{
    static const char *const names[] = {"LEASEHOLD_URI=", "MONGODB_URI="};
    static const char *const options[] = {"password=", "aws_session_token"};
    const char *uri = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            uri = variable + strlen(names[i]);
    if (!uri)
        return false;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (strcasestr(uri, options[i]))
            return true;
    const char *scheme = strstr(uri, "://"), *user = scheme ? scheme + 3 : uri,
               *at = strrchr(user, '@');
    return at && memchr(user, ':', (size_t)(at - user));
}

static void print_key(FILE *to, lh_lease *lease)
{
    fputs(lh_lease_key(lease), to);
}

static void print_id(FILE *to, lh_lease *lease)
{
    fputs(lh_lease_id(lease), to);
}

static void print_token(FILE *to, lh_lease *lease)
{
    fprintf(to, "%" PRId64, lh_lease_token(lease));
}

static void print_owner(FILE *to, lh_lease *lease)
{
    fputs(lh_lease_owner(lease), to);
}

static void print_note(FILE *to, lh_lease *lease)
{
    const lh_note *note = NULL;
    if (lh_lease_note(lease, &note, NULL) == LH_OK &&
        note) /* as if there were none: anything may have changed */
        fputs(note->text, to);
}

/* "LEASEHOLD_KEY=" and what `print` prints of each lease, a line each. NULL: out of memory. */
static char *tie(const char *name, const struct wait *wait,
                 void (*print)(FILE *to, lh_lease *lease))
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return NULL;
    fputs(name, to);
    size_t n = print == print_owner ? 1 : wait->n_keys; /* all have the same */
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            fputc('\n', to);
        print(to, wait->leases[i]);
    }
    if (fclose(to) == 0)
        return text;
    free(text);
    return NULL;
}

static const struct {
    const char *name;
    void (*print)(FILE *to, lh_lease *lease);
} ties_table[TIES] = {
    {"LEASEHOLD_KEY=", print_key},     {"LEASEHOLD_LEASE=", print_id},
    {"LEASEHOLD_TOKEN=", print_token}, {"LEASEHOLD_OWNER=", print_owner},
    {"LEASEHOLD_NOTE=", print_note},
};

static bool is_ours(const char *variable)
{
    for (size_t t = 0; t < TIES; t++)
        if (strncmp(variable, ties_table[t].name, strlen(ties_table[t].name)) == 0)
            return true;
    return false;
}

static bool ties_init(struct ties *ties, const struct wait *wait, bool pass_uri)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    ties->environment = calloc(n + TIES + 1, sizeof *ties->environment);
    if (!ties->environment)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_ours(environ[i]) && (pass_uri || !is_secret(environ[i])))
            ties->environment[kept++] = environ[i];
    for (size_t t = 0; t < TIES; t++) {
        char *text = ties->text[t] = tie(ties_table[t].name, wait, ties_table[t].print);
        if (!text)
            return false;
        const char *value = text + strlen(ties_table[t].name);
        if (value[strspn(value, "\n")]) /* notes may be there or not */
            ties->environment[kept++] = text;
    }
    return true;
}

static void ties_fini(struct ties *ties)
{
    for (size_t t = 0; t < TIES; t++)
        free(ties->text[t]);
    free(ties->environment);
}

/* Releases the lease after the command has ended. Returns the exit code: the command's, unless
 * another holder had the key by then. In that case the command was not exclusive, and the exit code
 * must show that. */
static int give_back(const struct cli *cli, lh_lease *lease, int status)
{
    const struct out *out = &cli->out;
    lh_error error = LH_ERROR_INIT;
    lh_release_options options = LH_RELEASE_OPTIONS_INIT;
    options.note = status == 0 ? cli_text(cli, OPT_NOTE) : NULL;
    options.keep_ms = cli_number(cli, OPT_KEEP, 0);
    bool was_valid = lh_lease_valid(lease);
    if (was_valid && options.keep_ms > lh_lease_remaining_ms(lease)) /* no longer than it lasts */
        (void)lh_lease_renew(lease, options.keep_ms, NULL, NULL);
    int code = lh_lease_release_with(lease, &options, &error);
    if (code == LH_LOST || !was_valid) {
        if (code != LH_LOST)
            out_fail(&error, LH_REASON_ENDED, "the lease had ended before the command did");
        return out_error(out, &error);
    }
    if (code != LH_OK)
        out_note(out, "not released, the lease ends with its ttl: %s", error.message);
    return status;
}

/* The exit code of the first that was lost, if one was. */
static int give_all_back(const struct cli *cli, const struct wait *wait, int status)
{
    int exit = status;
    for (size_t i = 0; i < wait->n_keys; i++) {
        int one = give_back(cli, wait->leases[i], status);
        exit = exit == status ? one : exit;
    }
    return exit;
}

static int cannot_start(const struct out *out, const char *command, int why)
{
    char message[256];
    (void)snprintf(message, sizeof message, "%.150s: %s", command,
                   why == ENOENT ? "command not found" : strerror(why));
    return out_failure(out, "command", why == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE,
                       message);
}

/* Restores the default effect of signals: from now on a signal ends this process, and the lease
 * then ends with its ttl. Signals that came while the child was ending are dropped. */
static void stop_listening(struct run *run, const sigset_t *mask)
{
    struct signalfd_siginfo info;
    while (read(run->signal_fd, &info, sizeof info) == sizeof info)
        continue;
    (void)close(run->signal_fd);
    child_leave_terminal(&run->child);
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
}

/* To be freed; may be NULL. */
static char *how_it_ended(const lh_record *record)
{
    char *text = NULL;
    int n = strcmp(record->released_how, "break") == 0
                ? asprintf(&text, "it was broken by %s: %s", record->released_by,
                           record->released_reason)
                : asprintf(&text, "the key is free by now");
    return n < 0 ? NULL : text;
}

/* The lease that ended, or else the one that ends first. */
static lh_lease *first_to_end(const struct wait *wait)
{
    lh_lease *first = wait->leases[0];
    for (size_t i = 1; i < wait->n_keys; i++)
        if (lh_lease_remaining_ms(wait->leases[i]) < lh_lease_remaining_ms(first))
            first = wait->leases[i];
    return first;
}

/* The command was ended. Reads from the server how the lease ended, if a server responds. */
static int tell_lost(const struct cli *cli, bool lost, const struct wait *wait)
{
    lh_error error = LH_ERROR_INIT;
    lh_record *record = NULL;
    char *sentence = NULL;
    const char *key = lh_lease_key(first_to_end(wait));
    for (size_t i = 0; i < wait->n_keys; i++)
        (void)lh_lease_release(wait->leases[i], NULL); /* we may still hold it */
    if (lost && lh_status(wait->store, key, &record, NULL) == LH_OK)
        sentence = record->state == LH_FREE ? how_it_ended(record) : record_sentence(key, record);
    out_fail(&error, LH_REASON_ENDED, "the lease was lost and the command was ended: %.400s",
             sentence ? sentence : "it was not renewed in time");
    free(sentence);
    lh_record_free(record);
    return out_error(&cli->out, &error);
}

/* With the lease held: starts and watches the command, then releases the lease. */
static int run_holding(const struct cli *cli, struct guard *guard, const struct wait *wait,
                       const sigset_t *signals, const sigset_t *mask)
{
    struct run run = {.out = &cli->out, .leases = wait->leases, .n_leases = wait->n_keys};
    struct ties ties = {0};
    int64_t ttl_ms = lh_lease_ttl_ms(wait->leases[0]);
    run.grace_ms = cli_number(cli, OPT_GRACE, 5000);
    if (run.grace_ms > ttl_ms / 3)
        run.grace_ms = ttl_ms / 3;
    run.signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
    bool able = ties_init(&ties, wait, cli_flag(cli, OPT_PASS_URI)) && run.signal_fd >= 0;
    for (size_t i = 0; i < wait->n_keys; i++)
        able = able && lh_lease_lost_fd(wait->leases[i]) >= 0;
    if (!able) {
        lh_error error = LH_ERROR_INIT;
        for (size_t i = 0; i < wait->n_keys; i++)
            (void)lh_lease_release(wait->leases[i], &error);
        ties_fini(&ties);
        out_fail(&error, LH_MEMORY, "the system has no memory or file descriptor left");
        return out_error(&cli->out, &error);
    }
    bool held = true;
    record_note_rollout(&cli->out, wait->leases[0]);
    int why = child_start(&run.child, cli->args.rest, ties.environment, mask);
    if (why == 0) {
        guard_watch(guard, run.child.pid);
        held = run_watch(&run);
        guard_stop(guard);
    }
    stop_listening(&run, mask);
    ties_fini(&ties);

    int exit = why ? cannot_start(&cli->out, cli->args.rest[0], why) : run.child.status;
    if (held)
        return give_all_back(cli, wait, exit);
    return tell_lost(cli, run.lost, wait);
}

/* Returns the exit code; *ret_code is what the acquire returned. */
static int acquire_and_run(const struct cli *cli, struct guard *guard, struct wait *wait,
                           const sigset_t *signals, const sigset_t *mask, int *ret_code)
{
    *ret_code = wait_acquire(wait);
    switch (*ret_code) {
    case LH_OK:
        return run_holding(cli, guard, wait, signals, mask);
    case LH_BUSY:
        record_print_busy(&cli->out,
                          wait->n_keys > 1 && wait->busy ? wait->busy->key : cli_key(cli),
                          wait->busy, &wait->error);
        return (int)cli_number(cli, OPT_BUSY_EXIT, EXIT_BUSY);
    case LH_CANCELLED:
        return EXIT_SIGNAL + wait->signal;
    default:
        return out_error(&cli->out, &wait->error);
    }
}

/* Blocks what the loop reads; `mask` is what the command gets back. */
static void block_signals(sigset_t *ending, sigset_t *all, sigset_t *mask)
{
    (void)sigemptyset(ending);
    for (size_t i = 0; i < RUN_FORWARDED; i++)
        (void)sigaddset(ending, run_forwarded[i]);
    *all = *ending;
    (void)sigaddset(all, SIGCHLD);
    sigset_t blocked = *all;
    (void)sigaddset(&blocked, SIGTTOU); /* so that the terminal can be taken back */
    (void)sigprocmask(SIG_BLOCK, &blocked, mask);
}

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    sigset_t ending, signals, mask;
    lh_lease *leases[RUN_KEYS] = {NULL};
    struct wait wait = {.out = &cli->out,
                        .keys = (const char *const *)cli->args.words,
                        .n_keys = (size_t)cli->args.n_words,
                        .leases = leases,
                        .options = LH_ACQUIRE_OPTIONS_INIT,
                        .signals = &ending,
                        .error = LH_ERROR_INIT};
    cli_lease_options(cli, &wait.options);
    wait.options.wait_ms = cli_number(cli, OPT_WAIT, LH_FOREVER);
    wait.options.timeout_ms = connect_timeout_ms(cli);
    /* A renewal that hangs must leave time for a second one. */
    int64_t timeout_ms = connect_timeout_ms(cli);
    if (timeout_ms > wait.options.ttl_ms / 3)
        timeout_ms = wait.options.ttl_ms / 3;

    const char *note = cli_text(cli, OPT_NOTE);
    if (note && *note &&
        lh_key_check(note, strlen(note), NULL) != LH_OK) { /* a note follows the rules of a key */
        out_fail(&wait.error, LH_INVALID,
                 "--note must be up to 1,024 bytes of UTF-8 without control characters");
        return out_error(&cli->out, &wait.error);
    }
    if (wait.n_keys > RUN_KEYS) {
        out_fail(&wait.error, LH_INVALID, "too many keys: at most %d", RUN_KEYS);
        return out_error(&cli->out, &wait.error);
    }
    block_signals(&ending, &signals, &mask);
    struct guard guard = {.pid = -1, .fd = -1};
    int exit, code = LH_OK;
    if (!guard_start(&guard)) { /* before the store, which starts threads */
        out_fail(&wait.error, LH_MEMORY, "the system has no process left");
        exit = out_error(&cli->out, &wait.error);
    } else if (connect_store(cli, timeout_ms, NULL, &store, &wait.error) != LH_OK) {
        exit = out_error(&cli->out, &wait.error);
    } else {
        wait.store = store;
        exit = acquire_and_run(cli, &guard, &wait, &signals, &mask, &code);
    }
    if (guard.fd >= 0)
        guard_stop(&guard);
    lh_record_free(wait.busy);
    for (size_t i = 0; i < wait.n_keys; i++)
        lh_lease_free(leases[i]);
    connect_close(store, code);
    return exit;
}

static const struct opt_spec options_table[] = {
    {OPT_WAIT, OPT_PATIENCE, "wait", 0, "DURATION", NULL, 0, OPT_WAIT_MAX,
     "how long to wait for the key; 0 asks once (default: forever)"},
    {OPT_GRACE, OPT_DURATION, "grace", 0, "DURATION", NULL, 0, LH_TTL_MAX_MS,
     "the time between TERM and KILL after a loss (default: 5s, at most a third of the ttl)"},
    {OPT_NOTE, OPT_TEXT, "note", 0, "TEXT", NULL, 0, 0,
     "a note for the next holder, stored if CMD ends with 0; up to 1,024 bytes"},
    {OPT_KEEP, OPT_DURATION, "keep", 0, "DURATION", NULL, LH_TTL_MIN_MS, LH_TTL_MAX_MS,
     "how long the key stays taken after CMD has ended, whatever its exit code"},
    {OPT_PASS_URI, OPT_FLAG, "pass-uri", 0, NULL, NULL, 0, 0,
     "CMD inherits LEASEHOLD_URI and MONGODB_URI even if they contain a password"},
    {OPT_BUSY_EXIT, OPT_NUMBER, "busy-exit", 'E', "N", NULL, 0, 255,
     "the exit code for busy (default: 75)"},
    {0},
};

const struct command cmd_run = {
    .name = "run",
    .run = run,
    .holds = true,
    .words = "KEY…",
    .any_words = true,
    .takes_command = true,
    .options = options_table,
    .also = opts_lease,
    .summary = "hold a lease while a command runs",
    .detail =
        "Waits for the lease in the key's queue, runs CMD, renews the lease meanwhile, and\n"
        "releases it at the end. The exit code is that of CMD (128 + N if signal N ended\n"
        "it; 126 and 127 as in a shell). TERM, INT, HUP, QUIT, USR1 and USR2 are passed on.\n"
        "If the lease is lost or cannot be renewed, CMD and its process group get TERM, and\n"
        "KILL before the lease can end; the exit code is then 76. CMD does not survive\n"
        "leasehold. Processes that CMD leaves in the background are not covered by the\n"
        "lease.\n"
        "With several KEYs all leases are held, or none: the first that is lost ends CMD. The\n"
        "command waits for a busy key while it holds keys that are less in byte order, so\n"
        "commands with the same keys cannot block each other. --path with several KEYs needs\n"
        "--wait 0. The variables below then have a line for each KEY (LEASEHOLD_OWNER: one).\n"
        "The environment of CMD has LEASEHOLD_KEY, LEASEHOLD_LEASE, LEASEHOLD_TOKEN and\n"
        "LEASEHOLD_OWNER, and LEASEHOLD_NOTE if the previous holder left a note. It has\n"
        "LEASEHOLD_URI and MONGODB_URI only if they contain no password, or with\n"
        "--pass-uri. CMD may read the file of LEASEHOLD_URI_FILE if you may.",
    .example = "  $ leasehold run project:42 --wait 10s --purpose rebuild -- make all\n"
               "  $ leasehold run nightly --wait 0 -E 0 -- ./report.sh     # somebody does it "
               "already: fine\n"
               "  $ leasehold run hourly --wait 0 -E 0 --keep 10m -- ./bill.sh   # once, on all "
               "machines\n",
};

/* SPDX-License-Identifier: Apache-2.0
 * leasehold torture, from its beginning to its end: tries to break the promises, writes down what
 * happened, and checks it. */
#include "torture/run.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/confirm.h"
#include "common/connect.h"
#include "common/json.h"
#include "common/random.h"
#include "torture/check.h"
#include "torture/crowd.h"
#include "torture/follow.h"
#include "torture/worker.h"
#include "torture/writes.h"

#define ALWAYS   (FAULT_PAUSE | FAULT_KILL | FAULT_OLD)
#define GRACE_MS 500

struct run {
    const struct cli *cli;
    struct torture torture;
    struct crowd_report crowd;
    struct deployment *deployment;
    struct history history;
    unsigned faults;
    int64_t elections;
    bool oplog, keep_history;
    char uri[CONNECT_URI_SIZE], db[64], app[64], path[PATH_MAX], mail[300];
};

static volatile int stop;

static void note_signal(int signal)
{
    (void)signal;
    stop = 1;
}

/* ---- Options --------------------------------------------------------------------------------- */

/* "pause,kill", "all", "none". */
static int read_faults(const char *text, unsigned *ret_faults, lh_error *error)
{
    unsigned faults = 0;
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ",");
        unsigned found = 0;
        for (int i = 0; i < CROWD_FAULTS; i++)
            if (strlen(crowd_fault_words[i]) == len && strncmp(crowd_fault_words[i], at, len) == 0)
                found = 1U << i;
        if (len == 3 && strncmp(at, "all", 3) == 0)
            found = (1U << CROWD_FAULTS) - 1;
        else if (!found && !(len == 4 && strncmp(at, "none", 4) == 0))
            return out_fail(error, LH_INVALID,
                            "--faults: \"%.*s\" is none of pause, kill, old, stepdown, lag, "
                            "rollback, errors, killops, all, none",
                            len > 40 ? 40 : (int)len, at);
        faults |= found;
        at += len + (at[len] == ',');
    }
    *ret_faults = faults;
    return LH_OK;
}

static int64_t random_seed(void)
{
    lh_error none = LH_ERROR_INIT;
    uint64_t number;
    return random_number(&number, &none) == LH_OK ? (int64_t)(number & UINT32_MAX) : 1;
}

static int read_options(struct run *run, lh_error *error)
{
    const struct cli *cli = run->cli;
    struct torture *torture = &run->torture;
    torture->seed = (uint64_t)cli_number(cli, OPT_SEED, random_seed());
    torture->processes = (int)cli_number(cli, OPT_PROCESSES, 8);
    torture->keys = (int)cli_number(cli, OPT_KEYS, 3);
    run->faults = ALWAYS;
    if (cli_text(cli, OPT_FAULTS))
        return read_faults(cli_text(cli, OPT_FAULTS), &run->faults, error);
    return LH_OK;
}

/* ---- Checking -------------------------------------------------------------------------------- */

static void print_summary(const struct cli *cli, const struct run *run, const struct check *check)
{
    if (cli->out.json) {
        bson_t json, part;
        json_init(&json, check->n_violations ? "violated" : "ok");
        json_number(&json, "seed", check->seed);
        json_number(&json, "operations", (int64_t)check->calls);
        json_number(&json, "grants", (int64_t)check->grants);
        json_number(&json, "beliefs", (int64_t)check->beliefs);
        json_number(&json, "commits", (int64_t)check->commits);
        bson_append_bool(&json, "oplog", -1, check->oplog);
        if (run) {
            BSON_APPEND_DOCUMENT_BEGIN(&json, "faults", &part);
            for (int i = 0; i < CROWD_FAULTS; i++)
                if (run->torture.faults & (1U << i))
                    json_number(&part, crowd_fault_words[i], run->crowd.faults[i]);
            bson_append_document_end(&json, &part);
            json_number(&json, "elections", run->elections);
        }
        size_t violations = 0;
        for (int i = 1; i <= CHECK_INVARIANTS; i++)
            violations += check->of[i];
        json_number(&json, "violations", (int64_t)violations);
        if (check->n_violations) {
            const struct event *at = &check->events[check->violations[0].at];
            size_t calls = 0;
            for (size_t i = 0; i < check->violations[0].at; i++)
                calls += check->events[i].kind == EV_CALL;
            json_number(&json, "invariant", check->violations[0].invariant);
            json_number(&json, "after_ms", (at->t - check->start) / 1000000);
            json_number(&json, "after_operations", (int64_t)calls);
            json_text(&json, "message", check->violations[0].text);
        }
        json_print(&json);
        return;
    }
    if (cli->out.quiet)
        return;
    out_word(&cli->out, check->n_violations ? OUT_BAD : OUT_GOOD,
             check->n_violations ? "violated" : "ok");
    printf("  seed %" PRId64 ": %zu operations, %zu grants, %zu samples of beliefs, ", check->seed,
           check->calls, check->grants, check->beliefs);
    if (check->oplog)
        printf("%zu committed changes\n", check->commits);
    else
        puts("without the oplog");
}

static void print_table(const struct check *check)
{
    static const char *const ops[] = {"acquire", "renew",   "release", "transfer",
                                      "break",   "cleanup", "write"};
    static const char *const outcomes[] = {"ok",      "busy",        "lost", "cancelled",
                                           "unknown", "unreachable", ""};
    printf("\n  %-10s", "");
    for (size_t o = 0; o < sizeof outcomes / sizeof *outcomes; o++)
        printf("%12s", *outcomes[o] ? outcomes[o] : "other");
    for (size_t op = 0; op < sizeof ops / sizeof *ops; op++) {
        size_t n[7] = {0};
        for (size_t i = 0; i < check->n; i++) {
            const struct event *event = &check->events[i];
            size_t o = 0;
            if (event->kind != EV_END || (size_t)event->op != op)
                continue;
            while (*outcomes[o] && strcmp(event->outcome, outcomes[o]) != 0)
                o++;
            n[o]++;
        }
        printf("\n  %-10s", ops[op]);
        for (size_t o = 0; o < 7; o++)
            printf("%12zu", n[o]);
    }
    puts("");
}

static void print_violations(const struct cli *cli, const struct check *check)
{
    FILE *to = cli->out.json ? stderr : stdout;
    if (check->n_violations == 0 || cli->out.quiet)
        return;
    fputs("\n", to);
    check_tell(check, to);
    for (int i = 1; i <= CHECK_INVARIANTS; i++)
        if (check->of[i])
            fprintf(to, "%zu %s of invariant %d\n", check->of[i],
                    check->of[i] == 1 ? "violation" : "violations", i);
}

static int check_file(const struct cli *cli, const struct run *run, const char *path)
{
    lh_error error = LH_ERROR_INIT;
    char message[200];
    struct check check;
    FILE *file = fopen(path, "re");
    if (!file) {
        (void)out_fail(&error, LH_CONFIG, "the history %s cannot be read: %s", path,
                       strerror(errno));
        return out_error(&cli->out, &error);
    }
    bool good = check_read(&check, file, message);
    (void)fclose(file);
    if (!good) {
        (void)out_fail(&error, LH_DATA, "%s: %s", path, message);
        check_fini(&check);
        return out_error(&cli->out, &error);
    }
    bool clean = check_all(&check);
    if (check.hole)
        out_note(&cli->out, "the oplog was cut off before it was read: the committed operations "
                            "are NOT checked (the oplog is too small)");
    print_summary(cli, run, &check);
    if (run && !cli->out.json && !cli->out.quiet) {
        print_table(&check);
        fputs("  faults    ", stdout);
        for (int i = 0; i < CROWD_FAULTS; i++)
            if (run->torture.faults & (1U << i))
                printf(" %s %" PRId64, crowd_fault_words[i], run->crowd.faults[i]);
        printf(", elections %" PRId64 "\n", run->elections);
    }
    print_violations(cli, &check);
    check_fini(&check);
    return clean ? EXIT_DONE : EXIT_BUG;
}

/* ---- The run --------------------------------------------------------------------------------- */

static int try_store(struct run *run, int at_open, lh_error *error)
{
    lh_store *store = NULL;
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = run->torture.uri;
    options.allow_insecure_tls = run->torture.insecure_tls = cli_flag(run->cli, OPT_INSECURE_TLS);
    options.db = run->db;
    options.at_open = at_open;
    lh_migrate_options migrate = LH_MIGRATE_OPTIONS_INIT;
    migrate.no_trial = true; /* what comes tries more */
    options.migrate = &migrate;
    int code = lh_store_open(&options, &store, error);
    lh_store_close(store);
    return code;
}

/* A database of its own, with the index in it, and a file for the history. */
static int prepare(struct run *run, lh_error *error)
{
    struct torture *torture = &run->torture;
    const char *folder = getenv("TMPDIR"), *path = cli_text(run->cli, OPT_HISTORY);
    uint64_t id;
    if (random_number(&id, error) != LH_OK)
        return error->code;
    (void)snprintf(run->db, sizeof run->db, "leasehold_torture_%012" PRIx64, id & 0xffffffffffff);
    (void)snprintf(run->app, sizeof run->app, "leasehold-torture-%012" PRIx64, id & 0xffffffffffff);
    (void)snprintf(run->mail, sizeof run->mail, "%s/leasehold-torture-XXXXXX",
                   folder && *folder ? folder : "/tmp");
    if (!mkdtemp(run->mail))
        return out_fail(error, LH_CONFIG, "cannot create a folder %s: %s", run->mail,
                        strerror(errno));
    run->keep_history = path != NULL;
    if (path && !realpath(path, run->path) && errno == ENOENT)
        (void)snprintf(run->path, sizeof run->path, "%s", path);
    else if (!path)
        (void)snprintf(run->path, sizeof run->path, "%s/history", run->mail);
    run->history.p = -1;
    if (!history_open(&run->history, run->path, true))
        return out_fail(error, LH_CONFIG, "the history cannot be written to %s: %s", run->path,
                        strerror(errno));
    torture->db = run->db;
    torture->app = run->app;
    torture->history = run->path;
    torture->mail = run->mail;
    int code =
        try_store(run, LH_AT_OPEN_NOTHING, error); /* says what is wrong with a connection string */
    if (code != LH_OK)
        return code;
    run->deployment = deployment_open(torture->uri, run->db, run->app, error);
    if (!run->deployment)
        return error->code;
    return try_store(run, LH_AT_OPEN_MIGRATE, error);
}

static void choose_faults(struct run *run)
{
    unsigned allowed = deployment_allows(run->deployment), asked = run->faults;
    const char *text = cli_text(run->cli, OPT_FAULTS);
    run->torture.faults = asked & allowed;
    for (int i = 0; i < CROWD_FAULTS; i++)
        if ((asked & ~allowed & (1U << i)) && text && strcmp(text, "all") != 0)
            out_note(&run->cli->out, "%s: this deployment does not allow it", crowd_fault_words[i]);
}

static void begin_history(struct run *run)
{
    bson_t line;
    history_begin(&run->history, &line, "run");
    BSON_APPEND_INT64(&line, "seed", (int64_t)run->torture.seed);
    BSON_APPEND_INT32(&line, "processes", run->torture.processes);
    BSON_APPEND_INT32(&line, "keys", run->torture.keys);
    BSON_APPEND_INT64(&line, "grace_ms", GRACE_MS);
    BSON_APPEND_BOOL(&line, "oplog", run->oplog);
    (void)history_write(&run->history, &line);
}

static void end_history(struct run *run)
{
    bson_t line;
    history_begin(&run->history, &line, "done");
    (void)history_write(&run->history, &line);
}

/* Before and after the run. */
static int with_writes(struct run *run, bool tell, lh_error *error)
{
    struct writes *writes = writes_open(&run->torture, &run->history);
    bool good = writes &&
                (tell ? writes_tell(writes, &run->history, error) : writes_prepare(writes, error));
    writes_close(writes);
    return good ? LH_OK : writes ? error->code : out_fail(error, LH_MEMORY, "out of memory");
}

static int torment(struct run *run, lh_error *error)
{
    choose_faults(run);
    run->torture.is_set = deployment_is_set(run->deployment);
    int code = with_writes(run, false, error);
    if (code != LH_OK)
        return code;
    struct follow *follow = run->torture.is_set ? follow_start(&run->torture, &run->history) : NULL;
    run->oplog = follow != NULL;
    if (!follow)
        out_note(&run->cli->out, "no readable oplog: the committed operations are not checked");
    int64_t seconds_ms = cli_number(run->cli, OPT_SECONDS, 10000),
            term = deployment_term(run->deployment);
    begin_history(run);
    run->torture.until = history_now() + seconds_ms * 1000000;
    crowd_run(&run->torture, run->deployment, &run->history, &stop, &run->crowd);
    run->elections = deployment_term(run->deployment) - term;
    if (follow && !follow_finish(follow, error))
        return error->code;
    code = with_writes(run, true, error);
    if (code == LH_OK)
        end_history(run);
    return code;
}

/* With the letters in it that nobody took. */
static void remove_mail(const char *folder)
{
    char path[700];
    DIR *mail = *folder ? opendir(folder) : NULL;
    for (struct dirent *entry; mail && (entry = readdir(mail));) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        (void)unlink(path);
    }
    if (mail)
        (void)closedir(mail);
    (void)rmdir(folder);
}

static void clear_up(struct run *run)
{
    if (run->deployment) {
        deployment_mend(run->deployment);
        if (!cli_flag(run->cli, OPT_KEEP) && !deployment_drop(run->deployment))
            out_note(&run->cli->out, "the database %s could not be dropped", run->db);
        deployment_close(run->deployment);
    }
    history_close(&run->history);
    if (!run->keep_history)
        (void)unlink(run->path);
    remove_mail(run->mail);
}

/* Also for a terminal that is closed: a database, or faults, must not be left on the deployment. */
static void hear_signals(void)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = note_signal};
    for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++)
        (void)sigaction(ending[i], &action, NULL);
}

static int run_all(struct run *run)
{
    lh_error error = LH_ERROR_INIT;
    const struct cli *cli = run->cli;
    hear_signals();
    int code = prepare(run, &error);
    if (code == LH_OK)
        code = torment(run, &error);
    int exit = code == LH_OK ? check_file(cli, run, run->path) : out_error(&cli->out, &error);
    if (*run->crowd.failed && exit == EXIT_DONE)
        exit = out_failure(&cli->out, "bug", EXIT_BUG, run->crowd.failed);
    if (exit == EXIT_BUG && run->keep_history)
        out_note(&cli->out, "the history is %s", run->path);
    clear_up(run);
    return exit;
}

int torture_run(const struct cli *cli)
{
    struct torture torture = {0};
    int p, life;
    lh_error error = LH_ERROR_INIT;
    if (crowd_is_member(&torture, &p, &life))
        return worker_run(&torture, p, life);
    if (cli_text(cli, OPT_CHECK))
        return check_file(cli, NULL, cli_text(cli, OPT_CHECK));
    struct run *all = calloc(1, sizeof *all);
    if (!all)
        return EXIT_BUG;
    all->cli = cli;
    all->history.fd = -1;
    bool ask = !cli_flag(cli, OPT_YES);
    int code = confirm_allowed(cli->command->name, &error);
    if (code == LH_OK)
        code = read_options(all, &error);
    if (code == LH_OK && ask && !confirm_can_ask())
        code = out_fail(&error, LH_INVALID,
                        "torture puts load and faults on a deployment, and uses a database of its "
                        "own: add --yes");
    if (code == LH_OK)
        code = connect_find_uri(cli, all->uri, &all->torture.uri, &error);
    if (code == LH_OK && ask)
        code = confirm_ask(
            "leasehold torture: put load and faults on this deployment, in a database of its own?",
            &error);
    int exit = code == LH_OK ? run_all(all) : out_error(&cli->out, &error);
    free(all);
    return exit;
}

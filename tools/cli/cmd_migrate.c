/* SPDX-License-Identifier: Apache-2.0
 * leasehold migrate: creates the unique index, and moves duplicates to the archive first. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cli.h"
#include "common/confirm.h"
#include "common/connect.h"
#include "common/json.h"
#include "common/objects.h"

#define AUDIT_KEEP_MAX (INT64_C(1000) * 3600 * 24 * 3660)

struct migration {
    const struct cli *cli;
    lh_migrate_options options;
    lh_migrate_report report;
};

static int show_progress(void *arg, const char *step, uint64_t done, uint64_t total)
{
    const struct migration *migration = arg;
    char line[256];
    if (total)
        (void)snprintf(line, sizeof line, "%s: %" PRIu64 " of %" PRIu64, step, done, total);
    else
        (void)snprintf(line, sizeof line, "%s: %" PRIu64, step, done);
    out_progress(&migration->cli->out, line);
    return 0;
}

static void show_verdict(void *arg, const lh_verdict *verdict)
{
    const struct migration *migration = arg;
    const struct out *out = &migration->cli->out;
    out_progress(out, NULL);
    if (out->json) {
        bson_t json;
        json_init(&json, "keep");
        json_text(&json, "key", verdict->key);
        json_text(&json, "survivor", verdict->survivor);
        json_text(&json, "reason", verdict->reason);
        json_number(&json, "losers", (int64_t)verdict->losers);
        json_print(&json);
        return;
    }
    fputs("keep  ", stdout);
    out_text(verdict->key);
    fputs("  ", stdout);
    out_text(verdict->survivor);
    fputs(": ", stdout);
    out_text(verdict->reason);
    printf("; %" PRIu64 " %s\n", verdict->losers, verdict->losers == 1 ? "goes" : "go");
}

/* foreign_keys: {"objectId": 2, …}, of the types that are there. */
static void append_foreign(bson_t *json, const lh_migrate_report *report)
{
    bson_t types;
    BSON_APPEND_DOCUMENT_BEGIN(json, "foreign_keys", &types);
    for (int type = 0; type < LH_KEY_TYPES; type++)
        if (report->foreign[type] > 0)
            json_number(&types, lh_key_type_word(type), (int64_t)report->foreign[type]);
    bson_append_document_end(json, &types);
    json_number(json, "foreign_live", (int64_t)report->foreign_live);
}

static void print_json(const struct migration *migration, int code, const lh_error *error)
{
    const lh_migrate_report *report = &migration->report;
    bson_t json;
    json_init(&json, code != LH_OK ? "failed" : migration->options.dry_run ? "dry_run" : "ok");
    json_text(&json, "index", lh_index_word(report->index));
    json_number(&json, "scanned", (int64_t)report->scanned);
    json_number(&json, "duplicate_keys", (int64_t)report->duplicate_keys);
    json_number(&json, "removed", (int64_t)report->removed);
    json_number(&json, "archived", (int64_t)report->archived);
    json_number(&json, "quarantined", (int64_t)report->quarantined);
    json_number(&json, "malformed", (int64_t)report->malformed);
    json_number(&json, "waited_ms", (int64_t)report->waited_ms);
    json_number(&json, "elapsed_ms", (int64_t)report->elapsed_ms);
    append_foreign(&json, report);
    BSON_APPEND_BOOL(&json, "interrupted", report->interrupted);
    BSON_APPEND_BOOL(&json, "tried", report->tried);
    json_text(&json, "problems", report->problems);
    if (code != LH_OK) {
        json_text(&json, "code", lh_outcome_word(code));
        object_append_reason(&json, error);
        json_number(&json, "exit", out_exit_code(code));
        char *message = out_advice(&migration->cli->out, error->message);
        json_text(&json, "message", message ? message : error->message);
        free(message);
    }
    json_print(&json);
}

static void print_line(const char *label, uint64_t n, const char *one, const char *several)
{
    if (n == 0)
        return;
    out_label(label);
    printf("%" PRIu64 " %s\n", n, n == 1 ? one : several);
}

/* "keys  objectId 2, int 1: no strings; 2 are live" */
static void print_foreign(const lh_migrate_report *report)
{
    const char *before = "";
    for (int type = 0; type < LH_KEY_TYPES; type++) {
        if (report->foreign[type] == 0)
            continue;
        if (!*before)
            out_label("foreign");
        printf("%s%s %" PRIu64, before, lh_key_type_word(type), report->foreign[type]);
        before = ", ";
    }
    if (*before)
        printf(" (documents whose workspace_id is not a string), %" PRIu64 " of them live\n",
               report->foreign_live);
}

static void print_report(const struct migration *migration, int code)
{
    const lh_migrate_report *report = &migration->report;
    const struct out *out = &migration->cli->out;
    bool dry = migration->options.dry_run;
    if (code != LH_OK)
        out_word(out, OUT_BAD, "failed");
    else
        out_word(out, dry ? OUT_WARN : OUT_GOOD, dry ? "dry run" : "ok");
    if (!migration->options.id &&
        (code == LH_OK || report->scanned > 0)) /* else perhaps nothing could be read */
        printf("  the unique index is %s%s", lh_index_word(report->index),
               report->tried ? "; a trial of leases succeeded" : "");
    putchar('\n');
    print_line("scanned", report->scanned, "document", "documents");
    print_line("keys", report->duplicate_keys, "with more than one document",
               "with more than one document");
    print_line("removed", report->removed,
               dry ? "document in a real run" : "older document of these keys",
               dry ? "documents in a real run" : "older documents of these keys");
    print_line("archived", report->archived, "copy of the removed document",
               "copies of the removed documents");
    print_line("moved", report->quarantined,
               dry ? "document to the archive, in a real run" : "document that could not be read",
               dry ? "documents to the archive, in a real run"
                   : "documents that could not be read");
    print_foreign(report);
    char *odd = out_advice(
        out,
        report->malformed == 1
            ? "document could not be read; leasehold list --malformed shows it if it was not moved"
            : "documents could not be read; leasehold list --malformed shows those that were not "
              "moved");
    print_line("odd", report->malformed, odd ? odd : "", odd ? odd : "");
    free(odd);
    if (*report->problems) {
        out_label("fields");
        out_text(report->problems);
        putchar('\n');
    }
    if (report->interrupted) {
        out_label("index");
        puts("left by an interrupted migration: the next run resumes, or restores the index");
    }
    print_line("waited", report->waited_ms, "ms for another migration", "ms for another migration");
    print_line("took", report->elapsed_ms, "ms", "ms");
}

/* On a terminal: makes a dry run, shows its report, and asks if documents would be removed. LH_OK:
 * continue. */
static int look_and_ask(struct migration *migration, lh_store *store, lh_error *error)
{
    struct migration look = *migration;
    look.options.dry_run = true;
    look.options.progress_arg = look.options.verdict_arg = &look;
    int code = lh_migrate(store, &look.options, &look.report, error);
    out_progress(&migration->cli->out, NULL);
    migration->options.verdict = NULL; /* has been told */
    if (code != LH_OK)
        return LH_OK; /* the real run reports it */
    if (look.report.removed == 0 && look.report.quarantined == 0)
        return LH_OK;
    if (!migration->cli->out.json)
        print_report(&look, code);
    char question[160];
    (void)snprintf(question, sizeof question, "leasehold migrate: remove %" PRIu64 " documents%s?",
                   look.report.removed + look.report.quarantined,
                   migration->options.no_archive ? " without keeping a copy"
                                                 : ", keeping copies in the archive");
    return confirm_ask(question, error);
}

/* Documents may be removed with --yes, or after a yes on the terminal; otherwise duplicates are
 * only reported. */
static int settle(struct migration *migration, lh_store *store, lh_error *error)
{
    const struct cli *cli = migration->cli;
    bool yes = cli_flag(cli, OPT_YES);
    if (migration->options.dry_run)
        return LH_OK;
    int code = confirm_allowed(cli->command->name, error);
    if (yes || code == LH_CONFIG)
        return code;
    if (code == LH_OK && confirm_can_ask())
        return look_and_ask(migration, store, error);
    if (migration->options.quarantine)
        return code != LH_OK
                   ? code
                   : out_fail(error, LH_INVALID,
                              "--quarantine moves documents away: add --yes, or --dry-run");
    migration->options.remove = false;
    return LH_OK;
}

static int check(const lh_migrate_options *options, lh_error *error)
{
    if (options->no_archive && options->archive)
        return out_fail(error, LH_INVALID, "either --archive or --no-archive");
    if (options->quarantine && options->accept_foreign_keys)
        return out_fail(error, LH_INVALID, "either --quarantine or --accept-foreign-keys");
    if (!options->quarantine && (options->id || options->even_live || options->even_most))
        return out_fail(error, LH_INVALID, "%s needs --quarantine",
                        options->id          ? "--id"
                        : options->even_live ? "--even-live"
                                             : "--even-most");
    return LH_OK;
}

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    lh_error error = LH_ERROR_INIT;
    struct migration migration = {
        .cli = cli, .options = LH_MIGRATE_OPTIONS_INIT, .report = LH_MIGRATE_REPORT_INIT};
    lh_migrate_options *options = &migration.options;
    options->dry_run = cli_flag(cli, OPT_DRY_RUN);
    options->no_archive = cli_flag(cli, OPT_NO_ARCHIVE);
    options->archive = cli_text(cli, OPT_ARCHIVE);
    options->quarantine = cli_flag(cli, OPT_QUARANTINE);
    options->no_trial = cli_flag(cli, OPT_NO_TRIAL);
    options->even_live = cli_flag(cli, OPT_EVEN_LIVE);
    options->even_most = cli_flag(cli, OPT_EVEN_MOST);
    options->id = cli_text(cli, OPT_ID);
    options->adopt = cli_flag(cli, OPT_ADOPT);
    options->accept_foreign_keys = cli_flag(cli, OPT_ACCEPT_FOREIGN_KEYS);
    options->check_keys = true;
    options->audit_keep_ms = cli_number(cli, OPT_AUDIT_KEEP, options->audit_keep_ms);
    options->progress = show_progress;
    options->verdict = cli->out.verbose ? show_verdict : NULL;
    options->progress_arg = options->verdict_arg = &migration;

    int code = check(options, &error);
    if (code == LH_OK)
        code = connect_store(cli, connect_timeout_ms(cli), connect_owner(), &store, &error);
    if (code == LH_OK)
        code = settle(&migration, store, &error);
    if (code != LH_OK) {
        connect_close(store, code);
        return out_error(&cli->out, &error);
    }
    code = lh_migrate(store, options, &migration.report, &error);
    out_progress(&cli->out, NULL);
    if (cli->out.json)
        print_json(&migration, code, &error);
    else if (!cli->out.quiet)
        print_report(&migration, code);
    connect_close(store, code);
    if (code == LH_OK)
        return EXIT_DONE;
    struct out plain = cli->out;
    plain.json = false; /* the object above already has it */
    return out_error(&plain, &error);
}

static const struct opt_spec options_table[] = {
    {OPT_DRY_RUN, OPT_FLAG, "dry-run", 0, NULL, NULL, 0, 0,
     "only report; with --verbose also why each remaining document stays"},
    {OPT_YES, OPT_FLAG, "yes", 0, NULL, NULL, 0, 0,
     "remove duplicates without asking, as a migration at boot needs"},
    {OPT_ARCHIVE, OPT_NAME, "archive", 0, "NAME", NULL, 0, 0,
     "the collection for removed documents (default: <collection>_archive)"},
    {OPT_NO_ARCHIVE, OPT_FLAG, "no-archive", 0, NULL, NULL, 0, 0, "keep no copies"},
    {OPT_QUARANTINE, OPT_FLAG, "quarantine", 0, NULL, NULL, 0, 0,
     "also move documents that cannot be read, such as those whose workspace_id is not a string"},
    {OPT_ID, OPT_TEXT, "id", 0, "JSON", NULL, 0, 0,
     "with --quarantine: move only the document with this _id, in extended JSON"},
    {OPT_EVEN_LIVE, OPT_FLAG, "even-live", 0, NULL, NULL, 0, 0,
     "with --quarantine: also those that are live: their end is in the future, is missing, or "
     "cannot be read"},
    {OPT_EVEN_MOST, OPT_FLAG, "even-most", 0, NULL, NULL, 0, 0,
     "with --quarantine: also more than half of the collection"},
    {OPT_ACCEPT_FOREIGN_KEYS, OPT_FLAG, "accept-foreign-keys", 0, NULL, NULL, 0, 0,
     "leave documents whose workspace_id is not a string, even live ones"},
    {OPT_ADOPT, OPT_FLAG, "adopt", 0, NULL, NULL, 0, 0,
     "use the collection for leases although no workspace_id in it is a string"},
    {OPT_NO_TRIAL, OPT_FLAG, "no-trial", 0, NULL, NULL, 0, 0,
     "do not try leases after creating the index"},
    {OPT_AUDIT_KEEP, OPT_DURATION, "audit-keep", 0, "DURATION", NULL, 1000, AUDIT_KEEP_MAX,
     "with --audit: how long the server keeps entries of the trail (default: 30d)"},
    {0},
};

const struct command cmd_migrate = {
    .name = "migrate",
    .run = run,
    .options = options_table,
    .summary = "prepare the collection: create the unique index, remove duplicates",
    .detail = "No lease is granted before the unique index exists. Of several documents of one\n"
              "key, the document with the latest end stays; the others are moved to the archive.\n"
              "It is safe at every boot, in any number of processes at once, and while others\n"
              "write. If interrupted, it resumes. If there is nothing to do, it takes two round\n"
              "trips.\n"
              "On a terminal it asks before it removes anything. Elsewhere it needs --yes:\n"
              "without that it reports duplicates and ends with 78.\n"
              "It also ends with 78, and changes nothing, in three cases: documents whose\n"
              "workspace_id is not a string are live or prevent the index; no workspace_id is a\n"
              "string (the collection may belong to another program); --quarantine would move\n"
              "live documents, or more than half of all. A flag allows each. A killed run is\n"
              "resumed, or undone, by the next one.\n"
              "After it has created the index, it tries leases on a key of its own, as doctor\n"
              "--trial does. If they do not work, it ends with their exit code, and the index\n"
              "stays. A user without the right to hold leases tries nothing.",
    .example = "  $ leasehold migrate --yes\n"
               "  ok  the unique index is converted; a trial of leases succeeded\n"
               "    scanned  4127 documents\n"
               "    keys     63 with more than one document\n"
               "    removed  92 older documents of these keys\n"
               "    archived 92 copies of the removed documents\n",
};

/* SPDX-License-Identifier: Apache-2.0
 * leasehold cleanup: removes the documents of unused keys, and dead holders and waiters. */
#include <inttypes.h>
#include <stdio.h>

#include "common/cli.h"
#include "common/confirm.h"
#include "common/connect.h"
#include "common/json.h"

static int show_progress(void *arg, uint64_t looked_at, uint64_t removed)
{
    const struct out *out = arg;
    char line[128];
    (void)snprintf(line, sizeof line, "looked at %" PRIu64 ", removed %" PRIu64, looked_at,
                   removed);
    out_progress(out, line);
    return 0;
}

static void print_report(const struct out *out, bool dry_run, const lh_cleanup_report *report)
{
    if (out->json) {
        bson_t json;
        json_init(&json, dry_run ? "dry_run" : "ok");
        json_number(&json, "removed", (int64_t)report->removed);
        json_number(&json, "holders_dropped", (int64_t)report->holders_dropped);
        json_number(&json, "waiters_dropped", (int64_t)report->waiters_dropped);
        json_print(&json);
    } else if (!out->quiet) {
        out_word(out, dry_run ? OUT_WARN : OUT_GOOD, dry_run ? "dry run" : "ok");
        printf("  %s %" PRIu64 " %s, and dropped %" PRIu64 " dead %s and %" PRIu64 " dead %s\n",
               dry_run ? "would have removed" : "removed", report->removed,
               report->removed == 1 ? "key" : "keys", report->holders_dropped,
               report->holders_dropped == 1 ? "holder" : "holders", report->waiters_dropped,
               report->waiters_dropped == 1 ? "waiter" : "waiters");
    }
}

/* Counts first, then asks. LH_OK: continue. */
static int look_and_ask(const struct cli *cli, lh_store *store, lh_cleanup_options options,
                        lh_error *error)
{
    lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
    options.dry_run = true;
    int code = lh_cleanup(store, &options, &report, error);
    out_progress(&cli->out, NULL);
    if (code != LH_OK || report.removed + report.holders_dropped + report.waiters_dropped == 0)
        return code;
    char question[160];
    (void)snprintf(question, sizeof question,
                   "leasehold cleanup: remove %" PRIu64 " %s, drop %" PRIu64 " %s and %" PRIu64
                   " %s?",
                   report.removed, report.removed == 1 ? "key" : "keys", report.holders_dropped,
                   report.holders_dropped == 1 ? "holder" : "holders", report.waiters_dropped,
                   report.waiters_dropped == 1 ? "waiter" : "waiters");
    return confirm_ask(question, error);
}

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    lh_error error = LH_ERROR_INIT;
    struct out out = cli->out;
    lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
    lh_cleanup_options options = LH_CLEANUP_OPTIONS_INIT;
    options.older_than_ms = cli_number(cli, OPT_OLDER_THAN, options.older_than_ms);
    options.dry_run = cli_flag(cli, OPT_DRY_RUN);
    options.progress = show_progress;
    options.progress_arg = &out;
    bool ask = !options.dry_run && !cli_flag(cli, OPT_YES);

    int code = options.dry_run ? LH_OK : confirm_allowed(cli->command->name, &error);
    if (code == LH_OK && ask && !confirm_can_ask())
        code = out_fail(&error, LH_INVALID,
                        "cleanup removes documents: add --yes, or look first with --dry-run");
    if (code == LH_OK)
        code = connect_store(cli, connect_timeout_ms(cli), connect_owner(), &store, &error);
    if (code == LH_OK && ask)
        code = look_and_ask(cli, store, options, &error);
    if (code == LH_OK)
        code = lh_cleanup(store, &options, &report, &error);
    out_progress(&cli->out, NULL);
    connect_close(store, code);
    if (code != LH_OK)
        return out_error(&cli->out, &error);
    print_report(&cli->out, options.dry_run, &report);
    return EXIT_DONE;
}

static const struct opt_spec options_table[] = {
    {OPT_OLDER_THAN, OPT_DURATION, "older-than", 0, "DURATION", NULL, 1000, OLDER_THAN_MAX,
     "the least time since the release or the end (default: 24h)"},
    {OPT_DRY_RUN, OPT_FLAG, "dry-run", 0, NULL, NULL, 0, 0, "only count"},
    {OPT_YES, OPT_FLAG, "yes", 0, NULL, NULL, 0, 0, "do not ask"},
    {0},
};

const struct command cmd_cleanup = {
    .name = "cleanup",
    .run = run,
    .options = options_table,
    .summary = "remove keys that have been free for long, and dead holders and waiters",
    .detail = "Never changes a document that cannot be read. Tokens keep growing: if a removed\n"
              "key is used again, its tokens are larger than all before.\n"
              "On a terminal it shows the counts and asks first; elsewhere it needs --yes.",
    .example = "  $ leasehold cleanup --older-than 7d --yes\n"
               "  ok  removed 310 keys, and dropped 2 dead holders and 0 dead waiters\n",
};

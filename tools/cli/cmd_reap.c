/* SPDX-License-Identifier: Apache-2.0
 * leasehold reap: releases the leases of dead processes on this host. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/table.h"
#include "common/cli.h"
#include "common/confirm.h"
#include "common/connect.h"
#include "common/json.h"
#include "common/text.h"

struct reap {
    const struct out *out;
    struct table table;
    bson_t list; /* with --json */
    uint32_t n;
};

static void append(struct reap *reap, const lh_reaped *what)
{
    bson_t item;
    json_item_begin(&reap->list, reap->n, &item);
    json_text(&item, "key", what->key);
    json_text(&item, "was", what->waited ? "waiter" : "holder");
    json_text(&item, "owner", what->owner);
    json_number(&item, "pid", what->pid);
    json_text(&item, "purpose", what->purpose);
    json_text(&item, "mode", what->mode == LH_SHARED ? "shared" : "exclusive");
    json_number_or_null(&item, "token", what->token, 0);
    json_time(&item, "since", what->since_ms, 0);
    bson_append_document_end(&reap->list, &item);
}

static int each(void *arg, const lh_reaped *what)
{
    struct reap *reap = arg;
    if (reap->out->json) {
        append(reap, what);
    } else if (!reap->out->quiet) {
        static const char *const heading[] = {"KEY", "WAS", "OWNER", "PID", "SINCE", "PURPOSE"};
        char pid[24], since[TEXT_TIME_SIZE] = "";
        (void)snprintf(pid, sizeof pid, "%" PRId64, what->pid);
        if (what->since_ms)
            (void)text_time(what->since_ms, since);
        const char *cells[] = {
            what->key, what->waited ? "waiter" : "holder", what->owner, pid, since, what->purpose};
        if (reap->n == 0 && !table_row(&reap->table, heading))
            return 1;
        if (!table_row(&reap->table, cells))
            return 1;
    }
    reap->n++;
    return 0;
}

static void print_report(const struct reap *reap, bool dry_run, const lh_reap_report *report)
{
    if (reap->out->json) {
        bson_t json;
        json_init(&json, dry_run ? "dry_run" : "ok");
        json_number(&json, "holders", (int64_t)report->holders);
        json_number(&json, "waiters", (int64_t)report->waiters);
        json_number(&json, "alive", (int64_t)report->alive);
        BSON_APPEND_ARRAY(&json, "reaped", &reap->list);
        json_print(&json);
    } else if (!reap->out->quiet) {
        out_word(reap->out, dry_run ? OUT_WARN : OUT_GOOD, dry_run ? "dry run" : "ok");
        printf("  %s %" PRIu64 " %s and %" PRIu64 " %s of dead processes of this host; %" PRIu64
               " of living ones\n",
               dry_run ? "would have released" : "released", report->holders,
               report->holders == 1 ? "lease" : "leases", report->waiters,
               report->waiters == 1 ? "place in a queue" : "places in queues", report->alive);
    }
}

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    lh_error error = LH_ERROR_INIT;
    lh_reap_report report = LH_REAP_REPORT_INIT;
    lh_reap_options options = LH_REAP_OPTIONS_INIT;
    struct reap reap = {.out = &cli->out, .list = BSON_INITIALIZER};
    table_init(&reap.table, 6);
    options.dry_run = cli_flag(cli, OPT_DRY_RUN);
    int code = options.dry_run ? LH_OK : confirm_allowed(cli->command->name, &error);
    if (code == LH_OK)
        code = connect_store(cli, connect_timeout_ms(cli), connect_owner(), &store, &error);
    if (code == LH_OK)
        code = lh_reap(store, &options, each, &reap, &report, &error);
    table_flush(&reap.table);
    connect_close(store, code);
    if (code == LH_OK)
        print_report(&reap, options.dry_run, &report);
    bson_destroy(&reap.list);
    return code == LH_OK ? EXIT_DONE : out_stopped(&cli->out, &error);
}

static const struct opt_spec options_table[] = {
    {OPT_DRY_RUN, OPT_FLAG, "dry-run", 0, NULL, NULL, 0, 0, "only show"},
    {0},
};

const struct command cmd_reap = {
    .name = "reap",
    .run = run,
    .options = options_table,
    .summary = "release the leases of dead processes on this host",
    .detail = "Run it before a killed service starts again, so that nobody has to wait for the\n"
              "ends of its leases. It is safe at any time: a lease records boot, host name, pid\n"
              "namespace, pid and start time, and all must belong to a process that is surely\n"
              "dead.\n"
              "It leaves alone: stopped processes; other containers (run it inside one, or in the\n"
              "next container that shares its namespace); leases from before a reboot; leases\n"
              "that `leasehold acquire` and `leasehold serve` hold for others; transferred\n"
              "leases.",
    .example = "  $ leasehold reap\n"
               "  KEY         WAS     OWNER       PID   SINCE                     PURPOSE\n"
               "  project:42  holder  alice@web1  4242  2026-03-01T10:00:00.000Z  rebuild\n"
               "  ok  released 1 lease and 0 places in queues of dead processes of this host; 0 "
               "of living ones\n",
};

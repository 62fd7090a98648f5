/* SPDX-License-Identifier: Apache-2.0
 * leasehold audit: reads the trail. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/interrupt.h"
#include "cli/table.h"
#include "common/cli.h"
#include "common/connect.h"
#include "common/json.h"
#include "common/objects.h"
#include "common/text.h"

struct reader {
    const struct out *out;
    struct table table;
    bool follow; /* each line at once */
    bool began;
};

/* The other details of an entry, in one cell. The caller frees the result. */
static char *details(const lh_audit_entry *e)
{
    char *text = NULL;
    int n;
    if (*e->to)
        n = asprintf(&text, "to %s, token %" PRId64, e->to, e->to_token);
    else if (*e->by)
        n = asprintf(&text, "by %s: %s", e->by, e->reason);
    else if (*e->previous_how)
        n = asprintf(&text, "%s%safter %s, %s", e->purpose, *e->purpose ? ", " : "",
                     *e->previous_owner ? e->previous_owner : "(no name)", e->previous_how);
    else
        n = asprintf(&text, "%s%s", *e->purpose ? e->purpose : e->reason,
                     e->mode == LH_SHARED ? " (shared)" : "");
    return n < 0 ? NULL : text;
}

static bool print_row(struct reader *reader, const lh_audit_entry *e)
{
    static const char *const heading[] = {"AT",    "EVENT", "KEY", "OWNER",
                                          "TOKEN", "HOST",  "PID", "DETAILS"};
    char at[TEXT_TIME_SIZE] = "?", token[24] = "", pid[24], *more = details(e);
    (void)text_time(e->at_ms, at);
    (void)snprintf(pid, sizeof pid, "%" PRId64, e->pid);
    if (e->token)
        (void)snprintf(token, sizeof token, "%" PRId64, e->token);
    const char *cells[] = {at, e->event, e->key, e->owner, token, e->host, pid, more ? more : ""};
    bool good =
        (reader->began || table_row(&reader->table, heading)) && table_row(&reader->table, cells);
    reader->began = true;
    if (reader->follow)
        table_flush(&reader->table);
    free(more);
    return good;
}

static int each(void *arg, const lh_audit_entry *entry)
{
    struct reader *reader = arg;
    bson_t json;
    if (reader->out->json) {
        object_audit(&json, entry);
        json_print(&json);
    } else if (!print_row(reader, entry)) {
        return 1;
    }
    return reader->follow ? !out_flush() : ferror(stdout) != 0;
}

static int read_trail(const struct cli *cli, lh_audit_options *options, struct reader *reader,
                      int *ret_signal, lh_error *error)
{
    lh_store *store = NULL;
    sigset_t signals;
    struct interrupt interrupt;
    interrupt_init_reader(&interrupt, &signals);
    char buffer[CONNECT_URI_SIZE];
    lh_store_options store_options;
    int code = connect_options(cli, connect_timeout_ms(cli), connect_owner(), buffer,
                               &store_options, error);
    if (code != LH_OK)
        return code;
    if (!store_options.audit)
        store_options.audit = ""; /* the default name */
    code = connect_open(cli, &store_options, buffer, &store, error);
    if (code == LH_OK)
        code = interrupt_start(&interrupt, error);
    if (code != LH_OK) {
        connect_close(store, code);
        return code;
    }
    options->cancel = interrupt.cancel;
    code = lh_audit(store, options, each, reader, error);
    *ret_signal = interrupt_stop(&interrupt);
    table_flush(&reader->table);
    connect_close(store, code);
    return code;
}

static int run(const struct cli *cli)
{
    lh_error error = LH_ERROR_INIT;
    int number = 0;
    lh_audit_options options = LH_AUDIT_OPTIONS_INIT;
    struct reader reader = {.out = &cli->out, .follow = cli_flag(cli, OPT_FOLLOW)};
    table_init(&reader.table, 8);
    options.key = cli->args.n_words > 0 ? cli->args.words[0] : NULL;
    options.since_ms = cli_number(cli, OPT_SINCE, LH_FOREVER);
    options.follow = reader.follow;
    int code = cli->args.n_words > 1 ? out_fail(&error, LH_INVALID, "one key at most")
                                     : read_trail(cli, &options, &reader, &number, &error);
    if (number)
        return EXIT_SIGNAL + number;
    if (code != LH_OK)
        return out_stopped(&cli->out, &error);
    if (!reader.began && !cli->out.json)
        out_note(&cli->out,
                 "nothing to show: programs write the trail only with LEASEHOLD_AUDIT, or --audit");
    return EXIT_DONE;
}

static const struct opt_spec options_table[] = {
    {OPT_SINCE, OPT_DURATION, "since", 0, "DURATION", NULL, 0, OLDER_THAN_MAX,
     "only entries of this last period"},
    {OPT_FOLLOW, OPT_FLAG, "follow", 'f', NULL, NULL, 0, 0,
     "then print new entries until a signal ends the command"},
    {0},
};

const struct command cmd_audit = {
    .name = "audit",
    .run = run,
    .words = "[KEY]",
    .any_words = true,
    .options = options_table,
    .summary = "show all grants and how they ended",
    .detail = "Programs write the trail if they run with LEASEHOLD_AUDIT=NAME (the collection;\n"
              "`on`: the name of the leases' collection and _audit), with --audit NAME, or with\n"
              "the library's option. Read it with the same setting.\n"
              "Events: granted, taken_over (the lease before had ended without a release),\n"
              "released, transferred, broken, reaped. Every grant has an entry; renewals have\n"
              "none. `leasehold --audit NAME migrate` creates the indexes; one of them makes the\n"
              "server remove entries after 30 days (--audit-keep). Times are the server's.\n"
              "With --json one object per line.",
    .example = "  $ leasehold audit project:42 --since 1h\n"
               "  AT                        EVENT     KEY         OWNER       TOKEN                "
               "HOST  PID   DETAILS\n"
               "  2026-03-01T10:00:00.000Z  granted   project:42  alice@web1  7427466391552000000  "
               "web1  4242  rebuild\n"
               "  2026-03-01T10:00:09.120Z  released  project:42  alice@web1  7427466391552000000  "
               "web1  4242\n",
};

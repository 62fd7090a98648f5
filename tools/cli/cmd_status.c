/* SPDX-License-Identifier: Apache-2.0
 * leasehold status: shows the holder of a key. */
#include <stdio.h>

#include "cli/record.h"
#include "common/cli.h"
#include "common/connect.h"

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    lh_record *record = NULL;
    lh_error error = LH_ERROR_INIT;
    int code = connect_store(cli, connect_timeout_ms(cli), connect_owner(), &store, &error);
    if (code == LH_OK)
        code = cli_key(cli) ? lh_status(store, cli_key(cli), &record, &error)
                            : lh_status_by_id(store, cli_text(cli, OPT_ID), &record, &error);

    int exit;
    if (code != LH_OK)
        exit = out_error(&cli->out, &error);
    else
        exit = record->state == LH_MALFORMED ? EXIT_DATA : EXIT_DONE;
    if (code == LH_OK && cli->out.json)
        record_print_json(record);
    else if (code == LH_OK && cli->out.quiet)
        puts(record_state(record));
    else if (code == LH_OK)
        record_print(&cli->out, record);
    lh_record_free(record);
    connect_close(store, code);
    return exit;
}

static const struct opt_spec options_table[] = {
    {OPT_ID, OPT_TEXT, "id", 0, "JSON", NULL, 0, 0,
     "instead of KEY: the document with this _id, in extended JSON"},
    {0},
};

const struct command cmd_status = {
    .name = "status",
    .run = run,
    .words = "KEY",
    .or_id = true,
    .options = options_table,
    .summary = "show the holder of a key, its waiters, and how the last lease ended",
    .detail = "Shows what a majority of the servers has. Lease ids are not shown: they are\n"
              "secrets of their holders.\n"
              "Exit codes: 0, or 65 if the stored data cannot be read (the key counts as held).\n"
              "With --quiet it prints one word: free, held, expired or malformed. --id finds a\n"
              "document by its _id (extended JSON), also one whose key no lease could have; 76:\n"
              "no document has that _id.",
    .example = "  $ leasehold status project:42\n"
               "  held  project:42\n"
               "    holder   alice@web1 (web1, pid 4242)\n"
               "    purpose  rebuild\n"
               "    since    2026-03-01T10:00:00.000Z, 12 s ago\n"
               "    ends in  18 s unless renewed\n"
               "    token    7427466391552000000\n",
};

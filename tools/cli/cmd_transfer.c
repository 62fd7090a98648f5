/* SPDX-License-Identifier: Apache-2.0
 * leasehold transfer. */
#include "cli/record.h"
#include "common/cli.h"
#include "common/connect.h"
#include "common/transfer.h"

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    lh_lease *old = NULL, *lease = NULL;
    lh_error error = LH_ERROR_INIT;
    const char *to = cli_text(cli, OPT_TO);
    int exit = EXIT_DONE, code = to ? connect_lease(cli, &store, &old, &error)
                                    : out_fail(&error, LH_INVALID, "which new owner? --to OWNER");
    if (code == LH_OK)
        code = transfer_lease(store, old, to, &lease, &error);
    if (code == LH_OK)
        exit = record_hand_over(&cli->out, lease, to);
    else
        exit = out_error(&cli->out, &error);
    if (code == LH_OK && *error.message) /* its line in the trail */
        out_note(&cli->out, "%s", error.message);
    lh_lease_free(lease);
    lh_lease_free(old);
    connect_close(store, code);
    return exit;
}

static const struct opt_spec options_table[] = {
    {OPT_LEASE, OPT_SECRET, "lease", 0, "ID", "LEASEHOLD_LEASE", 0, 0,
     "the lease, as acquire printed it"},
    {OPT_TO, OPT_NAME, "to", 0, "OWNER", NULL, 0, 0, "the new holder's name, which others see"},
    {0},
};

const struct command cmd_transfer = {
    .name = "transfer",
    .run = run,
    .holds = true,
    .words = "KEY",
    .options = options_table,
    .summary = "transfer a lease to another owner",
    .detail = "Ends the lease and grants the key again, past the queue, in one step: nobody gets\n"
              "in between. Prints the new lease, as acquire does. Give its id to the new holder,\n"
              "and forget the old id, which has no effect from then on. The token grows, so that\n"
              "writes under the old lease can be refused.\n"
              "Exit code 76: the lease had ended, or was not the key's; nothing was changed.",
    .example =
        "  $ leasehold transfer project:42 --lease 6a1f0c3e5b7d48219fd6e0a4c2b81357 --to bob\n"
        "  granted  project:42\n"
        "    lease    0b9d4c7a61e2483fa5d07c96be13f824\n"
        "    token    7427466391552000001\n"
        "    ends in  5 min 0 s unless renewed; release it when done\n",
};

/* SPDX-License-Identifier: Apache-2.0
 * leasehold renew: extends a lease by its id. */
#include <stdio.h>

#include "cli/record.h"
#include "common/cli.h"
#include "common/connect.h"
#include "common/json.h"
#include "common/objects.h"
#include "common/text.h"

static void print_renewed(const struct out *out, lh_lease *lease)
{
    int64_t remaining_ms = lh_lease_remaining_ms(lease);
    if (out->json) {
        bson_t json;
        object_lease(&json, "renewed", lease, NULL);
        json_print(&json);
    } else if (!out->quiet) {
        char duration[TEXT_DURATION_SIZE];
        text_from_duration(remaining_ms, duration);
        out_outcome(out, OUT_GOOD, "renewed", lh_lease_key(lease));
        printf("%s\n  ends in  %s unless renewed\n",
               lh_lease_enforced(lease) ? "" : "  (LEASEHOLD_MODE: not enforced)", duration);
    }
}

static void print_lost(const struct out *out, const char *key, const lh_record *record,
                       const lh_error *error)
{
    if (out->json) {
        bson_t json;
        json_init(&json, "lost");
        json_text(&json, "key", key);
        object_append_reason(&json, error);
        json_text(&json, "message", error->message);
        if (record) /* the server could be asked */
            object_append_holders(&json, record);
        json_print(&json);
        return;
    }
    if (out->quiet)
        return;
    out_outcome(out, OUT_BAD, "lost", key);
    fputs(": ", stdout);
    out_text(error->message);
    putchar('\n');
    if (record && record->state != LH_FREE)
        record_print(out, record);
}

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    lh_lease *lease = NULL;
    lh_record *record = NULL;
    lh_error error = LH_ERROR_INIT;
    int exit, code = connect_lease(cli, &store, &lease, &error);
    if (code == LH_OK)
        code = lh_lease_renew(lease, cli_number(cli, OPT_TTL, 0), &record, &error);
    if (code == LH_OK) {
        print_renewed(&cli->out, lease);
        exit = EXIT_DONE;
    } else if (code == LH_LOST) {
        print_lost(&cli->out, cli_key(cli), record, &error);
        exit = EXIT_LOST;
    } else {
        exit = out_error(&cli->out, &error);
    }
    lh_record_free(record);
    lh_lease_free(lease); /* before the store, which must not release a lease of others */
    connect_close(store, code);
    return exit;
}

static const struct opt_spec options_table[] = {
    {OPT_LEASE, OPT_SECRET, "lease", 0, "ID", "LEASEHOLD_LEASE", 0, 0,
     "the lease, as acquire printed it"},
    {OPT_TTL, OPT_DURATION, "ttl", 0, "DURATION", "LEASEHOLD_TTL", LH_TTL_MIN_MS, LH_TTL_MAX_MS,
     "its new length from now on (default: that of the acquire or the last renewal)"},
    {0},
};

const struct command cmd_renew = {
    .name = "renew",
    .run = run,
    .holds = true,
    .words = "KEY",
    .options = options_table,
    .summary = "extend a lease",
    .detail = "Never shortens a lease, and never revives one that has ended: that is `lost` (exit\n"
              "code 76), and the work under the lease must stop. Renew at a third of the time to\n"
              "live, so that two failures do no harm.",
    .example = "  $ leasehold renew project:42 --lease 6a1f0c3e5b7d48219fd6e0a4c2b81357 --ttl 5m\n"
               "  renewed  project:42\n"
               "    ends in  4 min 59 s unless renewed\n",
};

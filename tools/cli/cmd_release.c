/* SPDX-License-Identifier: Apache-2.0
 * leasehold release: releases a lease by its id. */
#include <stdio.h>

#include "common/cli.h"
#include "common/connect.h"
#include "common/json.h"
#include "common/objects.h"

static void print_outcome(const struct out *out, const lh_lease *lease, bool released,
                          const lh_error *error)
{
    const char *key = lh_lease_key(lease);
    bool enforced = lh_lease_enforced(lease);
    if (out->json) {
        bson_t json;
        json_init(&json, released ? "released" : "not_holder");
        json_text(&json, "key", key);
        json_text(&json, "lease", lh_lease_id(lease));
        bson_append_bool(&json, "enforced", -1, enforced);
        if (!released) {
            object_append_reason(&json, error);
            json_text(&json, "message", error->message);
        }
        json_print(&json);
    } else if (!out->quiet) {
        out_outcome(out, released ? OUT_GOOD : OUT_BAD, released ? "released" : "not the holder",
                    key);
        fputs(!released ? ": " : enforced ? "" : "  (LEASEHOLD_MODE: not enforced)", stdout);
        out_text(released ? "" : error->message);
        putchar('\n');
    }
}

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    lh_lease *lease = NULL;
    lh_error error = LH_ERROR_INIT;
    lh_release_options options = LH_RELEASE_OPTIONS_INIT;
    options.note = cli_text(cli, OPT_NOTE);
    options.keep_ms = cli_number(cli, OPT_KEEP, 0);
    int exit, code = connect_lease(cli, &store, &lease, &error);
    if (code == LH_OK)
        code = lh_lease_release_with(lease, &options, &error);
    if (code == LH_OK || code == LH_LOST) {
        print_outcome(&cli->out, lease, code == LH_OK, &error);
        exit = out_exit_code(code);
    } else {
        exit = out_error(&cli->out, &error);
    }
    if (code == LH_OK && *error.message) /* its line in the trail */
        out_note(&cli->out, "%s", error.message);
    lh_lease_free(lease);
    connect_close(store, code);
    return exit;
}

static const struct opt_spec options_table[] = {
    {OPT_LEASE, OPT_SECRET, "lease", 0, "ID", "LEASEHOLD_LEASE", 0, 0,
     "the lease, as acquire printed it"},
    {OPT_NOTE, OPT_TEXT, "note", 0, "TEXT", NULL, 0, 0,
     "a note for the next holder: a version, an etag, a description; up to 1,024 bytes"},
    {OPT_KEEP, OPT_DURATION, "keep", 0, "DURATION", NULL, 0, LH_TTL_MAX_MS,
     "the key stays taken that long, or until the lease would have ended"},
    {0},
};

const struct command cmd_release = {
    .name = "release",
    .run = run,
    .holds = true,
    .words = "KEY",
    .options = options_table,
    .summary = "release a lease",
    .detail = "The next waiter gets the key at once, with the note; status and watch show the\n"
              "note. The note stays until a later holder of the key ends without a note. So a\n"
              "new holder that finds a note knows that nobody has held the key since.\n"
              "With --keep nobody gets the key before that time is over. Then the next waiter\n"
              "does. Only an exclusive lease can be kept.\n"
              "A second release is no error. If the key has another holder by now, nothing is\n"
              "changed, and the exit code is 76.",
    .example = "  $ leasehold release project:42 --lease 6a1f0c3e5b7d48219fd6e0a4c2b81357\n"
               "  released  project:42\n",
};

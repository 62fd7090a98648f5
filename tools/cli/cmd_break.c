/* SPDX-License-Identifier: Apache-2.0
 * leasehold break: an operator takes a key from its holder. */
#include <stdio.h>

#include "cli/record.h"
#include "common/cli.h"
#include "common/confirm.h"
#include "common/connect.h"
#include "common/json.h"
#include "common/objects.h"

static void print_broken(const struct out *out, const lh_record *record)
{
    if (out->json) {
        bson_t json;
        json_init(&json, "broken");
        json_text(&json, "key", record->key);
        object_append_holders(&json, record);
        json_print(&json);
    } else if (!out->quiet) {
        out_word(out, OUT_GOOD, "broken");
        fputs("; it was:\n", stdout);
        record_print(out, record);
    }
}

static void print_not_held(const struct out *out, const char *key, const lh_error *error)
{
    if (out->json) {
        bson_t json;
        json_init(&json, "not_held");
        json_text(&json, "key", key);
        object_append_reason(&json, error);
        json_text(&json, "message", error->message);
        json_print(&json);
    } else if (!out->quiet) {
        out_outcome(out, OUT_WARN, "not held", key);
        fputs(": ", stdout);
        out_text(error->message);
        putchar('\n');
    }
}

/* Shows the holder and asks. The break applies to that grant and to no later one. LH_OK:
 * continue. */
static int show_and_ask(const struct cli *cli, lh_store *store, lh_break_options *options,
                        lh_error *error)
{
    lh_record *record = NULL;
    int code = options->id ? lh_status_by_id(store, options->id, &record, error)
                           : lh_status(store, cli_key(cli), &record, error);
    if (code != LH_OK)
        return code;
    if (record->state == LH_FREE) {
        code = out_fail(error, LH_REASON_NOT_HELD, "nobody holds it");
    } else {
        const lh_holder *holder = lh_record_holder(record, 0);
        if (!cli->out.json && !cli->out.quiet)
            record_print(&cli->out, record);
        if (options->token < 0 && holder && record->holders == 1)
            options->token = holder->token;
        code =
            confirm_ask("leasehold break: end this lease? Its holder may still be working.", error);
    }
    lh_record_free(record);
    return code;
}

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    lh_record *record = NULL;
    lh_error error = LH_ERROR_INIT;
    bool ask = !cli_flag(cli, OPT_YES);
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = cli_text(cli, OPT_REASON);
    options.token = cli_number(cli, OPT_TOKEN, -1);
    options.id = cli_text(cli, OPT_ID);
    const char *named = options.id ? options.id : cli_key(cli);

    int code = confirm_allowed(cli->command->name, &error);
    if (code == LH_OK && (!options.reason || !*options.reason))
        code = out_fail(
            &error, LH_INVALID,
            "add --reason TEXT: it is stored with the key, and the former holder can read it");
    if (code == LH_OK && ask && !confirm_can_ask())
        code = out_fail(&error, LH_INVALID,
                        "break ends a lease although its holder may still be working: add --yes");
    if (code == LH_OK)
        code = connect_store(cli, connect_timeout_ms(cli), connect_owner(), &store, &error);
    if (code == LH_OK && ask)
        code = show_and_ask(cli, store, &options, &error);
    if (code == LH_OK)
        code = lh_break(store, cli_key(cli), &options, &record, &error);

    int exit = out_exit_code(code);
    if (code == LH_OK)
        print_broken(&cli->out, record);
    else if (code == LH_LOST)
        print_not_held(&cli->out, named, &error);
    else
        exit = out_error(&cli->out, &error);
    if (code == LH_OK && *error.message) /* its line in the trail */
        out_note(&cli->out, "%s", error.message);
    lh_record_free(record);
    connect_close(store, code);
    return exit;
}

static const struct opt_spec options_table[] = {
    {OPT_REASON, OPT_TEXT, "reason", 0, "TEXT", NULL, 0, 0,
     "the reason; required, and stored with the key"},
    {OPT_TOKEN, OPT_NUMBER, "token", 0, "N", NULL, 0, INT64_MAX,
     "only if the current grant has this token"},
    {OPT_ID, OPT_TEXT, "id", 0, "JSON", NULL, 0, 0,
     "instead of KEY: the document with this _id, in extended JSON"},
    {OPT_YES, OPT_FLAG, "yes", 0, NULL, NULL, 0, 0, "do not ask"},
    {0},
};

const struct command cmd_break = {
    .name = "break",
    .run = run,
    .words = "KEY",
    .or_id = true,
    .options = options_table,
    .summary = "end the lease of another holder (operators)",
    .detail = "Prints the holder whose lease it ends. The holder is not asked. It learns of the\n"
              "end at its next renewal; until then two may work at once, and only writes that\n"
              "check the token are safe. It also frees a key whose document cannot be read; --id\n"
              "finds a document whose key no lease could have.\n"
              "On a terminal it asks first; elsewhere it needs --yes. Exit code 76: the key was\n"
              "not held, or not by that grant.",
    .example =
        "  $ leasehold break project:42 --reason 'web1 is gone' --token 7427466391552000000 --yes\n"
        "  broken; it was:\n"
        "  held  project:42\n"
        "    holder   alice@web1 (web1, pid 4242)\n",
};

/* SPDX-License-Identifier: Apache-2.0
 * leasehold acquire: takes a lease and leaves it behind, for whoever knows its id. */
#include <inttypes.h>
#include <stdio.h>

#include "cli.h"
#include "connect.h"
#include "json.h"
#include "record.h"
#include "text.h"
#include "wait.h"

static void print_granted(const struct out *out, const lh_lease *lease)
{
    int64_t remaining_ms = lh_lease_remaining_ms(lease);
    if (out->json) {
        bson_t json;
        json_init(&json, "granted");
        json_text(&json, "key", lh_lease_key(lease));
        json_text(&json, "lease", lh_lease_id(lease));
        json_text(&json, "owner", lh_lease_owner(lease));
        json_text(&json, "mode", lh_lease_mode(lease) == LH_SHARED ? "shared" : "exclusive");
        json_number(&json, "token", lh_lease_token(lease));
        json_number(&json, "ttl_ms", lh_lease_ttl_ms(lease));
        json_time(&json, "expires_at", lh_lease_expires_at_ms(lease), 0);
        json_number(&json, "remaining_ms", remaining_ms);
        json_print(&json);
    } else if (out->quiet) {
        puts(lh_lease_id(lease));
    } else {
        char duration[TEXT_DURATION_SIZE];
        text_from_duration(lh_lease_ttl_ms(lease), duration);
        out_word(out, OUT_GOOD, "granted");
        printf("  %s\n", lh_lease_key(lease));
        printf("  lease    %s\n  token    %" PRId64 "\n  ends in  %s unless renewed; release it when done\n",
               lh_lease_id(lease), lh_lease_token(lease), duration);
    }
}

/* Prints the grant. One that nobody could be told of is given back: a script that could not read the id can't. The exit
 * code is then that of every result that could not be written, EXIT_UNKNOWN. */
static int hand_over(const struct out *out, lh_lease *lease)
{
    print_granted(out, lease);
    if (out_flush())
        return EXIT_DONE;
    lh_error error;
    if (lh_lease_release(lease, &error) == LH_OK)
        out_note(out, "the lease was released again, because it could not be told");
    else
        out_note(out, "the lease could not be released again; it ends with its ttl: %s", error.message);
    return EXIT_UNKNOWN;
}

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    sigset_t signals;
    (void)sigemptyset(&signals);
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++)
        (void)sigaddset(&signals, ending[i]);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL); /* before the store's threads exist: they inherit it */

    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true; /* this program does not stay */
    options.ttl_ms = cli_number(cli, OPT_TTL, LH_TTL_DEFAULT_MS);
    options.mode = cli_flag(cli, OPT_SHARED) ? LH_SHARED : LH_EXCLUSIVE;
    options.owner = cli_text(cli, OPT_OWNER);
    options.purpose = cli_text(cli, OPT_PURPOSE);
    struct wait wait = {.out = &cli->out,
                        .key = cli_key(cli),
                        .options = &options,
                        .wait_ms = cli_number(cli, OPT_WAIT, 0),
                        .signals = &signals};
    int code = connect_store(cli, connect_timeout_ms(cli), NULL, &store, &wait.error);
    if (code == LH_OK) {
        wait.store = store;
        code = wait_acquire(&wait);
    }

    int exit;
    if (code == LH_OK)
        exit = hand_over(&cli->out, wait.lease);
    else if (code == LH_STOPPED)
        exit = EXIT_SIGNAL + wait.signal;
    else if (code == LH_BUSY)
        exit = EXIT_BUSY;
    else
        exit = out_error(&cli->out, &wait.error);
    if (code == LH_BUSY)
        record_print_busy(&cli->out, cli_key(cli), wait.busy);
    lh_record_free(wait.busy);
    lh_lease_free(wait.lease); /* before the store, which would release it */
    connect_close(store, code);
    return exit;
}

static const struct opt_spec options_table[] = {
    {OPT_WAIT, OPT_PATIENCE, "wait", 0, "DURATION", NULL, 0, OPT_WAIT_MAX,
     "wait for it that long, or forever (default: 0, ask once)"},
    {0},
};

const struct command cmd_acquire = {
    .name = "acquire",
    .run = run,
    .words = "KEY",
    .options = options_table,
    .also = opts_lease,
    .summary = "take the lease on a key, or say who holds it",
    .detail = "Prints the lease id: whoever knows it may renew and release the lease. It ends by itself after --ttl.\n"
              "Send the token along with what you write under the lease; whoever stores it refuses a smaller one.\n"
              "Exit codes: 0 granted, 75 busy. With --quiet it prints only the lease id. To hold a lease while a\n"
              "program runs, `leasehold run` is simpler and safer.",
    .example = "  $ leasehold acquire project:42 --ttl 5m --purpose rebuild\n"
               "  granted  project:42\n"
               "    lease    6a1f0c3e5b7d48219fd6e0a4c2b81357\n"
               "    token    7427466391552000000\n"
               "    ends in  5 min 0 s unless renewed; release it when done\n",
};

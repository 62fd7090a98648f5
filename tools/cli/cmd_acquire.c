/* SPDX-License-Identifier: Apache-2.0
 * leasehold acquire: acquires a lease and exits. Any process that knows the lease id can continue
 * with it. */
#include <signal.h>

#include "cli/record.h"
#include "cli/wait.h"
#include "common/cli.h"
#include "common/connect.h"

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    sigset_t signals;
    (void)sigemptyset(&signals);
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++)
        (void)sigaddset(&signals, ending[i]);
    (void)sigprocmask(SIG_BLOCK, &signals,
                      NULL); /* before the store's threads exist: they inherit it */

    const char *key = cli_key(cli);
    lh_lease *lease = NULL;
    struct wait wait = {.out = &cli->out,
                        .keys = &key,
                        .n_keys = 1,
                        .leases = &lease,
                        .options = LH_ACQUIRE_OPTIONS_INIT,
                        .signals = &signals,
                        .error = LH_ERROR_INIT};
    wait.options.by_hand = true; /* this program does not stay */
    cli_lease_options(cli, &wait.options);
    wait.options.wait_ms = cli_number(cli, OPT_WAIT, 0);
    int code = connect_store(cli, connect_timeout_ms(cli), NULL, &store, &wait.error);
    if (code == LH_OK) {
        wait.store = store;
        code = wait_acquire(&wait);
    }

    int exit;
    if (code == LH_OK)
        exit = record_hand_over(&cli->out, lease, lh_lease_owner(lease));
    else if (code == LH_CANCELLED)
        exit = EXIT_SIGNAL + wait.signal;
    else if (code == LH_BUSY)
        exit = EXIT_BUSY;
    else
        exit = out_error(&cli->out, &wait.error);
    if (code == LH_BUSY)
        record_print_busy(&cli->out, cli_key(cli), wait.busy, &wait.error);
    lh_record_free(wait.busy);
    lh_lease_free(lease); /* before the store, which would release it */
    connect_close(store, code);
    return exit;
}

static const struct opt_spec options_table[] = {
    {OPT_WAIT, OPT_PATIENCE, "wait", 0, "DURATION", NULL, 0, OPT_WAIT_MAX,
     "how long to wait for the key, or forever (default: 0, ask once)"},
    {0},
};

const struct command cmd_acquire = {
    .name = "acquire",
    .run = run,
    .holds = true,
    .words = "KEY",
    .options = options_table,
    .also = opts_lease,
    .summary = "acquire the lease on a key, or report the holder",
    .detail = "Prints the lease id. Anyone who knows it can renew and release the lease. The\n"
              "lease ends by itself after --ttl.\n"
              "Send the token along with everything you write under the lease; the receiver\n"
              "refuses a smaller token. With --wait the command joins the key's queue: first\n"
              "come, first served. A command that gives up leaves the queue.\n"
              "Exit codes: 0 granted, 75 busy (also when the wait is over). With --quiet it\n"
              "prints only the lease id. To hold a lease while a program runs, `leasehold run` is\n"
              "simpler and safer.",
    .example = "  $ leasehold acquire project:42 --ttl 5m --purpose rebuild\n"
               "  granted  project:42\n"
               "    lease    6a1f0c3e5b7d48219fd6e0a4c2b81357\n"
               "    token    7427466391552000000\n"
               "    ends in  5 min 0 s unless renewed; release it when done\n",
};

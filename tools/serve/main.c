/* SPDX-License-Identifier: Apache-2.0
 * leasehold-serve: the program that `leasehold serve` runs. */
#include "common/program.h"
#include "serve/probe.h"
#include "serve/serve.h"

static int run(struct cli *cli, int argc, char **argv)
{
    int exit;
    cli->command = &cmd_serve;
    if (!program_begin(cli, argc, argv, &exit))
        return exit;
    return cli_flag(cli, OPT_PROBE) ? probe_run(cli) : serve_run(cli);
}

int main(int argc, char **argv)
{
    program_main(argc, argv, run);
}

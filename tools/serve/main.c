/* SPDX-License-Identifier: Apache-2.0
 * leasehold-serve: the program that `leasehold serve` runs. */
#include "common/program.h"
#include "serve/serve.h"

static int run(struct cli *cli, int argc, char **argv)
{
    int exit;
    cli->command = &cmd_serve;
    return program_begin(cli, argc, argv, &exit) ? serve_run(cli) : exit;
}

int main(int argc, char **argv)
{
    program_main(argc, argv, run);
}

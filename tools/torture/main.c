/* SPDX-License-Identifier: Apache-2.0
 * leasehold-torture: the program that `leasehold torture` runs. */
#include "common/program.h"
#include "torture/run.h"

static int run(struct cli *cli, int argc, char **argv)
{
    int exit;
    cli->command = &cmd_torture;
    return program_begin(cli, argc, argv, &exit) ? torture_run(cli) : exit;
}

int main(int argc, char **argv)
{
    program_main(argc, argv, run);
}

/* SPDX-License-Identifier: Apache-2.0
 * leasehold torture, as the command line and the program itself describe it. */
#include "torture/crowd.h"
#include "torture/run.h"

static const struct opt_spec options_table[] = {
    {OPT_SEED, OPT_NUMBER, "seed", 0, "N", NULL, 0, UINT32_MAX,
     "the seed (default: a random one, which is printed)"},
    {OPT_SECONDS, OPT_DURATION, "seconds", 0, "DURATION", NULL, 1000, 3600000,
     "how long to run (default: 10s)"},
    {OPT_PROCESSES, OPT_NUMBER, "processes", 0, "N", NULL, 1, CROWD_MAX,
     "number of processes (default: 8)"},
    {OPT_KEYS, OPT_NUMBER, "keys", 0, "N", NULL, 1, 10000, "number of keys (default: 3)"},
    {OPT_FAULTS, OPT_TEXT, "faults", 0, "LIST", NULL, 0, 0,
     "pause,kill,old (default), stepdown, lag, rollback, errors, killops; all: what the deployment "
     "allows; none"},
    {OPT_HISTORY, OPT_TEXT, "history", 0, "FILE", NULL, 0, 0, "write the history to this new file"},
    {OPT_CHECK, OPT_TEXT, "check", 0, "FILE", NULL, 0, 0,
     "only check this history; needs no deployment"},
    {OPT_KEEP, OPT_FLAG, "keep", 0, NULL, NULL, 0, 0, "do not drop the database at the end"},
    {OPT_YES, OPT_FLAG, "yes", 0, NULL, NULL, 0, 0, "do not ask"},
    {0},
};

const struct command cmd_torture = {
    .name = "torture",
    .program = "leasehold-torture",
    .options = options_table,
    .summary = "test leases on a deployment under faults, and check the invariants",
    .detail = "Many processes acquire, wait, share, renew, release, transfer and break leases on\n"
              "few keys, with ttls of a second or two. Some of them are stopped past the ends of\n"
              "their leases, killed and started again. The history has each call, and whether\n"
              "each process relied on its leases; on a replica set the oplog shows what was\n"
              "committed. Then the invariants are checked: no two holders at once, growing\n"
              "tokens, every acknowledged operation stored once, no revived lease, no overtaking.\n"
              "The first violation is printed as a story; the exit code is then 70.\n"
              "\n"
              "It works in a database of its own, leasehold_torture_…, and drops it. All users of\n"
              "the deployment feel stepdown, lag, rollback, errors and killops: use a test\n"
              "deployment (lag, rollback and errors need a server with enableTestCommands). A\n"
              "seed repeats the requests, not their timing.",
    .example = "  $ leasehold torture --seed 32 --seconds 60s --processes 12 --yes\n"
               "  ok  seed 32: 1755 operations, 206 grants, 4225 samples of beliefs, 2291 "
               "committed changes\n",
};

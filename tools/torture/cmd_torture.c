/* SPDX-License-Identifier: Apache-2.0
 * leasehold torture, as the command line and the program itself describe it. */
#include "torture/crowd.h"
#include "torture/run.h"

static const struct opt_spec options_table[] = {
    {OPT_SEED, OPT_NUMBER, "seed", 0, "N", NULL, 0, UINT32_MAX,
     "the dice (default: a random one; it is printed)"},
    {OPT_SECONDS, OPT_DURATION, "seconds", 0, "DURATION", NULL, 1000, 3600000,
     "for how long (default: 10s)"},
    {OPT_PROCESSES, OPT_NUMBER, "processes", 0, "N", NULL, 1, CROWD_MAX,
     "how many take part (default: 8)"},
    {OPT_KEYS, OPT_NUMBER, "keys", 0, "N", NULL, 1, 10000, "on how many keys (default: 3)"},
    {OPT_FAULTS, OPT_TEXT, "faults", 0, "LIST", NULL, 0, 0,
     "pause,kill,old (default), stepdown, lag, rollback, errors, killops; all: what the deployment "
     "allows; none"},
    {OPT_HISTORY, OPT_TEXT, "history", 0, "FILE", NULL, 0, 0, "keep the history there: a new file"},
    {OPT_CHECK, OPT_TEXT, "check", 0, "FILE", NULL, 0, 0,
     "only check a history; no deployment is needed"},
    {OPT_KEEP, OPT_FLAG, "keep", 0, NULL, NULL, 0, 0, "do not drop the database at the end"},
    {OPT_YES, OPT_FLAG, "yes", 0, NULL, NULL, 0, 0, "do not ask"},
    {0},
};

const struct command cmd_torture = {
    .name = "torture",
    .program = "leasehold-torture",
    .options = options_table,
    .summary = "try to break it on a deployment, and check what happened",
    .detail = "Many processes acquire, wait, share, renew, release, hand on and break leases on\n"
              "few keys, with ttls of a second or two, while some of them are stopped past their\n"
              "leases' ends, killed and started again. Each call is written down, and what each\n"
              "process believes to hold; on a replica set the oplog says what was committed. Then\n"
              "the invariants are checked: no two believed at once, tokens only grew, what was\n"
              "acknowledged is there once, renewals did not revive, nobody was overtaken. The\n"
              "first violation is told as a story; the exit code is 70.\n"
              "\n"
              "It works in a database of its own, leasehold_torture_…, and drops it. stepdown,\n"
              "lag, rollback, errors and killops are felt by everybody on the deployment: use a\n"
              "throwaway one (lag, rollback and errors need a server with enableTestCommands). A\n"
              "seed replays what is asked for, not how the machine interleaves it.",
    .example = "  $ leasehold torture --seed 32 --seconds 60s --processes 12 --yes\n"
               "  ok  seed 32: 1755 operations, 206 grants, 4225 looks at what is believed, 2291 "
               "committed changes\n",
};

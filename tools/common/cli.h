/* SPDX-License-Identifier: Apache-2.0
 * A command is an entry of a table. Usage, help, completions and man pages are made from the
 * table. */
#ifndef COMMON_CLI_H
#define COMMON_CLI_H

#include "common/opts.h"
#include "common/out.h"

struct cli;

struct command {
    const char *name;
    int (*run)(const struct cli *cli); /* returns the exit code; NULL: `program` does it */
    const char *program;            /* a program of its own, from a package of its own; else NULL */
    const char *words;              /* "KEY" for usage; NULL: takes none */
    bool or_id;                     /* --id may stand in the word's place */
    bool any_words;                 /* none, or any number of them: "[KEY…]" */
    bool takes_command;             /* also takes `-- CMD…` */
    bool holds;                     /* it is about leases, which LEASEHOLD_MODE may not enforce */
    const struct opt_spec *options; /* its own; NULL: none */
    const struct opt_spec *also;    /* those that it has in common with others; NULL: none */
    const char *summary;            /* one line */
    const char *detail;             /* what one must know to use it; lines of up to 100 columns */
    const char *example;            /* commands and what they print */
};

struct cli {
    const struct command *command;
    struct args args;
    struct out out;
};

/* The longest --wait but forever: a year. */
#define OPT_WAIT_MAX (INT64_C(1000) * 3600 * 24 * 366)

/* Small readers of the parsed options. */
static inline bool cli_flag(const struct cli *cli, enum opt_id id)
{
    return cli->args.opt[id].given;
}

static inline const char *cli_text(const struct cli *cli, enum opt_id id)
{
    return cli->args.opt[id].given ? cli->args.opt[id].text : NULL;
}

static inline int64_t cli_number(const struct cli *cli, enum opt_id id, int64_t otherwise)
{
    return cli->args.opt[id].given ? cli->args.opt[id].number : otherwise;
}

/* Reads the common options of the commands that acquire (opts_lease). */
static inline void cli_lease_options(const struct cli *cli, lh_acquire_options *options)
{
    options->ttl_ms = cli_number(cli, OPT_TTL, LH_TTL_DEFAULT_MS);
    options->mode = cli_flag(cli, OPT_SHARED) ? LH_SHARED : LH_EXCLUSIVE;
    options->owner = cli_text(cli, OPT_OWNER);
    options->purpose = cli_text(cli, OPT_PURPOSE);
    options->path = cli_flag(cli, OPT_PATH);
    options->resume = cli_flag(cli, OPT_RESUME);
}

/* The key; only for commands whose `words` is "KEY". NULL where --id stands in its place. */
static inline const char *cli_key(const struct cli *cli)
{
    return cli->args.n_words > 0 ? cli->args.words[0] : NULL;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * leasehold bench: measures the cost of leases on the caller's own deployment, compared with a
 * plain write by the driver alone. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "common/connect.h"
#include "common/random.h"

enum { COLLECTION_SIZE = 64 };

typedef struct {
    const char *name;
    double share; /* of the time */
    int (*run)(struct bench *bench, double ms);
    const char *progress;
} part;

static const part parts[] = {
    {"commands", 0.40, bench_single, "one command at a time"},
    {"handoff", 0.20, bench_handoff, "from hand to hand"},
    {"threads", 0.25, bench_threads, "many threads"},
    {"hot", 0.15, bench_hot_key, "many clients on one key"},
};
enum { PARTS = sizeof parts / sizeof *parts };

static int check_only(const char *only, lh_error *error)
{
    if (!only)
        return LH_OK;
    for (size_t i = 0; i < PARTS; i++)
        if (strcmp(parts[i].name, only) == 0)
            return LH_OK;
    return out_fail(error, LH_INVALID, "--only is one of commands, handoff, threads, hot");
}

static int name_collection(char name[COLLECTION_SIZE], lh_error *error)
{
    uint64_t number;
    if (random_number(&number, error) != LH_OK)
        return error->code;
    (void)snprintf(name, COLLECTION_SIZE, "leasehold_bench_%016" PRIx64, number);
    return LH_OK;
}

/* Makes the unique index, by a first lease, before the floor writes beside it. */
static int prepare(struct bench *bench)
{
    lh_lease *lease = NULL;
    lh_acquire_options options = bench_by_hand();
    int code = lh_store_open(&bench->options, &bench->store, &bench->error);
    if (code == LH_OK)
        code = lh_acquire(bench->store, "first", &options, &lease, NULL, &bench->error);
    if (code == LH_OK)
        code = lh_lease_release(lease, &bench->error);
    lh_lease_free(lease);
    if (code == LH_OK)
        bench->floor = bench_floor_open(&bench->options, &bench->error);
    return code == LH_OK && !bench->floor ? bench->error.code : code;
}

static int run_parts(struct bench *bench, const char *only, double ms)
{
    int code = LH_OK;
    for (size_t i = 0; code == LH_OK && i < PARTS && !atomic_load(&bench_signal); i++) {
        if (only && strcmp(parts[i].name, only) != 0)
            continue;
        char line[96];
        (void)snprintf(line, sizeof line, "leasehold bench: %s", parts[i].progress);
        out_progress(bench->out, line);
        code = parts[i].run(bench, only ? ms : ms * parts[i].share);
    }
    out_progress(bench->out, NULL);
    return code;
}

/* Drops the collection, also after a failure. */
static int clean_up(struct bench *bench, int code)
{
    lh_error unsaid = LH_ERROR_INIT;
    bench_partner_stop(bench);
    connect_close(bench->store, code);
    if (bench->floor &&
        bench_floor_drop(bench->floor, code == LH_OK ? &bench->error : &unsaid) != LH_OK) {
        out_note(bench->out, "the collection %s could not be dropped: drop it by hand",
                 bench->options.collection);
        code = code == LH_OK ? bench->error.code : code;
    }
    bench_floor_close(bench->floor);
    return code;
}

static int run(const struct cli *cli)
{
    char buffer[CONNECT_URI_SIZE], collection[COLLECTION_SIZE];
    struct bench bench = {.out = &cli->out, .error = LH_ERROR_INIT};
    const char *only = cli_text(cli, OPT_ONLY);
    int code = check_only(only, &bench.error);
    if (code == LH_OK)
        code = connect_options(cli, connect_timeout_ms(cli), connect_owner(), buffer,
                               &bench.options, &bench.error);
    if (code == LH_OK)
        code = name_collection(collection, &bench.error);
    if (code != LH_OK)
        return out_error(&cli->out, &bench.error);
    bench.options.collection = collection;
    bench.options.pool_size = BENCH_THREADS_MAX;
    code = bench_partner_start(&bench);
    bench_catch_signals();
    if (code == LH_OK)
        code = prepare(&bench);
    if (code == LH_OK)
        code = run_parts(&bench, only, (double)cli_number(cli, OPT_SECONDS, 20) * 1000);
    code = clean_up(&bench, code);
    explicit_bzero(buffer, sizeof buffer);
    int number = atomic_load(&bench_signal);
    if (code == LH_OK && number == 0)
        bench_print(&bench);
    for (int row = 0; row < ROWS; row++)
        samples_free(&bench.rows[row]);
    if (number != 0)
        return EXIT_SIGNAL + number;
    return code == LH_OK ? EXIT_DONE : out_error(&cli->out, &bench.error);
}

static const struct opt_spec options_table[] = {
    {OPT_SECONDS, OPT_NUMBER, "seconds", 0, "N", NULL, 1, 3600,
     "the approximate duration (default: 20)"},
    {OPT_ONLY, OPT_NAME, "only", 0, "NAME", NULL, 0, 0,
     "one part: commands, handoff, threads or hot"},
    {0},
};

const struct command cmd_bench = {
    .name = "bench",
    .run = run,
    .options = options_table,
    .summary = "measure the cost of leases on this deployment",
    .detail = "Measures leases beside a floor, alternating in one run. The floor is a plain\n"
              "upsert through the same driver, with the same write concern. Trust the ratios more\n"
              "than the milliseconds.\n"
              "It works in a collection of its own in the same database, leasehold_bench_ and a\n"
              "random number, and drops it at the end. It touches nothing else, but it keeps the\n"
              "deployment busy.",
    .example = "  $ leasehold bench --seconds 60\n"
               "  $ leasehold bench --only handoff --json\n",
};

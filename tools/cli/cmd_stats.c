/* SPDX-License-Identifier: Apache-2.0
 * leasehold stats: counts held and free keys, and waiters; as text, as JSON, and for Prometheus. */
#include <inttypes.h>
#include <stdio.h>

#include "common/cli.h"
#include "common/connect.h"
#include "common/json.h"
#include "common/stats.h"
#include "common/text.h"

static void print_json(const lh_stats_report *report)
{
    bson_t json;
    stats_object(&json, report);
    json_print(&json);
}

static void print_gauge(const char *name, const char *help)
{
    printf("# HELP leasehold_%s %s\n# TYPE leasehold_%s gauge\n", name, help, name);
}

/* Keys and owners are not labels, because their number has no bound. */
static void print_prometheus(const lh_stats_report *report)
{
    print_gauge("keys", "Keys by state; malformed ones count as held.");
    for (size_t i = 0; i < STATS_NUMBERS; i++)
        if (stats_numbers[i].state)
            printf("leasehold_keys{state=\"%s\"} %" PRIu64 "\n", stats_numbers[i].state,
                   stats_value(report, &stats_numbers[i]));
    print_gauge("shared_holders", "Leases on shared keys.");
    printf("leasehold_shared_holders %" PRIu64 "\n", report->shared_holders);
    print_gauge("queues", "Keys with waiters.");
    printf("leasehold_queues %" PRIu64 "\n", report->queues);
    print_gauge("waiters", "Waiters for all keys.");
    printf("leasehold_waiters %" PRIu64 "\n", report->waiters);
    print_gauge("oldest_lease_seconds",
                "Age of the lease that has been held for the longest time.");
    printf("leasehold_oldest_lease_seconds %.3f\n",
           (double)stats_age_ms(report, &report->oldest) / 1000);
    print_gauge("longest_wait_seconds", "The longest time that a current waiter has waited.");
    printf("leasehold_longest_wait_seconds %.3f\n",
           (double)stats_age_ms(report, &report->longest_wait) / 1000);
}

static void print_since(const char *label, const lh_stats_report *report, const lh_since *since)
{
    char age[TEXT_DURATION_SIZE];
    if (!since->key)
        return;
    text_from_duration(stats_age_ms(report, since), age);
    printf("%s: %s, ", label, age);
    out_text(since->key);
    fputs(", ", stdout);
    out_text(*since->owner ? since->owner : "(no name)");
    putchar('\n');
}

static void print_line(const char *words, uint64_t value)
{
    printf("%10" PRIu64 "  %s\n", value, words);
}

static void print_people(const lh_stats_report *report)
{
    print_line("keys", report->documents);
    for (size_t i = 0; i < STATS_NUMBERS; i++)
        print_line(stats_numbers[i].words, stats_value(report, &stats_numbers[i]));
    print_since("held longest", report, &report->oldest);
    print_since("waiting longest", report, &report->longest_wait);
}

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    lh_stats_report *report = NULL;
    lh_error error = LH_ERROR_INIT;
    lh_stats_options options = LH_STATS_OPTIONS_INIT;
    if (cli_flag(cli, OPT_TIMEOUT))
        options.timeout_ms = connect_timeout_ms(cli);
    int code = cli->out.json && cli_flag(cli, OPT_PROMETHEUS)
                   ? out_fail(&error, LH_INVALID, "either --json or --prometheus")
                   : connect_store(cli, connect_timeout_ms(cli), connect_owner(), &store, &error);
    if (code == LH_OK)
        code = lh_stats(store, &options, &report, &error);
    if (code == LH_OK && cli->out.json)
        print_json(report);
    else if (code == LH_OK && cli_flag(cli, OPT_PROMETHEUS))
        print_prometheus(report);
    else if (code == LH_OK)
        print_people(report);
    lh_stats_free(report);
    connect_close(store, code);
    return code == LH_OK ? EXIT_DONE : out_error(&cli->out, &error);
}

static const struct opt_spec options_table[] = {
    {OPT_PROMETHEUS, OPT_FLAG, "prometheus", 0, NULL, NULL, 0, 0, "print metrics for Prometheus"},
    {0},
};

const struct command cmd_stats = {
    .name = "stats",
    .run = run,
    .options = options_table,
    .summary = "count held, free and expired keys, and waiters",
    .detail = "The server reads every document once, which takes some seconds for a million. The\n"
              "command gives up after a minute, or after --timeout. For a textfile collector of\n"
              "Prometheus write the output of --prometheus to a file of another name, then rename\n"
              "that.",
    .example = "  $ leasehold stats\n"
               "          3  keys\n"
               "          1  held exclusively\n"
               "          0  shared\n"
               "          0  cannot be read, so held\n"
               "          2  free\n"
               "          0  past their end, not taken over\n"
               "          0  holders of shared keys\n"
               "          0  keys with waiters\n"
               "          0  waiters\n"
               "  held longest: 12 s, project:42, alice@web1\n",
};

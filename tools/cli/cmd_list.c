/* SPDX-License-Identifier: Apache-2.0
 * leasehold list: the held keys, as a table or a stream of objects. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/record.h"
#include "cli/table.h"
#include "common/cli.h"
#include "common/connect.h"
#include "common/text.h"

struct list {
    const struct out *out;
    struct table table;
    uint64_t n;
};

/* "18 s", "never", "3 min 2 s ago", "". */
static void ends_cell(const lh_holder *holder, char buffer[2 * TEXT_DURATION_SIZE])
{
    char duration[TEXT_DURATION_SIZE];
    buffer[0] = '\0';
    if (!holder)
        return;
    text_from_duration(holder->remaining_ms, duration);
    if (holder->remaining_ms == LH_NEVER)
        (void)snprintf(duration, sizeof duration, "never");
    (void)snprintf(buffer, 2 * TEXT_DURATION_SIZE, "%s%s", duration,
                   holder->remaining_ms > 0 ? "" : " ago");
}

/* "granted 12 s ago", "released 5 min ago": the last event, other than a renewal. */
static void last_cell(const lh_record *record, const lh_holder *holder,
                      char buffer[2 * TEXT_DURATION_SIZE])
{
    static const struct {
        const char *how, *word;
    } words[] = {{"release", "released"},
                 {"expire", "expired"},
                 {"transfer", "handed on"},
                 {"break", "broken"}};
    char ago[TEXT_DURATION_SIZE];
    const char *word = holder ? "granted" : "";
    int64_t at_ms = holder ? holder->acquired_at_ms : record->released_at_ms;
    for (size_t i = 0; !holder && i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].how, record->released_how) == 0)
            word = words[i].word;
    buffer[0] = '\0';
    if (!*word || at_ms == 0)
        return;
    text_from_duration(record->now_ms - at_ms, ago);
    (void)snprintf(buffer, 2 * TEXT_DURATION_SIZE, "%s %s %s", word, ago,
                   record->now_ms < at_ms ? "from now" : "ago");
}

static bool add_row(struct list *list, const lh_record *record)
{
    const lh_holder *holder = lh_record_holder(record, 0);
    char ends[2 * TEXT_DURATION_SIZE], last[2 * TEXT_DURATION_SIZE], token[24], waiting[24],
        *owner = NULL, *odd = NULL;
    ends_cell(holder, ends);
    last_cell(record, holder, last);
    (void)snprintf(token, sizeof token, "%" PRId64, record->token);
    (void)snprintf(waiting, sizeof waiting, "%zu", record->waiters);
    if (*record->id_json && asprintf(&odd, "%s%s_id %s", record->problem,
                                     *record->problem ? "; " : "", record->id_json) < 0)
        return false;
    if (holder && record->holders > 1 &&
        asprintf(&owner, "%s +%zu", holder->owner, record->holders - 1) < 0)
        return false;
    const char *cells[] = {
        record->key,
        record_state(record),
        owner    ? owner
        : holder ? holder->owner
                 : "",
        ends,
        last,
        record->waiters ? waiting : "",
        record->token ? token : "",
        odd      ? odd
        : holder ? holder->purpose
                 : "",
    };
    bool ok = table_row(&list->table, cells);
    free(owner);
    free(odd);
    return ok;
}

static int each(void *arg, const lh_record *record)
{
    struct list *list = arg;
    if (list->out->json) {
        record_print_json(record);
    } else if (list->out->quiet) {
        out_text(record->key);
        putchar('\n');
    } else {
        static const char *const heading[] = {"KEY",  "STATE",   "OWNER", "ENDS",
                                              "LAST", "WAITING", "TOKEN", "PURPOSE"};
        if (list->n == 0 && !table_row(&list->table, heading))
            return 1;
        if (!add_row(list, record))
            return 1;
    }
    list->n++;
    return ferror(stdout) ? 1 : 0;
}

static int run(const struct cli *cli)
{
    /* `leasehold list | head` ends as other programs do. There is nothing to undo. */
    (void)signal(SIGPIPE, SIG_DFL);
    lh_store *store = NULL;
    lh_error error = LH_ERROR_INIT;
    lh_list_options options = LH_LIST_OPTIONS_INIT;
    options.prefix = cli_text(cli, OPT_PREFIX);
    options.owner = cli_text(cli, OPT_OWNER);
    options.expired = cli_flag(cli, OPT_EXPIRED);
    options.malformed = cli_flag(cli, OPT_MALFORMED);
    options.free_too = cli_flag(cli, OPT_ALL);
    options.limit = (uint64_t)cli_number(cli, OPT_LIMIT, 0);
    struct list list = {.out = &cli->out};
    table_init(&list.table, 8);

    int code = connect_store(cli, connect_timeout_ms(cli), connect_owner(), &store, &error);
    if (code == LH_OK)
        code = lh_list(store, &options, each, &list, &error);
    table_flush(&list.table);
    connect_close(store, code);
    if (code != LH_OK)
        return out_stopped(&cli->out, &error);
    if (list.n == 0 && !cli->out.json)
        out_note(&cli->out, "nothing to show");
    return EXIT_DONE;
}

static const struct opt_spec options_table[] = {
    {OPT_PREFIX, OPT_TEXT, "prefix", 0, "TEXT", NULL, 0, 0, "only keys that begin with this"},
    {OPT_OWNER, OPT_NAME, "owner", 0, "NAME", NULL, 0, 0,
     "only keys that this owner holds or waits for"},
    {OPT_EXPIRED, OPT_FLAG, "expired", 0, NULL, NULL, 0, 0,
     "only holders past their end, not taken over yet"},
    {OPT_MALFORMED, OPT_FLAG, "malformed", 0, NULL, NULL, 0, 0,
     "only documents that cannot be read"},
    {OPT_ALL, OPT_FLAG, "all", 0, NULL, NULL, 0, 0, "also keys that are free"},
    {OPT_LIMIT, OPT_NUMBER, "limit", 0, "N", NULL, 1, INT64_MAX, "the largest number of keys"},
    {0},
};

const struct command cmd_list = {
    .name = "list",
    .run = run,
    .options = options_table,
    .summary = "list the held keys",
    .detail = "Prints the keys in order, as they arrive: their number does not matter.\n"
              "With --json one status object per line; with --quiet only the keys.",
    .example = "  $ leasehold list --prefix project:\n"
               "  KEY         STATE  OWNER       ENDS  LAST              WAITING  TOKEN            "
               "    PURPOSE\n"
               "  project:42  held   alice@web1  18 s  granted 12 s ago           "
               "7427466391552000000  rebuild\n",
};

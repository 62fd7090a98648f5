/* SPDX-License-Identifier: Apache-2.0
 * leasehold watch: prints a line for each event, as it happens. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/interrupt.h"
#include "cli/record.h"
#include "common/cli.h"
#include "common/connect.h"
#include "common/json.h"
#include "common/objects.h"
#include "common/text.h"

struct viewer {
    const struct out *out;
    size_t key_width; /* of the widest so far */
};

static int tone_of(int kind)
{
    switch (kind) {
    case LH_EVENT_GRANTED:
    case LH_EVENT_RELEASED:
    case LH_EVENT_TRANSFERRED:
        return OUT_GOOD;
    case LH_EVENT_BROKEN:
    case LH_EVENT_SPOILT:
    case LH_EVENT_GAP:
        return OUT_BAD;
    default:
        return OUT_WARN;
    }
}

static void print_padded(const char *text, size_t *width)
{
    size_t columns = 0;
    char *safe = text_safe(text, &columns);
    if (columns > *width)
        *width = columns < 40 ? columns : 40;
    printf("%s%*s", safe ? safe : "", columns < *width ? (int)(*width - columns) : 0, "");
    free(safe);
}

static void print_part(const char *before, const char *text)
{
    if (!*text)
        return;
    fputs(before, stdout);
    out_text(text);
}

/* ", ends in 30 s", ", kept for 20 s". Another program may write a lock whose end has passed. */
static void print_end(const lh_event *e)
{
    char duration[TEXT_DURATION_SIZE];
    if (e->kept_until_ms > 0) {
        text_from_duration(e->kept_until_ms - e->at_ms, duration);
        printf(", kept for %s", duration);
        return;
    }
    if (e->expires_at_ms == LH_NEVER) {
        fputs(", without an end", stdout);
        return;
    }
    int64_t remaining_ms =
        e->expires_at_ms - e->at_ms + 500; /* rounded: the two clocks differ a little */
    text_from_duration(remaining_ms, duration);
    printf(remaining_ms > 0 ? ", ends in %s" : ", ended %s ago", duration);
}

/* "2026-03-01T10:00:00.000Z  granted      project:42  alice (web1, pid 42), rebuild, ends in 30
 * s" */
static void print_line(struct viewer *viewer, const lh_event *e)
{
    char time[TEXT_TIME_SIZE];
    const char *word = lh_event_word(e->kind);
    printf("%s  ", text_time(e->at_ms, time) ? time : "?");
    out_word(viewer->out, tone_of(e->kind), word);
    printf("%*s", (int)(13 - strlen(word)), "");
    if (e->kind == LH_EVENT_OPENED || e->kind == LH_EVENT_GAP) {
        puts(e->kind == LH_EVENT_GAP ? "events may have been missed" : "watching");
        return;
    }
    bool holds = e->kind == LH_EVENT_GRANTED || e->kind == LH_EVENT_RENEWED;
    print_padded(e->key, &viewer->key_width);
    print_part("  ", holds && !*e->owner ? "(no name)" : e->owner);
    record_print_process(e->host, e->pid);
    fputs(e->mode == LH_SHARED ? ", shared" : "", stdout);
    print_part(", ", e->purpose);
    if (strcmp(e->how, "queue") == 0 || strcmp(e->how, "transfer") == 0)
        printf(", by %s", e->how);
    if (holds || e->kept_until_ms > 0)
        print_end(e);
    print_part(", by ", e->by);
    print_part(e->by[0] ? ": " : "  ", e->reason);
    print_part(", note: ", e->note);
    putchar('\n');
}

static int each(void *arg, const lh_event *event)
{
    struct viewer *viewer = arg;
    if (viewer->out->json) {
        bson_t json;
        object_event(&json, event);
        json_print(&json);
    } else {
        print_line(viewer, event);
    }
    return out_flush() ? 0 : 1;
}

static int run(const struct cli *cli)
{
    lh_store *store = NULL;
    lh_error error = LH_ERROR_INIT;
    sigset_t signals;
    struct viewer viewer = {.out = &cli->out, .key_width = 12};
    struct interrupt interrupt;
    interrupt_init_reader(&interrupt, &signals);
    lh_watch_options options = LH_WATCH_OPTIONS_INIT;
    options.keys = (const char *const *)cli->args.words;
    options.n_keys = (size_t)cli->args.n_words;
    options.prefix = cli_text(cli, OPT_PREFIX);
    options.after = cli_text(cli, OPT_AFTER);

    int code = connect_store(cli, connect_timeout_ms(cli), connect_owner(), &store, &error);
    if (code == LH_OK)
        code = interrupt_start(&interrupt, &error);
    if (code != LH_OK) {
        connect_close(store, code);
        return out_error(&cli->out, &error);
    }
    options.cancel = interrupt.cancel;
    code = lh_watch(store, &options, each, &viewer, &error);
    int number = interrupt_stop(&interrupt);
    connect_close(store, code);
    if (number)
        return EXIT_SIGNAL + number;
    return out_stopped(&cli->out, &error);
}

static const struct opt_spec options_table[] = {
    {OPT_PREFIX, OPT_TEXT, "prefix", 0, "TEXT", NULL, 0, 0,
     "also the keys that begin with this text"},
    {OPT_AFTER, OPT_NAME, "after", 0, "ID", NULL, 0, 0,
     "continue after the event with this id, as --json prints it"},
    {0},
};

const struct command cmd_watch = {
    .name = "watch",
    .run = run,
    .words = "[KEY…]",
    .any_words = true,
    .options = options_table,
    .summary = "print events on keys as they happen",
    .detail = "Prints a line for each event, of the given keys or of all, until a signal ends the\n"
              "command. Events: granted, renewed, released, transferred, broken, expired, queued,\n"
              "left (the queue), removed (the document), spoilt (the document cannot be read any\n"
              "more), opened (watching has begun) and gap (events may have been missed). A lease\n"
              "that ends by time shows up as expired when the key is taken over.\n"
              "With --json one object per line.\n"
              "On a replica set each event is printed once, also across elections. On a\n"
              "standalone the command reads the documents five times a second: it misses shorter\n"
              "changes, and there is no --after.",
    .example = "  $ leasehold watch --prefix project:\n"
               "  2026-03-01T10:00:00.412Z  opened       watching\n"
               "  2026-03-01T10:00:07.120Z  granted      project:42    alice@web1 (web1, pid "
               "4711), rebuild, ends in 30 s\n"
               "  2026-03-01T10:00:09.871Z  queued       project:42    bob@web2\n",
};

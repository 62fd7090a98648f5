/* SPDX-License-Identifier: Apache-2.0
 * Prints a record as text. Strings in a record come from the writer of the document, so they pass
 * through text_safe() before they reach a terminal. */
#include "cli/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/objects.h"
#include "common/text.h"

static const char *const state_words[] = {
    [LH_FREE] = "free", [LH_HELD] = "held", [LH_MALFORMED] = "malformed"};

const char *record_state(const lh_record *record)
{
    const lh_holder *holder = lh_record_holder(record, 0);
    if (record->state == LH_HELD && holder && holder->remaining_ms <= 0)
        return "expired";
    if (holder && holder->kept)
        return "kept";
    return state_words[record->state];
}

static void print_labelled(const char *label, const char *text)
{
    out_label(label);
    out_text(text);
    putchar('\n');
}

void record_print_process(const char *host, int64_t pid)
{
    if (!*host && !pid)
        return;
    fputs(" (", stdout);
    out_text(host);
    if (pid)
        printf("%spid %" PRId64, *host ? ", " : "", pid);
    putchar(')');
}

static void print_who(const lh_holder *holder)
{
    out_text(*holder->owner ? holder->owner : "(no name)");
    record_print_process(holder->host, holder->pid);
    puts(holder->mode == LH_SHARED ? ", shared" : "");
}

/* "2026-03-01T10:00:00.000Z, 12 s ago" */
static void print_instant(int64_t at_ms, int64_t now_ms)
{
    char time[TEXT_TIME_SIZE], ago[TEXT_DURATION_SIZE];
    text_from_duration(now_ms - at_ms, ago);
    printf("%s, %s %s\n", text_time(at_ms, time) ? time : "?", ago,
           now_ms < at_ms ? "from now" : "ago");
}

/* With a backslash before each quote and backslash. To be freed. */
static char *with_backslashes(const char *word)
{
    char *copy = malloc(2 * strlen(word) + 1), *to = copy;
    for (; copy && *word; *to++ = *word++)
        if (*word == '\'' || *word == '\\')
            *to++ = '\\';
    if (copy)
        *to = '\0';
    return copy;
}

/* A word for a shell. If its characters would mislead a reader, it has the form with escapes (bash,
 * zsh). */
static void print_word(const char *word)
{
    char *safe = text_safe(word, NULL);
    bool misleads = !safe || strcmp(safe, word) != 0;
    free(safe);
    if (misleads) {
        char *quoted = with_backslashes(word);
        fputs("$'", stdout);
        out_text(quoted ? quoted : "");
        putchar('\'');
        free(quoted);
        return;
    }
    putchar('\'');
    for (const char *quote; (quote = strchr(word, '\'')); word = quote + 1) {
        printf("%.*s", (int)(quote - word), word);
        fputs("'\\''", stdout);
    }
    printf("%s'", word);
}

/* The command for this record, with the key at the end, or with the _id if no lease could have the
 * key. */
static void print_command(const struct out *out, const char *command, const lh_record *record)
{
    char *advice = out_advice(out, command);
    fputs(advice ? advice : command, stdout);
    free(advice);
    fputs(*record->id_json ? " --id " : *record->key == '-' ? " -- " : " ", stdout);
    print_word(*record->id_json ? record->id_json : record->key);
    putchar('\n');
}

static void print_holder(const struct out *out, const lh_record *record, const lh_holder *holder)
{
    char duration[TEXT_DURATION_SIZE];
    out_label("holder");
    print_who(holder);
    if (*holder->purpose)
        print_labelled("purpose", holder->purpose);
    if (holder->acquired_at_ms) {
        out_label("since");
        print_instant(holder->acquired_at_ms, record->now_ms);
    }
    if (holder->remaining_ms == LH_NEVER) {
        out_label("ends");
        fputs("never by itself: it must be released, or broken: ", stdout);
        print_command(out, "leasehold break --reason TEXT", record);
        return;
    }
    text_from_duration(holder->remaining_ms, duration);
    out_label(holder->remaining_ms > 0 ? "ends in" : "ended");
    printf("%s%s\n", duration,
           holder->remaining_ms <= 0 ? " ago; the next acquire gets it"
           : holder->kept            ? "; it was released, and is kept until then"
                                     : " unless renewed");
}

static void print_waiters(const lh_record *record)
{
    const lh_waiter *waiter;
    for (size_t i = 0; (waiter = lh_record_waiter(record, i)); i++) {
        out_label(i == 0 ? "waiting" : "");
        out_text(waiter->owner);
        if (*waiter->purpose) {
            fputs(", ", stdout);
            out_text(waiter->purpose);
        }
        if (waiter->since_ms) {
            fputs(", since ", stdout);
            print_instant(waiter->since_ms, record->now_ms);
        } else {
            putchar('\n');
        }
    }
}

static void print_released(const lh_record *record)
{
    static const struct {
        const char *how, *text;
    } hows[] = {{"release", "released"},
                {"expire", "expired"},
                {"transfer", "handed on"},
                {"break", "broken"}};
    const char *text = record->released_how;
    for (size_t i = 0; i < sizeof hows / sizeof hows[0]; i++) {
        if (strcmp(hows[i].how, text) == 0)
            text = hows[i].text;
    }
    out_label("before");
    out_text(*record->released_owner ? record->released_owner : "(no name)");
    fputs(", ", stdout);
    out_text(text);
    if (*record->released_by && strcmp(record->released_by, record->released_owner) != 0) {
        fputs(" by ", stdout);
        out_text(record->released_by);
    }
    if (*record->released_reason) {
        fputs(": ", stdout);
        out_text(record->released_reason);
    }
    putchar('\n');
    if (record->released_at_ms) {
        out_label("");
        print_instant(record->released_at_ms, record->now_ms);
    }
    if (*record->note)
        print_labelled("note", record->note);
}

/* The odd _ids of a key: that of its own document, and that of another document whose _id is this
 * key. */
static void print_ids(const lh_record *record)
{
    if (*record->document_id) {
        out_label("_id");
        out_text(record->document_id);
        puts(" (not its key)");
    }
    if (*record->id_taken_by) {
        out_label("");
        fputs("the document with this name as its _id has the key ", stdout);
        out_text(record->id_taken_by);
        putchar('\n');
    }
}

void record_print(const struct out *out, const lh_record *record)
{
    const lh_holder *holder;
    out_outcome(out,
                record->state == LH_FREE   ? OUT_GOOD
                : record->state == LH_HELD ? OUT_WARN
                                           : OUT_BAD,
                record_state(record), record->key);
    putchar('\n');
    if (record->state == LH_MALFORMED) {
        out_label("problem");
        out_text(record->problem);
        puts("; it counts as held");
        out_label("to do");
        fputs("correct it, or move it to the archive: ", stdout);
        print_command(out, "leasehold migrate --quarantine --even-live", record);
    }
    for (size_t i = 0; (holder = lh_record_holder(record, i)); i++)
        print_holder(out, record, holder);
    if (record->token) {
        out_label("token");
        printf("%" PRId64 "\n", record->token);
    }
    print_waiters(record);
    if (*record->released_how)
        print_released(record);
    print_ids(record);
}

static const char *why_sentence(const lh_record *record)
{
    switch (record ? record->why : LH_WHY_RACE) {
    case LH_WHY_QUEUE:
        return "others wait ahead";
    case LH_WHY_MALFORMED:
        return "its document cannot be read, so the key counts as held: `leasehold list "
               "--malformed` shows why";
    case LH_WHY_FULL:
        return "it has as many shared holders as are allowed";
    case LH_WHY_FULL_QUEUE:
        return "it has as many waiters as are allowed";
    case LH_WHY_PATH:
        return "somebody holds a path above or below it";
    case LH_WHY_RACE:
        return "others were faster at each attempt";
    default:
        return "somebody else holds it";
    }
}

void record_print_busy(const struct out *out, const char *key, const lh_record *record,
                       const lh_error *error)
{
    if (out->json) {
        bson_t json;
        json_init(&json, "busy");
        object_append_busy(&json, key, record, error);
        json_print(&json);
        return;
    }
    if (out->quiet)
        return;
    char duration[TEXT_DURATION_SIZE];
    const lh_holder *holder = record ? lh_record_holder(record, 0) : NULL;
    out_outcome(out, OUT_WARN, "busy", key);
    char *why = out_advice(out, why_sentence(record));
    printf(": %s\n", why ? why : "");
    free(why);
    if (record && record->why == LH_WHY_PATH) {
        out_label("path");
        out_text(record->key);
        putchar('\n');
    }
    if (holder)
        print_holder(out, record, holder);
    if (record && record->holders > 1)
        printf("  and %zu more share it\n", record->holders - 1);
    if (record && record->waiters > 0)
        printf("  %zu waiting ahead\n", record->waiters);
    if (record && record->retry_after_ms > 0 && record->why != LH_WHY_MALFORMED) {
        text_from_duration(record->retry_after_ms, duration);
        out_label("retry");
        printf("in %s, or let --wait do it\n", duration);
    }
}

void record_print_json(const lh_record *record)
{
    bson_t json;
    object_status(&json, record);
    json_print(&json);
}

char *record_sentence(const char *key, const lh_record *record)
{
    const lh_holder *holder = record ? lh_record_holder(record, 0) : NULL;
    char duration[TEXT_DURATION_SIZE], *text = NULL;
    int n;
    if (record && record->why == LH_WHY_PATH)
        key = record->key;
    if (!holder || !*holder->owner) {
        n = asprintf(&text, "%s: %s", key, why_sentence(record));
    } else if (holder->remaining_ms == LH_NEVER) {
        n = asprintf(&text, "%s is held by %s, without an end", key, holder->owner);
    } else {
        text_from_duration(holder->remaining_ms > 0 ? holder->remaining_ms : 0, duration);
        n = holder->kept ? asprintf(&text, "%s was released by %s, and is kept for %s more", key,
                                    holder->owner, duration)
                         : asprintf(&text, "%s is held by %s, for %s more unless renewed", key,
                                    holder->owner, duration);
    }
    return n < 0 ? NULL : text;
}

/* The note of the previous holder. */
static void print_note(const struct out *out, lh_lease *lease)
{
    const lh_note *note = NULL;
    lh_error error = LH_ERROR_INIT;
    if (lh_lease_note(lease, &note, &error) != LH_OK)
        out_note(out, "cannot read whether the previous holder left a note: %s", error.message);
    else if (note)
        print_labelled("note", note->text);
}

void record_note_rollout(const struct out *out, const lh_lease *lease)
{
    const lh_error *refusal = lh_lease_refusal(lease);
    if (!lh_lease_enforced(lease))
        out_note(out, "LEASEHOLD_MODE: the lease is not enforced%s%s",
                 refusal ? ", and would have been refused: " : "", refusal ? refusal->message : "");
}

static void print_granted(const struct out *out, lh_lease *lease, const char *owner)
{
    if (out->json) {
        bson_t json;
        object_lease(&json, "granted", lease, owner);
        json_print(&json);
    } else if (out->quiet) {
        puts(lh_lease_id(lease));
    } else {
        char duration[TEXT_DURATION_SIZE];
        text_from_duration(lh_lease_ttl_ms(lease), duration);
        out_outcome(out, OUT_GOOD, "granted", lh_lease_key(lease));
        printf("\n  lease    %s\n  token    %" PRId64
               "\n  ends in  %s unless renewed; release it when done\n",
               lh_lease_id(lease), lh_lease_token(lease), duration);
        print_note(out, lease);
        record_note_rollout(out, lease);
    }
}

int record_hand_over(const struct out *out, lh_lease *lease, const char *owner)
{
    print_granted(out, lease, owner);
    if (out_flush())
        return EXIT_DONE;
    lh_error error = LH_ERROR_INIT;
    if (lh_lease_release(lease, &error) == LH_OK)
        out_note(out, "the lease was released again, because it could not be printed");
    else
        out_note(out, "the lease could not be released again; it ends with its ttl: %s",
                 error.message);
    return EXIT_UNKNOWN;
}

/* SPDX-License-Identifier: Apache-2.0
 * The output of the program. Every command writes through this file, so that errors, colours and
 * exit codes are the same everywhere. */
#include "common/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/text.h"

int out_exit_code(int outcome)
{
    switch (outcome) {
    case LH_OK:
        return EXIT_DONE;
    case LH_INVALID:
        return EXIT_USAGE;
    case LH_DATA:
        return EXIT_DATA;
    case LH_UNREACHABLE:
        return EXIT_UNREACHABLE;
    case LH_UNKNOWN:
        return EXIT_UNKNOWN;
    case LH_BUSY:
        return EXIT_BUSY;
    case LH_LOST:
        return EXIT_LOST;
    case LH_DENIED:
        return EXIT_DENIED;
    case LH_CONFIG:
    case LH_SERVER: /* refused for good: a person must change something */
        return EXIT_CONFIG;
    default: /* LH_BUG, LH_MEMORY, LH_FORKED, LH_STOPPED: nothing that a caller can do about */
        return EXIT_BUG;
    }
}

int out_fail(lh_error *error, int code, const char *format, ...)
{
    int reason = code >= 100 ? code : 0; /* as LH_REASONS says */
    code = reason ? reason / 100 : code;
    *error = (lh_error){.size = sizeof *error, .code = code, .reason = reason};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    return code;
}

static void print_name(const struct out *out)
{
    fflush(stdout); /* in one log the result stands before what is said of it */
    fputs(out->command ? "leasehold " : "leasehold", stderr);
    fputs(out->command ? out->command : "", stderr);
    fputs(": ", stderr);
}

/* The length of "leasehold COMMAND" where the text begins with it; 0: it does not, or speaks of
 * itself ("leasehold run: …"). */
static size_t advised(const char *text)
{
    static const char *const names[] = {"acquire", "audit",  "bench",   "break",   "cleanup",
                                        "doctor",  "key",    "list",    "migrate", "reap",
                                        "release", "renew",  "run",     "serve",   "completion",
                                        "stats",   "status", "torture", "watch",   "transfer"};
    static const char program[] = "leasehold ";
    const char *word = text + sizeof program - 1;
    if (strncmp(text, program, sizeof program - 1) != 0)
        return 0;
    size_t len = strspn(word, "abcdefghijklmnopqrstuvwxyz");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i]) == len && strncmp(names[i], word, len) == 0 && word[len] != ':')
            return sizeof program - 1 + len;
    }
    return 0;
}

char *out_advice(const struct out *out, const char *text)
{
    char *copy = NULL;
    size_t size;
    FILE *to = open_memstream(&copy, &size);
    while (to && *text) {
        size_t len = out->same ? advised(text) : 0;
        fprintf(to, "%.*s%s", (int)(len ? len : 1), text, len ? out->same : "");
        text += len ? len : 1;
    }
    if (to && fclose(to) == 0)
        return copy;
    free(copy);
    return NULL;
}

static void say(const struct out *out, const char *sentence)
{
    char *safe = text_safe(sentence, NULL);
    print_name(out);
    fprintf(stderr, "%s\n", safe ? safe : lh_outcome_sentence(LH_MEMORY));
    free(safe);
}

static int fail_with(const struct out *out, const char *word, int reason, int exit,
                     const char *sentence, const char *lease_id)
{
    char *advice = out_advice(out, sentence);
    const char *message = advice ? advice : sentence;
    say(out, message);
    if (*lease_id)
        fprintf(stderr, "  the lease in doubt is %s: release it, or wait until it has ended\n",
                lease_id);
    if (out->json) {
        bson_t json;
        json_init(&json, "error");
        json_text(&json, "code", word);
        if (reason)
            json_text(&json, "reason", lh_reason_word(reason));
        json_number(&json, "exit", exit);
        json_text(&json, "message", message);
        if (*lease_id)
            json_text(&json, "lease", lease_id);
        json_print(&json);
    }
    free(advice);
    return exit;
}

int out_error(const struct out *out, const lh_error *error)
{
    return fail_with(out, lh_outcome_word(error->code), error->reason, out_exit_code(error->code),
                     *error->message ? error->message : lh_outcome_sentence(error->code),
                     error->lease_id);
}

int out_stopped(const struct out *out, lh_error *error)
{
    if (error->code == LH_STOPPED && ferror(stdout))
        return EXIT_UNKNOWN;
    if (error->code == LH_STOPPED)
        out_fail(error, LH_MEMORY, "out of memory");
    return out_error(out, error);
}

int out_failure(const struct out *out, const char *word, int exit, const char *message)
{
    return fail_with(out, word, 0, exit, message, "");
}

void out_note(const struct out *out, const char *format, ...)
{
    if (out->quiet)
        return;
    char line[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    say(out, line);
}

void out_word(const struct out *out, int tone, const char *word)
{
    static const char *const colors[] = {
        [OUT_GOOD] = "\033[32m", [OUT_WARN] = "\033[33m", [OUT_BAD] = "\033[31m"};
    if (out->color)
        printf("%s%s\033[0m", colors[tone], word);
    else
        fputs(word, stdout);
}

void out_text(const char *text)
{
    char *safe = text_safe(text, NULL);
    fputs(safe ? safe : "", stdout);
    free(safe);
}

void out_outcome(const struct out *out, int tone, const char *word, const char *key)
{
    out_word(out, tone, word);
    fputs("  ", stdout);
    out_text(key);
}

void out_label(const char *label)
{
    printf("  %-9s", label);
}

void out_progress(const struct out *out, const char *line)
{
    if (!out->progress || out->quiet)
        return;
    fprintf(stderr, "\r%s\033[K", line ? line : "");
    fflush(stderr);
}

/* The errno of the first failed write; stdout itself records only that a write failed. */
static int write_errno;

bool out_flush(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    if (!write_errno)
        write_errno = errno;
    return false;
}

int out_finish(const struct out *out, int exit)
{
    bool written = out_flush();
    if (fclose(stdout) != 0 && written) {
        written = false;
        write_errno = errno;
    }
    if (written)
        return exit;
    print_name(out);
    fprintf(stderr, "the result could not be written%s%s\n", write_errno ? ": " : "",
            write_errno ? strerror(write_errno) : "");
    return exit == EXIT_DONE ? EXIT_UNKNOWN : exit;
}

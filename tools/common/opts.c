/* SPDX-License-Identifier: Apache-2.0
 * Options by specification, on top of getopt_long. Stricter than it is by itself: abbreviations are
 * refused, because they would break scripts on the day that a new option begins with the same
 * letters. */
#include "common/opts.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/out.h"
#include "common/text.h"

enum {
    MOST_OPTIONS = OPT_IDS,
    LONG_BASE = 256, /* above all letters: what getopt_long returns for the i-th option */
};

const struct opt_spec opts_global[] = {
    {OPT_URI, OPT_SECRET, "uri", 0, "URI", "LEASEHOLD_URI", 0, 0,
     "the deployment: mongodb://host1,host2/?replicaSet=name (default: MONGODB_URI)"},
    {OPT_URI_FILE, OPT_NAME, "uri-file", 0, "FILE", "LEASEHOLD_URI_FILE", 0, 0,
     "a file with the URI in it, or - for stdin: keeps passwords off the command line"},
    {OPT_DB, OPT_NAME, "db", 0, "NAME", "LEASEHOLD_DB", 0, 0,
     "the database (default: the URI's, else leasehold)"},
    {OPT_COLLECTION, OPT_NAME, "collection", 0, "NAME", "LEASEHOLD_COLLECTION", 0, 0,
     "the collection (default: workspace_locks)"},
    {OPT_AUDIT, OPT_NAME, "audit", 0, "NAME", "LEASEHOLD_AUDIT", 0, 0,
     "keep an audit trail in this collection; `on`: the collection's name and _audit (default: "
     "none)"},
    {OPT_TIMEOUT, OPT_DURATION, "timeout", 0, "DURATION", "LEASEHOLD_TIMEOUT", 100, 600000,
     "when to give up on a server that does not answer (default: 10s)"},
    {OPT_INSECURE_TLS, OPT_FLAG, "insecure-tls", 0, NULL, NULL, 0, 0,
     "for tests: allow a URI that switches off checks of TLS (tlsInsecure, tlsAllowInvalid…)"},
    {OPT_JSON, OPT_FLAG, "json", 0, NULL, NULL, 0, 0,
     "print results, and errors too, as JSON objects on stdout"},
    {OPT_QUIET, OPT_FLAG, "quiet", 'q', NULL, NULL, 0, 0, "print only what a script needs"},
    {OPT_VERBOSE, OPT_FLAG, "verbose", 'v', NULL, NULL, 0, 0, "print more"},
    {OPT_NO_COLOR, OPT_FLAG, "no-color", 0, NULL, NULL, 0, 0,
     "no colours (also with NO_COLOR in the environment)"},
    {OPT_HELP, OPT_FLAG, "help", 'h', NULL, NULL, 0, 0, "explain the command"},
    {OPT_VERSION, OPT_FLAG, "version", 0, NULL, NULL, 0, 0, "print the version"},
    {0},
};

const struct opt_spec opts_lease[] = {
    {OPT_TTL, OPT_DURATION, "ttl", 0, "DURATION", "LEASEHOLD_TTL", LH_TTL_MIN_MS, LH_TTL_MAX_MS,
     "how long the lease lasts without a renewal (default: 30s)"},
    {OPT_SHARED, OPT_FLAG, "shared", 0, NULL, NULL, 0, 0, "share the key with other readers"},
    {OPT_OWNER, OPT_NAME, "owner", 0, "NAME", "LEASEHOLD_OWNER", 0, 0,
     "the holder's name, which others see (default: user@host)"},
    {OPT_PURPOSE, OPT_TEXT, "purpose", 0, "TEXT", NULL, 0, 0, "the reason, which others see"},
    {OPT_PATH, OPT_FLAG, "path", 0, NULL, NULL, 0, 0,
     "the key is a path: org/project excludes org, and all paths below org/project; all users of a "
     "tree use --path"},
    {OPT_RESUME, OPT_FLAG, "resume", 0, NULL, NULL, 0, 0,
     "take over the lease of the same --owner: for a restarted program with an owner name of its "
     "own"},
    {0},
};

/* The options that are known at some point, in the form that getopt_long wants. */
struct menu {
    const struct opt_spec *specs[MOST_OPTIONS];
    int n;
    struct option longs[MOST_OPTIONS + 1];
    char letters[2 * MOST_OPTIONS + 3];
};

bool args_init(struct args *args, int argc)
{
    *args = (struct args){0};
    args->words = calloc((size_t)argc + 1, sizeof *args->words);
    args->owned =
        calloc(2 * ((size_t)argc + 1) + OPT_IDS, sizeof *args->owned); /* two for each option */
    args->hidden = calloc((size_t)argc + 1, sizeof *args->hidden);
    return args->words && args->owned && args->hidden;
}

void args_fini(struct args *args)
{
    for (int i = 0; i < args->n_owned; i++)
        free(args->owned[i]);
    free(args->owned);
    free(args->hidden);
    free(args->words);
}

const char *opts_quotable(const char *word, char buffer[64])
{
    if (strstr(word, "://"))
        return "(a connection string)";
    (void)snprintf(buffer, 64, "%s%s", strlen(word) > 60 ? "" : word,
                   strlen(word) > 60 ? "(something long)" : "");
    return buffer;
}

bool opts_wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}

static void menu_add(struct menu *menu, const struct opt_spec *specs)
{
    for (; specs && specs->name; specs++) {
        int takes = specs->kind == OPT_FLAG ? no_argument : required_argument;
        menu->longs[menu->n] = (struct option){specs->name, takes, NULL, LONG_BASE + menu->n};
        menu->specs[menu->n++] = specs;
        if (specs->letter) {
            char letter[] = {specs->letter, takes == required_argument ? ':' : '\0', '\0'};
            strcat(menu->letters, letter);
        }
    }
}

/* A word that is no option is handed over where it stands (`-`), and a missing value is told from
 * an unknown option (`:`). */
static void menu_init(struct menu *menu, const struct opt_spec *const tables[OPTS_TABLES])
{
    *menu = (struct menu){.letters = "-:"};
    for (size_t i = 0; tables && i < OPTS_TABLES; i++)
        menu_add(menu, tables[i]);
    menu_add(menu, opts_global);
}

static const struct opt_spec *menu_find(const struct menu *menu, int value)
{
    for (int i = 0; i < menu->n; i++) {
        if (value == LONG_BASE + i || (value < LONG_BASE && value == menu->specs[i]->letter))
            return menu->specs[i];
    }
    return NULL;
}

/* "--uri=secret" → "--uri", "--urimongodb://secret" → "--urimongodb": an error must not repeat the
 * value. */
static void option_name(const char *word, char buffer[64])
{
    (void)snprintf(buffer, 64, "%.*s", (int)strcspn(word, "=:"), word);
}

static int unknown_option(const struct menu *menu, const char *word, lh_error *error)
{
    char name[64];
    option_name(word, name);
    if (strncmp(word, "--", 2) != 0)
        return out_fail(
            error, LH_INVALID,
            "there is no option %.2s (see --help); put -- before an argument that begins with -",
            word);
    const char *names[MOST_OPTIONS + 1] = {0};
    for (int i = 0; i < menu->n; i++)
        names[i] = menu->specs[i]->name;
    const char *nearest = text_nearest(name + 2, names);
    if (nearest)
        return out_fail(error, LH_INVALID, "there is no option %s here; did you mean --%s?", name,
                        nearest);
    return out_fail(error, LH_INVALID, "there is no option %s here (see --help)", name);
}

static int out_of_range(const struct opt_spec *spec, const char *from, const char *text,
                        lh_error *error)
{
    char least[TEXT_DURATION_SIZE], most[TEXT_DURATION_SIZE], quoted[64];
    if (spec->kind == OPT_NUMBER)
        return out_fail(error, LH_INVALID, "%s: \"%s\" is not a number from %lld to %lld", from,
                        opts_quotable(text, quoted), (long long)spec->min, (long long)spec->max);
    text_as_option(spec->min, least);
    text_as_option(spec->max, most);
    return out_fail(error, LH_INVALID, "%s: %s is not between %s and %s", from,
                    opts_quotable(text, quoted), least, most);
}

/* The text without the white space that a file, a variable or a shell put around it. NULL: out of
 * memory. */
static const char *trim(struct args *args, const char *text)
{
    size_t len;
    const char *start = lh_trim(text, &len);
    if (start[len] == '\0')
        return start;
    char *copy = strndup(start, len);
    if (copy)
        args->owned[args->n_owned++] = copy;
    return copy;
}

/* Puts `text` under its option; `from` is "--ttl" or "LEASEHOLD_TTL". */
static int set(struct args *args, const struct opt_spec *spec, const char *from, const char *text,
               lh_error *error)
{
    struct opt_value value = {.given = true, .text = text, .number = 1};
    char quoted[64];
    if (spec->kind != OPT_FLAG && spec->kind != OPT_TEXT && !(value.text = text = trim(args, text)))
        return out_fail(error, LH_MEMORY, "out of memory");
    switch (spec->kind) {
    case OPT_FLAG:
    case OPT_TEXT:
    case OPT_NAME:
    case OPT_SECRET:
        break;
    case OPT_NUMBER:
        if (!text_number(text, &value.number) || value.number < spec->min ||
            value.number > spec->max)
            return out_of_range(spec, from, text, error);
        break;
    case OPT_PATIENCE:
        if (strcmp(text, "forever") == 0) {
            value.number = INT64_MAX;
            break;
        }
        /* fall through */
    case OPT_DURATION:
        if (!text_duration(text, &value.number))
            return out_fail(error, LH_INVALID,
                            "%s: \"%s\" is not a duration: write 250ms, 30s, 5m, 2h or 7d%s", from,
                            opts_quotable(text, quoted),
                            spec->kind == OPT_PATIENCE ? ", or forever" : "");
        if (value.number < spec->min || value.number > spec->max)
            return out_of_range(spec, from, text, error);
        break;
    }
    args->opt[spec->id] = value;
    return LH_OK;
}

/* Keeps a copy of a secret and blackens it where `ps` would show it. */
static char *take_secret(struct args *args, char *on_the_line)
{
    char *copy = strdup(on_the_line);
    if (copy) {
        args->owned[args->n_owned++] = copy;
        args->hidden[args->n_hidden++] = (struct hidden){on_the_line, copy};
    }
    memset(on_the_line, 'x', strlen(on_the_line));
    return copy;
}

void opts_uncover(const struct args *args)
{
    for (int i = 0; i < args->n_hidden; i++)
        memcpy(args->hidden[i].on_the_line, args->hidden[i].copy, strlen(args->hidden[i].copy));
}

/* One step of getopt_long: an option goes into args, the index of a word that is none into
 * *ret_word (else 0). LH_OK, LH_INVALID; LH_STOPPED at the end of the options. */
static int step(const struct menu *menu, int argc, char **argv, struct args *args, int *ret_word,
                lh_error *error)
{
    int at = optind ? optind : 1;
    int value = getopt_long(argc, argv, menu->letters, menu->longs, NULL);
    *ret_word = 0;
    if (value == -1)
        return LH_STOPPED;
    if (value == 1) {
        *ret_word = at;
        return LH_OK;
    }
    char name[64];
    option_name(argv[at], name);
    const struct opt_spec *spec = menu_find(menu, value == '?' || value == ':' ? optopt : value);
    if (value == ':')
        return out_fail(error, LH_INVALID, "%s needs a value", name);
    if (value == '?' && spec && optopt >= LONG_BASE)
        return out_fail(error, LH_INVALID, "%s takes no value", name);
    bool is_long = strncmp(argv[at], "--", 2) == 0;
    if (value == '?' || !spec || (is_long && strcmp(name + 2, spec->name) != 0))
        return unknown_option(menu, argv[at], error);
    if (!is_long)
        (void)snprintf(name, sizeof name, "-%c", spec->letter);
    const char *text = spec->kind == OPT_SECRET ? take_secret(args, optarg) : optarg;
    if (spec->kind != OPT_FLAG && !text)
        return out_fail(error, LH_MEMORY, "out of memory");
    return set(args, spec, name, text, error);
}

int opts_parse_globals(int argc, char **argv, struct args *args, int *ret_command, lh_error *error)
{
    struct menu menu;
    menu_init(&menu, NULL);
    optind = 0; /* begin anew */
    opterr = 0; /* the sentences are ours */
    int word = 0, code = LH_OK;
    while (code == LH_OK && !word)
        code = step(&menu, argc, argv, args, &word, error);
    *ret_command = word ? word : optind;
    args->dashes = code == LH_STOPPED && optind < argc;
    return code == LH_STOPPED ? LH_OK : code;
}

int opts_parse_command(int argc, char **argv, const struct opt_spec *const tables[OPTS_TABLES],
                       bool takes_rest, struct args *args, lh_error *error)
{
    struct menu menu;
    menu_init(&menu, tables);
    optind = 0;
    opterr = 0;
    int word, code;
    while ((code = step(&menu, argc, argv, args, &word, error)) == LH_OK) {
        if (word)
            args->words[args->n_words++] = argv[word];
    }
    if (code != LH_STOPPED)
        return code;
    char **rest = argv + optind;
    int n_rest = argc - optind;
    /* A key that begins with '-' stands after a `--` of its own: run -- -key -- CMD. */
    while (n_rest > 0 && (!takes_rest || args->n_words == 0)) {
        args->words[args->n_words++] = *rest++;
        n_rest--;
        if (takes_rest && n_rest > 0 && strcmp(*rest, "--") == 0) {
            rest++;
            n_rest--;
        }
    }
    args->rest = rest;
    args->n_rest = n_rest;
    return LH_OK;
}

int opts_from_environment(const struct opt_spec *specs, struct args *args, lh_error *error)
{
    for (; specs && specs->name; specs++) {
        const char *text = specs->env ? getenv(specs->env) : NULL;
        size_t len = 0;
        if (text)
            (void)lh_trim(text, &len);
        if (len == 0 || args->opt[specs->id].given)
            continue;
        int code = set(args, specs, specs->env, text, error);
        if (code != LH_OK)
            return code;
        args->opt[specs->id].from_env = true;
    }
    return LH_OK;
}

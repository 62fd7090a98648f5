/* SPDX-License-Identifier: Apache-2.0
 * Options by specification: the options of a command are a table, and parsing, environment, ranges
 * and help all read it. */
#ifndef COMMON_OPTS_H
#define COMMON_OPTS_H

#include <leasehold/leasehold.h>
#include <stdbool.h>
#include <stdint.h>

enum opt_id {
    OPT_URI,
    OPT_URI_FILE,
    OPT_DB,
    OPT_COLLECTION,
    OPT_TIMEOUT,
    OPT_INSECURE_TLS,
    OPT_JSON,
    OPT_QUIET,
    OPT_VERBOSE,
    OPT_NO_COLOR,
    OPT_HELP,
    OPT_VERSION,
    OPT_TTL,
    OPT_WAIT,
    OPT_SHARED,
    OPT_OWNER,
    OPT_PURPOSE,
    OPT_PATH,
    OPT_RESUME,
    OPT_LEASE,
    OPT_GRACE,
    OPT_BUSY_EXIT,
    OPT_PREFIX,
    OPT_EXPIRED,
    OPT_MALFORMED,
    OPT_ALL,
    OPT_LIMIT,
    OPT_DRY_RUN,
    OPT_ARCHIVE,
    OPT_NO_ARCHIVE,
    OPT_QUARANTINE,
    OPT_ID,
    OPT_EVEN_LIVE,
    OPT_NO_TRIAL,
    OPT_TRIAL,
    OPT_EVEN_MOST,
    OPT_ADOPT,
    OPT_ACCEPT_FOREIGN_KEYS,
    OPT_OLDER_THAN,
    OPT_REASON,
    OPT_TOKEN,
    OPT_YES,
    OPT_AS,
    OPT_ROLES,
    OPT_TO,
    OPT_AFTER,
    OPT_NOTE,
    OPT_PASS_URI,
    OPT_SEED,
    OPT_SECONDS,
    OPT_PROCESSES,
    OPT_KEYS,
    OPT_FAULTS,
    OPT_HISTORY,
    OPT_CHECK,
    OPT_KEEP,
    OPT_ONLY,
    OPT_LISTEN,
    OPT_TOKEN_FILE,
    OPT_ADMIN_TOKEN_FILE,
    OPT_MAX_WAIT,
    OPT_MAX_WAITS,
    OPT_MAX_WAITS_PER_CLIENT,
    OPT_DEFAULT_TTL,
    OPT_MAX_TTL,
    OPT_HIDE_HOSTS,
    OPT_PROMETHEUS,
    OPT_AUDIT,
    OPT_AUDIT_KEEP,
    OPT_SINCE,
    OPT_FOLLOW,
    OPT_CLEANUP_EVERY,
    OPT_PROBE,
    OPT_RELEASE_AT_EXIT,
    OPT_IDS,
};

enum opt_kind {
    OPT_FLAG,
    OPT_TEXT,   /* as it is given */
    OPT_NAME,   /* text without the white space around it, as the kinds below */
    OPT_SECRET, /* text; its place on the command line is overwritten, so that `ps` does not show it
                 */
    OPT_DURATION, /* min to max milliseconds */
    OPT_PATIENCE, /* the same, and `forever` (INT64_MAX) */
    OPT_NUMBER,   /* min to max */
};

/* The longest --older-than: a hundred years. */
#define OLDER_THAN_MAX (INT64_C(1000) * 3600 * 24 * 366 * 100)

struct opt_spec {
    enum opt_id id;
    enum opt_kind kind;
    const char *name;  /* NULL ends a table */
    char letter;       /* also as -E; 0: none */
    const char *value; /* what help calls its value */
    const char *env;   /* what the environment may say instead; NULL: nothing */
    int64_t min, max;
    const char *help;
};

struct opt_value {
    bool given;
    bool from_env;    /* not on the command line */
    const char *text; /* OPT_TEXT, OPT_SECRET */
    int64_t number;   /* the other kinds; 1 for a flag */
};

struct args {
    struct opt_value opt[OPT_IDS];
    char **words; /* what is no option, in order: the key */
    int n_words;
    char **rest; /* for a command that takes a command line: what follows `--`; ends in NULL */
    int n_rest;
    char **owned; /* copies of secrets, and of what was trimmed */
    int n_owned;
    struct hidden {
        char *on_the_line, *copy;
    } * hidden; /* the secrets of the command line, which were overwritten there */
    int n_hidden;
    bool dashes; /* a `--` stood before the command */
};

extern const struct opt_spec opts_global[]; /* of every command */
extern const struct opt_spec opts_lease[];  /* of those that acquire */

enum { OPTS_TABLES = 2 }; /* of a command: its own and those in common; either may be NULL */

/* Room for what argc words can hold. */
bool args_init(struct args *args, int argc);
void args_fini(struct args *args);

/* Reads global options from argv[1] on, up to the first word that is none: *ret_command is its
 * index, argc when there is none. LH_OK or LH_INVALID. */
int opts_parse_globals(int argc, char **argv, struct args *args, int *ret_command, lh_error *error);

/* Reads the options of `tables` and the global ones after argv[0], which is the command's name.
 * With `takes_rest` the words after `--` are kept apart; else they are words like the others. LH_OK
 * or LH_INVALID. */
int opts_parse_command(int argc, char **argv, const struct opt_spec *const tables[OPTS_TABLES],
                       bool takes_rest, struct args *args, lh_error *error);

/* Writes the secrets back to their place on the command line, for a program that gets the same
 * line. */
void opts_uncover(const struct args *args);

/* Fills the options that were not given from the environment. LH_OK or LH_INVALID. */
int opts_from_environment(const struct opt_spec *specs, struct args *args, lh_error *error);

/* Is --json on the line, before any `--`? For errors that come before the options are
 * understood. */
bool opts_wants_json(int argc, char **argv);

/* A word of the command line as an error may quote it: cut, and hidden when it looks like a
 * connection string. */
const char *opts_quotable(const char *word, char buffer[64]);

#endif

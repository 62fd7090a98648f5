/* SPDX-License-Identifier: Apache-2.0
 * The output of the program: results on stdout, errors, exit codes, colours. */
#ifndef COMMON_OUT_H
#define COMMON_OUT_H

#include <leasehold/leasehold.h>
#include <stdbool.h>

/* The contract with scripts. */
enum {
    EXIT_DONE = 0,
    EXIT_USAGE = 64,
    EXIT_DATA = 65,
    EXIT_UNREACHABLE = 69,
    EXIT_BUG = 70,
    EXIT_UNKNOWN = 74,
    EXIT_BUSY = 75,
    EXIT_LOST = 76,
    EXIT_DENIED = 77,
    EXIT_CONFIG = 78,
    EXIT_SIGNAL = 128, /* and the signal's number */
};

/* The form of the output. It is set once, from the options. */
struct out {
    const char *command; /* for "leasehold acquire: …"; NULL before a command is known */
    bool json, quiet, verbose;
    bool color;    /* stdout is a terminal, and nobody asked for none */
    bool progress; /* stderr is a terminal */
    /* Options of this command line, without which a command that a message advises would look
     * elsewhere. NULL: none. To be freed. */
    char *same;
};

enum { OUT_GOOD, OUT_WARN, OUT_BAD };

/* The exit code of an lh_outcome. */
int out_exit_code(int outcome);

/* Fills `error` and returns the outcome: how every function of the command line fails. `code` is an
 * outcome, or an LH_REASON_…. */
int out_fail(lh_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints the error on stderr, and as an object on stdout with --json. Returns the exit code. */
int out_error(const struct out *out, const lh_error *error);
/* The same for a call whose callback prints what it is given, and stops it when stdout cannot be
 * written, of which out_finish() tells, or memory is out. */
int out_stopped(const struct out *out, lh_error *error);
/* The same for a failure without an lh_outcome: `word` is the "code" of the object. Returns
 * `exit`. */
int out_failure(const struct out *out, const char *word, int exit, const char *message);

/* The text, in which each command that it advises has the same options (`out->same`). To be freed;
 * NULL: memory is out. */
char *out_advice(const struct out *out, const char *text);

/* A sentence on stderr ("leasehold run: …"), not with --quiet. */
void out_note(const struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An outcome's word, coloured on a terminal. */
void out_word(const struct out *out, int tone, const char *word);
/* "released  project:42": an outcome's word and its key, without an end of line. */
void out_outcome(const struct out *out, int tone, const char *word, const char *key);
/* Prints a stored text, safe for terminals. */
void out_text(const char *text);
/* "  name     " — the left column of details. */
void out_label(const char *label);

/* A line on the terminal that the next one overwrites; NULL clears it. Nothing where stderr is no
 * terminal. */
void out_progress(const struct out *out, const char *line);

/* False when something printed so far could not be written; the caller still can undo what it
 * did. */
bool out_flush(void);
/* Closes stdout at the very end. Returns `exit`, or EXIT_UNKNOWN when that was 0 and the result
 * could not be written: the operation was done, but the reader of the result does not know it. */
int out_finish(const struct out *out, int exit);

#endif

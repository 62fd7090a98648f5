/* SPDX-License-Identifier: Apache-2.0
 * What is known of a key, as JSON and for people: for status, list, break, and whoever was told
 * busy. */
#ifndef CLI_RECORD_H
#define CLI_RECORD_H

#include <leasehold/leasehold.h>

#include "common/out.h"

/* The status object of the contract, on a line. */
void record_print_json(const lh_record *record);
/* The same for people, in a few lines. */
void record_print(const struct out *out, const lh_record *record);

/* A lease that its holder is told of, with its id: one object, or a few lines; only the id with
 * --quiet. One that nobody could be told of is released: a script that could not read the id can't.
 * The exit code is then that of every result that could not be written, EXIT_UNKNOWN. */
int record_hand_over(const struct out *out, lh_lease *lease, const char *owner);
/* On stderr, of a lease that is not enforced. */
void record_note_rollout(const struct out *out, const lh_lease *lease);

/* An acquire that was told busy: one object, or a few lines; nothing with --quiet. `record` may be
 * NULL. */
void record_print_busy(const struct out *out, const char *key, const lh_record *record,
                       const lh_error *error);
/* In one line: "project:42 is held by alice (web1, pid 42), \"rebuild\", for 12 s more". To be
 * freed; may be NULL. */
char *record_sentence(const char *key, const lh_record *record);

/* " (web1, pid 42)"; nothing where neither is known. */
void record_print_process(const char *host, int64_t pid);

/* The state, or "expired" for a holder past its end, for people. */
const char *record_state(const lh_record *record);

#endif

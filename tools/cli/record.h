/* SPDX-License-Identifier: Apache-2.0
 * Prints a record, as JSON and as text: for status, list, break, and busy acquires. */
#ifndef CLI_RECORD_H
#define CLI_RECORD_H

#include <leasehold/leasehold.h>

#include "common/out.h"

/* The status object of the contract, on a line. */
void record_print_json(const lh_record *record);
/* The same as text, in a few lines. */
void record_print(const struct out *out, const lh_record *record);

/* Prints a lease with its id, for its holder: one object, or a few lines; only the id with --quiet.
 * If it cannot be printed, the lease is released, because a script that could not read the id
 * cannot release it. The exit code is then EXIT_UNKNOWN, as for every result that could not be
 * written. */
int record_hand_over(const struct out *out, lh_lease *lease, const char *owner);
/* Prints a note on stderr if the lease is not enforced. */
void record_note_rollout(const struct out *out, const lh_lease *lease);

/* Prints a busy acquire: one object, or a few lines; nothing with --quiet. `record` may be NULL. */
void record_print_busy(const struct out *out, const char *key, const lh_record *record,
                       const lh_error *error);
/* In one line: "project:42 is held by alice (web1, pid 42), \"rebuild\", for 12 s more". To be
 * freed; may be NULL. */
char *record_sentence(const char *key, const lh_record *record);

/* " (web1, pid 42)"; nothing where neither is known. */
void record_print_process(const char *host, int64_t pid);

/* The word of the state, or "expired" for a holder past its end. */
const char *record_state(const lh_record *record);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The note that the previous holder left. It comes with the grant if the grant's document came
 * back; else it is read on request. */
#ifndef LH_LEASE_NOTE_H
#define LH_LEASE_NOTE_H

#include "lease/lease_held.h"

/* Takes the note from the document of the grant. Out of memory: it is read later, on request. */
void lh_lease_hear_note(lh_lease *lease, const bson_t *document);

/* lh_lease_note() in any rollout mode, without the checks of calls.c. */
int lh_core_note(lh_lease *lease, const lh_note **ret_note, lh_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What the holder before left: heard with the grant where its document came back, else read when
 * somebody asks for it. */
#ifndef LH_LEASE_NOTE_H
#define LH_LEASE_NOTE_H

#include "lease/lease_held.h"

/* The document that granted it says what the holder before left. Without memory it is asked for
 * later. */
void lh_lease_hear_note(lh_lease *lease, const bson_t *document);

/* The operation itself, whatever the store's mode: lh_lease_note() without what calls.c checks
 * before it. */
int lh_core_note(lh_lease *lease, const lh_note **ret_note, lh_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The note that the previous holder left. It comes with the grant if the grant's document came
 * back; else it is read on request.
 *
 * It is stored in `released`. Nothing changes that while the key is held exclusively; readers leave
 * it, or replace it by a later note. So it may be read at any time. */
#include "lease/lease_note.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "lease/lease_held.h"
#include "lease/lease_look.h"
#include "protocol/doc.h"
#include "protocol/doc_record.h"
#include "store/store.h"
#include "store/store_run.h"

/* LH_OK with *ret_note (NULL: no note), or LH_MEMORY. A record's text is safe whatever is
 * stored. */
static int copy_note(const bson_t *document, lh_note **ret_note)
{
    bson_iter_t top, text;
    *ret_note = NULL;
    if (!bson_iter_init(&top, document) ||
        !bson_iter_find_descendant(&top, "released.note.text", &text))
        return LH_OK;
    lh_record *record = lh_doc_reply_record(document, 0);
    if (!record)
        return LH_MEMORY;
    size_t len = strlen(record->note) + 1;
    lh_note *note = len > 1 ? malloc(sizeof *note + len) : NULL;
    if (note) {
        *note = (lh_note){
            .text = (char *)(note + 1), .token = record->note_token, .at_ms = record->note_at_ms};
        memcpy(note + 1, record->note, len);
    }
    lh_record_free(record);
    *ret_note = note;
    return note || len == 1 ? LH_OK : LH_MEMORY;
}

void lh_lease_hear_note(lh_lease *lease, const bson_t *document)
{
    lh_note *note;
    if (copy_note(document, &note) != LH_OK)
        return;
    pthread_mutex_lock(&lease->lock);
    if (!lease->note_heard) {
        lease->note_heard = true;
        lease->note = note;
        note = NULL;
    }
    pthread_mutex_unlock(&lease->lock);
    free(note);
}

/* Finds the document, if it shows the lease as exclusive or among readers. */
static bson_t *query(const lh_lease *lease)
{
    char reader[16 + LH_LEASE_ID_ROOM];
    (void)snprintf(reader, sizeof reader, "shared.%s", lease->id);
    return BCON_NEW("find", BCON_UTF8(lease->store->collection), "filter", "{", "workspace_id",
                    BCON_UTF8(lease->key), "$or", "[", "{", "id", BCON_UTF8(lease->id),
                    "released.id", "{", "$ne", BCON_UTF8(lease->id), "}", "}", "{",
                    BCON_UTF8(reader), "{", "$exists", BCON_BOOL(true), "}", "}", "]", "}",
                    "projection", "{", "released", BCON_INT32(1), "}", "limit", BCON_INT32(1),
                    "singleBatch", BCON_BOOL(true));
}

static int read_note(lh_lease *lease, lh_error *error)
{
    bson_t *command = query(lease), reply, document;
    lh_call call = {.what = "read the note",
                    .command = command,
                    .deadline = lh_store_deadline(lease->store, 0),
                    .kind = LH_CALL_READ};
    int outcome = lh_store_run(lease->store, &call, &reply, NULL, error);
    if (outcome == LH_OK && lh_reply_first(&reply, &document))
        lh_lease_hear_note(lease, &document);
    else if (outcome == LH_OK)
        outcome = lh_fail(error, LH_REASON_NOT_HOLDER,
                          "no note can be read: the key's document does not show the lease");
    bson_destroy(&reply);
    bson_destroy(command);
    return outcome;
}

static bool is_heard(lh_lease *lease, const lh_note **ret_note)
{
    pthread_mutex_lock(&lease->lock);
    bool heard = lease->note_heard;
    if (heard)
        *ret_note = lease->note;
    pthread_mutex_unlock(&lease->lock);
    return heard;
}

int lh_core_note(lh_lease *lease, const lh_note **ret_note, lh_error *error)
{
    lh_assert(lease && !lease->absent);
    if (is_heard(lease, ret_note))
        return LH_OK;
    int outcome = read_note(lease, error);
    if (outcome != LH_OK || is_heard(lease, ret_note))
        return outcome;
    return lh_fail_memory(error);
}

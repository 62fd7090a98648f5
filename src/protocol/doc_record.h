/* SPDX-License-Identifier: Apache-2.0
 * Converts a document to the public record: the holders, the waiters, and how the last lease
 * ended. */
#ifndef LH_DOC_RECORD_H
#define LH_DOC_RECORD_H

#include "protocol/doc.h"

/* The complete record of a stored document. `now_ms` is the server's clock, which decides who is
 * alive; LH_DOC_ALL: the dead are included. NULL: out of memory. */
lh_record *lh_doc_record(const bson_t *document, int64_t now_ms, int64_t grace_ms);

/* Makes {_id: …} from the value as extended JSON. *ret_query is initialised only on LH_OK.
 * LH_INVALID: `json` is not one value. */
int lh_doc_id_query(const char *json, bson_t *ret_query, lh_error *error);

lh_doc_mark lh_doc_holder_mark(const lh_record *record, size_t i);
const char *lh_doc_waiter_id(const lh_record *record, size_t i);
const char *lh_doc_released_id(const lh_record *record);

/* The record of the document in the reply to a findAndModify, whose maps have only the caller's own
 * entries. */
lh_record *lh_doc_reply_record(const bson_t *document, int64_t grace_ms);

/* The record of a key without a document: free. */
lh_record *lh_doc_free_record(const char *key, int64_t now_ms);

/* Sets id_taken_by, once, in the record of a key that is a string. A `key` longer than a valid one
 * is truncated. */
void lh_doc_set_taken_by(lh_record *record, const char *key);

#endif

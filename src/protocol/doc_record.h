/* SPDX-License-Identifier: Apache-2.0
 * From a document to the public record: who holds, who waits, how the last one ended. */
#ifndef LH_DOC_RECORD_H
#define LH_DOC_RECORD_H

#include "protocol/doc.h"

/* The whole record of a stored document (the server's clock, `now_ms`, says who is alive;
 * LH_DOC_ALL: also the dead). NULL: out of memory. */
lh_record *lh_doc_record(const bson_t *document, int64_t now_ms, int64_t grace_ms);

/* {_id: …} from its value as extended JSON. *ret_query is initialised when that is one value. */
int lh_doc_id_query(const char *json, bson_t *ret_query, lh_error *error);

lh_doc_mark lh_doc_holder_mark(const lh_record *record, size_t i);
const char *lh_doc_waiter_id(const lh_record *record, size_t i);
const char *lh_doc_released_id(const lh_record *record);

/* The record of the document that a findAndModify returned, in which only the caller's own entries
 * of the maps are left. */
lh_record *lh_doc_reply_record(const bson_t *document, int64_t grace_ms);

/* A record of a key without a document: free. */
lh_record *lh_doc_free_record(const char *key, int64_t now_ms);

/* Sets id_taken_by, once, in the record of a key that is a string; one that is longer than a key
 * may be is cut. */
void lh_doc_set_taken_by(lh_record *record, const char *key);

#endif

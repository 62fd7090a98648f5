/* SPDX-License-Identifier: Apache-2.0
 * The status of a key: its document, read at majority, and its meaning. */
#include "lease/lease_status.h"

#include <string.h>

#include "base/error.h"
#include "lease/lease_look.h"
#include "protocol/doc.h"
#include "protocol/doc_record.h"
#include "store/store.h"
#include "store/store_run.h"

void lh_status_append_projection(bson_t *command)
{
    bson_t projection;
    BSON_APPEND_DOCUMENT_BEGIN(command, "projection", &projection);
    BSON_APPEND_INT32(&projection, "_id", 0);
    BSON_APPEND_UTF8(&projection, "d", "$$ROOT");
    BSON_APPEND_UTF8(&projection, "now", "$$NOW");
    bson_append_document_end(command, &projection);
}

bool lh_status_read(const bson_t *answer, bson_t *ret_document, int64_t *ret_now_ms)
{
    bson_iter_t value;
    const uint8_t *data;
    uint32_t len;
    *ret_now_ms = bson_iter_init_find(&value, answer, "now") ? bson_iter_date_time(&value) : 0;
    if (!bson_iter_init_find(&value, answer, "d") || !BSON_ITER_HOLDS_DOCUMENT(&value))
        return false;
    bson_iter_document(&value, &len, &data);
    return bson_init_static(ret_document, data, len);
}

/* Of several documents (duplicates before the migration) the one with the newest end. */
static int find_one(lh_store *store, const bson_t *filter, lh_stored *ret_seen, lh_error *error)
{
    bson_t command = BSON_INITIALIZER, sort;
    BSON_APPEND_UTF8(&command, "find", store->collection);
    BSON_APPEND_DOCUMENT(&command, "filter", filter);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "sort", &sort);
    BSON_APPEND_INT32(&sort, "expires_at", -1);
    bson_append_document_end(&command, &sort);
    lh_status_append_projection(&command);
    BSON_APPEND_INT32(&command, "limit", 1);
    BSON_APPEND_BOOL(&command, "singleBatch", true);
    lh_call call = {.what = "read the key",
                    .command = &command,
                    .deadline = lh_store_deadline(store, 0),
                    .kind = LH_CALL_READ};
    *ret_seen = (lh_stored){0};
    int outcome = lh_store_run(store, &call, &ret_seen->reply, NULL, error);
    bson_destroy(&command);
    bson_t answer;
    ret_seen->there = outcome == LH_OK && lh_reply_first(&ret_seen->reply, &answer) &&
                      lh_status_read(&answer, &ret_seen->document, &ret_seen->now_ms);
    return outcome;
}

int lh_status_find_key(lh_store *store, const char *key, lh_stored *ret_seen, lh_error *error)
{
    bson_t filter = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&filter, "workspace_id", key);
    int outcome = find_one(store, &filter, ret_seen, error);
    bson_destroy(&filter);
    return outcome;
}

int lh_status_find_id(lh_store *store, const char *id, lh_stored *ret_seen, lh_error *error)
{
    bson_t filter;
    bson_init(&ret_seen->reply);
    int outcome = lh_doc_id_query(id, &filter, error);
    if (outcome != LH_OK)
        return outcome;
    outcome = find_one(store, &filter, ret_seen, error);
    bson_destroy(&filter);
    return outcome == LH_OK && !ret_seen->there
               ? lh_fail(error, LH_REASON_NO_DOCUMENT, "%s.%s has no document with the _id %.200s",
                         store->db, store->collection, id)
               : outcome;
}

/* If the key's own document does not have the key as its _id, another key's document may. Only
 * then a second look is needed. */
static int look_at_id(lh_store *store, const char *key, lh_record *record, lh_error *error)
{
    lh_record *other;
    int outcome = lh_lease_look_other(store, key, (lh_context){lh_store_deadline(store, 0), NULL},
                                      &other, error);
    if (other)
        lh_doc_set_taken_by(record, *other->key ? other->key : "(none)");
    lh_record_free(other);
    return outcome;
}

int lh_status(lh_store *store, const char *key, lh_record **ret_record, lh_error *error)
{
    int outcome = lh_store_check(store, error);
    if (outcome == LH_OK)
        outcome = lh_key_check(key, key ? strlen(key) : 0, error);
    if (outcome != LH_OK)
        return outcome;
    lh_stored found;
    outcome = lh_status_find_key(store, key, &found, error);
    if (outcome == LH_OK) {
        lh_record *record = found.there
                                ? lh_doc_record(&found.document, found.now_ms, store->clock_skew_ms)
                                : lh_doc_free_record(key, found.now_ms);
        if (!record)
            outcome = lh_fail_memory(error);
        else if (!found.there || !lh_doc_has_text(&found.document, "_id", key))
            outcome = look_at_id(store, key, record, error);
        if (outcome == LH_OK)
            *ret_record = record;
        else
            lh_record_free(record);
    }
    bson_destroy(&found.reply);
    return outcome;
}

int lh_status_by_id(lh_store *store, const char *id, lh_record **ret_record, lh_error *error)
{
    lh_stored found;
    int outcome = lh_store_check(store, error);
    if (outcome != LH_OK)
        return outcome;
    outcome = lh_status_find_id(store, id, &found, error);
    lh_record *record = outcome == LH_OK
                            ? lh_doc_record(&found.document, found.now_ms, store->clock_skew_ms)
                            : NULL;
    if (outcome == LH_OK && !record)
        outcome = lh_fail_memory(error);
    if (outcome == LH_OK)
        *ret_record = record;
    bson_destroy(&found.reply);
    return outcome;
}

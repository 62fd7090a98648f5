/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/lease_look.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "lease/lease.h"
#include "lease/lease_run.h"
#include "protocol/doc.h"
#include "protocol/doc_record.h"
#include "protocol/pipeline.h"
#include "store/store_run.h"

typedef struct {
    const lh_look *look;
    const char *wake; /* of this document; NULL: nobody was woken */
    lh_store *store;
    int64_t sent, now_ms;
} looking;

/* A beat stands for a direct grant, which `wake` names. What an own question was granted, whose
 * answer was lost, is believed by asking again: only an answer tells how old a first grant is
 * (tests/model: "of any grant"). */
static void tell_grant(void *arg, const lh_grant *grant)
{
    looking *l = arg;
    lh_grant told = *grant;
    if (!l->wake || !strstr(l->wake, grant->id))
        told.beat = -1;
    if (l->look->granted)
        l->look->granted(l->look->arg, &told, l->now_ms);
}

/* Only a date: what has none, or one that only older code can have written, ends by no timer of
 * ours. The timers add the grace, which a kept key does not have. */
static void tell_end(looking *l, const bson_t *document)
{
    bson_iter_t key, end, kept;
    int64_t now_ms =
        l->now_ms + (bson_iter_init_find(&kept, document, "kept") ? l->store->clock_skew_ms : 0);
    if (l->look->ends && bson_iter_init_find(&key, document, "workspace_id") &&
        BSON_ITER_HOLDS_UTF8(&key) && bson_iter_init_find(&end, document, "end") &&
        BSON_ITER_HOLDS_DATE_TIME(&end))
        l->look->ends(l->look->arg, bson_iter_utf8(&key, NULL), bson_iter_date_time(&end) - now_ms);
}

static int look_at_one(void *arg, const bson_t *document)
{
    looking *l = arg;
    bson_iter_t value, id, first;
    l->now_ms = lh_lease_hear_time(l->store, document, l->sent);
    l->wake = bson_iter_init_find(&value, document, "wake") && BSON_ITER_HOLDS_UTF8(&value)
                  ? bson_iter_utf8(&value, NULL)
                  : NULL;
    lh_doc_each_grant(document, tell_grant, l);
    tell_end(l, document);
    const char *head =
        bson_iter_init_find(&first, document, "first") && BSON_ITER_HOLDS_UTF8(&first)
            ? bson_iter_utf8(&first, NULL)
            : "";
    if (l->look->queued && bson_iter_init_find(&value, document, "queued") &&
        BSON_ITER_HOLDS_ARRAY(&value) && bson_iter_recurse(&value, &id))
        while (bson_iter_next(&id))
            if (BSON_ITER_HOLDS_UTF8(&id))
                l->look->queued(l->look->arg, bson_iter_utf8(&id, NULL),
                                strcmp(head, bson_iter_utf8(&id, NULL)) == 0);
    return 0;
}

int lh_lease_look(lh_store *store, const bson_t *keys, const bson_t *ids, const lh_look *look,
                  lh_context context, lh_error *error)
{
    looking l = {.look = look, .store = store, .sent = lh_clock_ms()};
    bson_t command = BSON_INITIALIZER;
    lh_pipeline_poll(store->pipelines, store->collection, keys, ids, &command);
    lh_call call = {.what = "read the keys",
                    .command = &command,
                    .deadline = context.deadline,
                    .client = context.client,
                    .kind = LH_CALL_READ};
    int outcome = lh_store_each(store, &call, look_at_one, &l, error);
    bson_destroy(&command);
    return outcome;
}

int lh_lease_look_other(lh_store *store, const char *key, lh_context context, lh_record **ret_other,
                        lh_error *error)
{
    bson_t reply, document,
        *command =
            BCON_NEW("find", BCON_UTF8(store->collection), "filter", "{", "_id", BCON_UTF8(key),
                     "}", "limit", BCON_INT32(1), "singleBatch", BCON_BOOL(true));
    lh_call call = {.what = "read the key",
                    .command = command,
                    .deadline = context.deadline,
                    .client = context.client,
                    .kind = LH_CALL_READ};
    int outcome = lh_store_run(store, &call, &reply, NULL, error);
    *ret_other = NULL;
    if (outcome == LH_OK && lh_reply_first(&reply, &document) &&
        !lh_doc_has_text(&document, "workspace_id", key)) {
        *ret_other = lh_doc_record(&document, LH_DOC_ALL, store->clock_skew_ms);
        if (!*ret_other)
            outcome = lh_fail_memory(error);
    }
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}

bool lh_reply_first(const bson_t *reply, bson_t *ret_view)
{
    bson_iter_t top, first;
    const uint8_t *data;
    uint32_t len;
    if (!bson_iter_init(&top, reply) ||
        !bson_iter_find_descendant(&top, "cursor.firstBatch.0", &first) ||
        !BSON_ITER_HOLDS_DOCUMENT(&first))
        return false;
    bson_iter_document(&first, &len, &data);
    return bson_init_static(ret_view, data, len);
}

int64_t lh_reply_n(const bson_t *reply)
{
    bson_iter_t value;
    if (bson_iter_init_find(&value, reply, "writeErrors"))
        return -1;
    return bson_iter_init_find(&value, reply, "n") ? bson_iter_as_int64(&value) : 0;
}

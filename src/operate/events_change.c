/* SPDX-License-Identifier: Apache-2.0
 * Decodes a change event, and applies it to the watched documents. Pure: events_stream.c reads the
 * stream. */
#include "operate/events_change.h"

#include <string.h>

#include "operate/events_diff.h"
#include "operate/events_shadow.h"
#include "operate/events_watching.h"

bool lh_event_find(const bson_t *event, const char *path, bson_iter_t *ret_value)
{
    bson_iter_t top;
    return bson_iter_init(&top, event) && bson_iter_find_descendant(&top, path, ret_value);
}

bool lh_event_document(const bson_t *event, const char *path, bson_t *ret_view)
{
    bson_iter_t value;
    const uint8_t *data;
    uint32_t len;
    if (!lh_event_find(event, path, &value) || !BSON_ITER_HOLDS_DOCUMENT(&value))
        return false;
    bson_iter_document(&value, &len, &data);
    return bson_init_static(ret_view, data, len);
}

bool lh_event_instant(const bson_t *event, const char *path, lh_instant *ret_instant)
{
    bson_iter_t value;
    if (!lh_event_find(event, path, &value) || !BSON_ITER_HOLDS_TIMESTAMP(&value))
        return false;
    bson_iter_timestamp(&value, &ret_instant->t, &ret_instant->i);
    return true;
}

bool lh_change_read(const bson_t *event, lh_change *ret)
{
    bson_iter_t value;
    *ret = (lh_change){.kind = LH_CHANGE_NOTHING};
    if (!lh_event_document(event, "documentKey", &ret->key))
        return false;
    (void)lh_event_instant(event, "clusterTime", &ret->at);
    ret->at_ms = lh_event_find(event, "wallTime", &value) && BSON_ITER_HOLDS_DATE_TIME(&value)
                     ? bson_iter_date_time(&value)
                     : (int64_t)ret->at.t * 1000;
    ret->has_token = lh_event_document(event, "_id", &ret->token);
    const char *operation =
        lh_event_find(event, "operationType", &value) && BSON_ITER_HOLDS_UTF8(&value)
            ? bson_iter_utf8(&value, NULL)
            : "";
    if (strcmp(operation, "delete") == 0)
        ret->kind = LH_CHANGE_DELETE;
    else if (strcmp(operation, "update") == 0 &&
             lh_event_document(event, "updateDescription", &ret->part))
        ret->kind = LH_CHANGE_UPDATE;
    else if (strcmp(operation, "update") != 0 &&
             lh_event_document(event, "fullDocument", &ret->part))
        ret->kind = LH_CHANGE_PUT;
    return true;
}

int lh_watching_change(lh_watching *w, const lh_change *change, uint64_t round)
{
    lh_shadow_entry *entry = lh_shadow_find(&w->shadow, &change->key);
    switch (change->kind) {
    case LH_CHANGE_DELETE:
        return entry ? lh_watching_drop(w, entry, change->at_ms) : LH_OK;
    case LH_CHANGE_UPDATE: /* a document without an entry is not watched */
        return entry ? lh_watching_put(w, lh_shadow_apply(entry->document, &change->part), round,
                                       false, change->at_ms)
                     : LH_OK;
    case LH_CHANGE_PUT:
        return entry || lh_watching_wants(w, &change->part)
                   ? lh_watching_put(w, lh_shadow_shrink(&change->part), round, false,
                                     change->at_ms)
                   : LH_OK;
    case LH_CHANGE_NOTHING:
    default:
        return LH_OK;
    }
}

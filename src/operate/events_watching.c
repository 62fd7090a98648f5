/* SPDX-License-Identifier: Apache-2.0
 * Which events a watch wants, and how they are reported. */
#include "operate/events_watching.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/cancel.h"
#include "base/error.h"
#include "protocol/doc.h"

/* ---- Which events are wanted ---- */

bool lh_watching_wants_all(const lh_watching *w)
{
    return w->options.n_keys == 0 && !(w->options.prefix && *w->options.prefix);
}

bool lh_watching_wants(const lh_watching *w, const bson_t *document)
{
    bson_iter_t value;
    if (lh_watching_wants_all(w))
        return true;
    if (!bson_iter_init_find(&value, document, "workspace_id") || !BSON_ITER_HOLDS_UTF8(&value))
        return false;
    const char *key = bson_iter_utf8(&value, NULL);
    if (w->options.prefix && *w->options.prefix &&
        strncmp(key, w->options.prefix, strlen(w->options.prefix)) == 0)
        return true;
    for (size_t i = 0; i < w->options.n_keys; i++)
        if (strcmp(key, w->options.keys[i]) == 0)
            return true;
    return false;
}

bool lh_watching_append_filter(const lh_watching *w, const char *field, bson_t *filter)
{
    bson_t any, one, part, keys;
    char last[LH_KEY_MAX + 8];
    uint32_t n = 0;
    if (lh_watching_wants_all(w))
        return false;
    BSON_APPEND_ARRAY_BEGIN(filter, "$or", &any);
    BSON_APPEND_DOCUMENT_BEGIN(&any, "0", &one);
    BSON_APPEND_DOCUMENT_BEGIN(&one, field, &part);
    BSON_APPEND_ARRAY_BEGIN(&part, "$in", &keys);
    for (size_t i = 0; i < w->options.n_keys; i++)
        lh_doc_append_text(&keys, &n, w->options.keys[i], strlen(w->options.keys[i]));
    bson_append_array_end(&part, &keys);
    bson_append_document_end(&one, &part);
    bson_append_document_end(&any, &one);
    /* up to the prefix followed by the last character of Unicode */
    if (w->options.prefix && *w->options.prefix) {
        (void)snprintf(last, sizeof last, "%s\xF4\x8F\xBF\xBF", w->options.prefix);
        BSON_APPEND_DOCUMENT_BEGIN(&any, "1", &one);
        BSON_APPEND_DOCUMENT_BEGIN(&one, field, &part);
        BSON_APPEND_UTF8(&part, "$gte", w->options.prefix);
        BSON_APPEND_UTF8(&part, "$lte", last);
        bson_append_document_end(&one, &part);
        bson_append_document_end(&any, &one);
    }
    bson_append_array_end(filter, &any);
    return true;
}

int lh_watching_pause(const lh_watching *w, int64_t ms)
{
    struct pollfd poller = {.fd = lh_cancel_fd(w->options.cancel), .events = POLLIN};
    (void)poll(&poller, 1, (int)ms);
    if (!lh_cancel_is_now(w->options.cancel))
        return LH_OK;
    return lh_fail(w->error, LH_CANCELLED, "the watch was cancelled");
}

/* ---- Reporting ---- */

/* Passes on an event. Its id is its time in the server's oplog, and the number of events reported
 * for that time so far. To resume after it, a watch reads the documents as they were just before
 * that time, and skips that many events. */
static void give(lh_watching *w, lh_event event, lh_instant at, uint64_t n)
{
    char id[64] = "";
    const char **texts[] = {&event.key,     &event.how, &event.owner,  &event.host,
                            &event.purpose, &event.by,  &event.reason, &event.note};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!*texts[i])
            *texts[i] = "";
    if (w->on_set)
        (void)snprintf(id, sizeof id, "%" PRIu32 ".%" PRIu32 ".%" PRIu64, at.t, at.i, n);
    event.id = id;
    if (!w->stopped && w->each(w->arg, &event) != 0)
        w->stopped = true;
}

void lh_watching_report(lh_watching *w, lh_event event)
{
    if (!w->apart)
        w->reported++;
    if (w->reported > w->skip || w->apart)
        give(w, event, w->at, w->reported);
}

void lh_watching_mark(lh_watching *w, int kind, int64_t at_ms)
{
    give(w, (lh_event){.kind = kind, .at_ms = at_ms}, w->at, w->skip);
}

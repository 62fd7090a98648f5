/* SPDX-License-Identifier: Apache-2.0
 * Finds out what happened between two states of a key's document. Holders and waiters are
 * recognised by their lease ids, which are never passed on. */
#include "operate/events_diff.h"

#include <string.h>

#include "base/error.h"
#include "operate/events_shadow.h"
#include "operate/events_watching.h"
#include "protocol/doc_record.h"

typedef struct {
    lh_watching *w;
    const lh_record *before, *after; /* either may be NULL: no document */
    int64_t at_ms;
    bool released_anew; /* `released` was written in between */
} difference;

static const lh_holder *holder_at(const lh_record *record, size_t i)
{
    return record ? lh_record_holder(record, i) : NULL;
}

static const lh_waiter *waiter_at(const lh_record *record, size_t i)
{
    return record ? lh_record_waiter(record, i) : NULL;
}

/* The index of the holder with that id and token, or -1. Other programs reuse ids, so the id alone
 * is not enough; token -1 matches any. */
static long find_holder(const lh_record *record, const char *id, int64_t token)
{
    const lh_holder *h;
    for (size_t i = 0; (h = holder_at(record, i)); i++)
        if (strcmp(lh_doc_holder_mark(record, i).id, id) == 0 && (token < 0 || h->token == token))
            return (long)i;
    return -1;
}

static bool has_waiter(const lh_record *record, const char *id)
{
    for (size_t i = 0; waiter_at(record, i); i++)
        if (strcmp(lh_doc_waiter_id(record, i), id) == 0)
            return true;
    return false;
}

static lh_event about_holder(const difference *d, int kind, const char *how,
                             const lh_record *record, const lh_holder *h)
{
    return (lh_event){.kind = kind,
                      .key = record->key,
                      .at_ms = d->at_ms,
                      .how = how,
                      .owner = h->owner,
                      .host = h->host,
                      .purpose = h->purpose,
                      .pid = h->pid,
                      .mode = h->mode,
                      .token = h->token,
                      .expires_at_ms = h->expires_at_ms};
}

static void report_waiter(const difference *d, int kind, const lh_record *record,
                          const lh_waiter *waiter)
{
    lh_watching_report(d->w, (lh_event){.kind = kind,
                                        .key = record->key,
                                        .at_ms = d->at_ms,
                                        .owner = waiter->owner,
                                        .purpose = waiter->purpose,
                                        .mode = waiter->mode});
}

/* Reports that a holder is gone. A break ends all holders. The other ways end the one whose id is
 * in `released`; any other that is gone was dead. (The holder of a kept key was reported when it
 * released the lease.) */
static void report_end(const difference *d, const lh_holder *h, const char *id)
{
    const char *how = d->released_anew ? d->after->released_how : "";
    bool named = strcmp(lh_doc_released_id(d->after), id) == 0;
    lh_event event = about_holder(d, LH_EVENT_RELEASED, "other", d->before, h);
    if (strcmp(how, "break") == 0) {
        event.kind = LH_EVENT_BROKEN;
        event.by = d->after->released_by;
        event.reason = d->after->released_reason;
    } else if (named && strcmp(how, "transfer") == 0) {
        event.kind = LH_EVENT_TRANSFERRED;
    } else if (named && strcmp(how, "release") == 0) {
        event.how = "release";
        /* if the tokens differ, a reader left, and the note is an older one */
        if (d->after->note_token == h->token)
            event.note = d->after->note;
        const lh_holder *left = holder_at(d->after, 0);
        event.kept_until_ms = left && left->kept ? left->expires_at_ms : 0;
    } else if ((named && strcmp(how, "expire") == 0) || h->expires_at_ms <= d->at_ms) {
        event.kind = LH_EVENT_EXPIRED;
    }
    if (event.kind != LH_EVENT_RELEASED)
        event.how = NULL;
    lh_watching_report(d->w, event);
}

static void report_ends(const difference *d)
{
    const lh_holder *h;
    for (size_t i = 0; (h = holder_at(d->before, i)); i++) {
        const char *id = lh_doc_holder_mark(d->before, i).id;
        if (!h->kept && find_holder(d->after, id, h->token) < 0)
            report_end(d, h, id);
    }
}

static void report_queue(const difference *d)
{
    const lh_waiter *waiter;
    for (size_t i = 0; (waiter = waiter_at(d->before, i)); i++) {
        const char *id = lh_doc_waiter_id(d->before, i);
        if (!has_waiter(d->after, id) && find_holder(d->after, id, -1) < 0)
            report_waiter(d, LH_EVENT_LEFT, d->before, waiter);
    }
    for (size_t i = 0; (waiter = waiter_at(d->after, i)); i++)
        if (!has_waiter(d->before, lh_doc_waiter_id(d->after, i)))
            report_waiter(d, LH_EVENT_QUEUED, d->after, waiter);
}

static void report_holders(const difference *d)
{
    const lh_holder *h;
    for (size_t i = 0; (h = holder_at(d->after, i)); i++) {
        lh_doc_mark mark = lh_doc_holder_mark(d->after, i);
        long was = find_holder(d->before, mark.id, h->token);
        bool handed_on = d->released_anew && strcmp(d->after->released_how, "transfer") == 0;
        const char *how = has_waiter(d->before, mark.id) ? "queue"
                          : handed_on                    ? "transfer"
                                                         : "acquire";
        if (h->kept)
            continue;
        if (was < 0)
            lh_watching_report(d->w, about_holder(d, LH_EVENT_GRANTED, how, d->after, h));
        else if (lh_doc_holder_mark(d->before, (size_t)was).renewed_at_ms != mark.renewed_at_ms ||
                 lh_record_holder(d->before, (size_t)was)->expires_at_ms != h->expires_at_ms)
            lh_watching_report(d->w, about_holder(d, LH_EVENT_RENEWED, NULL, d->after, h));
    }
}

static void report_removal(const difference *d)
{
    static const lh_holder nobody = {.owner = "", .host = "", .purpose = ""};
    const lh_holder *h = holder_at(d->before, 0);
    lh_watching_report(d->w, about_holder(d, LH_EVENT_REMOVED, NULL, d->before, h ? h : &nobody));
}

static void report_all(difference *d)
{
    if (!d->after) {
        report_removal(d);
        return;
    }
    /* an unreadable document does not show who holds the key */
    if (d->after->state == LH_MALFORMED) {
        lh_event event = {.kind = LH_EVENT_SPOILT,
                          .key = d->after->key,
                          .at_ms = d->at_ms,
                          .reason = d->after->problem};
        if (!d->before || d->before->state != LH_MALFORMED)
            lh_watching_report(d->w, event);
        return;
    }
    d->released_anew = *d->after->released_how &&
                       (!d->before || d->before->released_at_ms != d->after->released_at_ms ||
                        strcmp(lh_doc_released_id(d->before), lh_doc_released_id(d->after)) != 0);
    report_ends(d);
    report_queue(d);
    report_holders(d);
}

static bool report_difference(lh_watching *w, const bson_t *before, const bson_t *after,
                              int64_t at_ms)
{
    lh_record *was = before ? lh_doc_record(before, LH_DOC_ALL, 0) : NULL;
    lh_record *is = after ? lh_doc_record(after, LH_DOC_ALL, 0) : NULL;
    bool good = (was || !before) && (is || !after);
    if (good && (was || is))
        report_all(&(difference){.w = w, .before = was, .after = is, .at_ms = at_ms});
    lh_record_free(was);
    lh_record_free(is);
    return good;
}

/* ---- The shadow ---- */

int lh_watching_put(lh_watching *w, bson_t *after, uint64_t round, bool silent, int64_t at_ms)
{
    bool good = true;
    lh_shadow_entry *entry = lh_shadow_find(&w->shadow, after);
    const bson_t *before = entry ? entry->document : NULL;
    if (!silent && !(before && bson_equal(before, after)))
        good = report_difference(w, before, after, at_ms);
    if (good && !entry)
        good = (entry = lh_shadow_add(&w->shadow, after)) != NULL;
    if (!good) {
        bson_destroy(after);
        return lh_fail_memory(w->error);
    }
    bson_destroy(entry->document);
    entry->document = after;
    entry->round = round;
    return LH_OK;
}

int lh_watching_drop(lh_watching *w, lh_shadow_entry *entry, int64_t at_ms)
{
    bool good = report_difference(w, entry->document, NULL, at_ms);
    lh_shadow_remove(&w->shadow, entry);
    return good ? LH_OK : lh_fail_memory(w->error);
}

int lh_watching_sweep(lh_watching *w, uint64_t round, int64_t at_ms)
{
    int outcome = LH_OK;
    lh_shadow_entry *next;
    for (lh_shadow_entry *entry = w->shadow.first; entry && outcome == LH_OK; entry = next) {
        next = entry->next;
        if (entry->round != round)
            outcome = lh_watching_drop(w, entry, at_ms);
    }
    return outcome;
}

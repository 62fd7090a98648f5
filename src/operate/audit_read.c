/* SPDX-License-Identifier: Apache-2.0
 * Reads the audit trail, and follows it.
 *
 * An entry is inserted a little after its time, so entries do not arrive in the order of their
 * times. To follow the trail, the last ten seconds are read again and again, and entries that were
 * passed on already are skipped. This needs no change stream, and neither an election nor a lost
 * connection can hide an entry. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/key.h"
#include "base/options.h"
#include "lease/audit.h"
#include "store/store.h"
#include "store/store_run.h"

#define OVERLAP_MS 10000 /* audit.c abandons an entry after half of that */
#define POLL_MS    300
#define PAUSE_MS   1000

typedef struct {
    int64_t at_ms;
    bson_oid_t id;
} given;

typedef struct {
    given *list;
    size_t n, room;
} window;

typedef struct {
    lh_store *store;
    const lh_audit_options *options;
    int (*each)(void *arg, const lh_audit_entry *entry);
    void *arg;
    int64_t from_ms, next_from_ms; /* the start of this read, and of the next one */
    /* entries passed on from from_ms on, by the last read and by this one; sorted */
    window before, now;
    enum { READING, STOPPED_BY_CALLER, NO_MEMORY } state;
} reading;

static int compare(const void *a, const void *b)
{
    const given *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return bson_oid_compare(&x->id, &y->id);
}

static bool push(window *w, const given *one)
{
    if (w->n == w->room) {
        size_t room = w->room ? w->room * 2 : 64;
        given *list = realloc(w->list, room * sizeof *list);
        if (!list)
            return false;
        w->list = list;
        w->room = room;
    }
    w->list[w->n++] = *one;
    return true;
}

static const char *text_at(const bson_t *line, const char *path)
{
    bson_iter_t top, value;
    uint32_t len;
    if (!bson_iter_init(&top, line) || !bson_iter_find_descendant(&top, path, &value) ||
        !BSON_ITER_HOLDS_UTF8(&value))
        return "";
    const char *text = bson_iter_utf8(&value, &len);
    return strlen(text) == len && bson_utf8_validate(text, len, false) ? text : "?";
}

static int64_t number_at(const bson_t *line, const char *field)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, line, field) ? bson_iter_as_int64(&value) : 0;
}

static lh_audit_entry entry_of(const bson_t *line, int64_t at_ms)
{
    return (lh_audit_entry){.at_ms = at_ms,
                            .event = text_at(line, "event"),
                            .key = text_at(line, "key"),
                            .owner = text_at(line, "owner"),
                            .host = text_at(line, "host"),
                            .purpose = text_at(line, "purpose"),
                            .by = text_at(line, "by"),
                            .reason = text_at(line, "reason"),
                            .to = text_at(line, "to"),
                            .previous_owner = text_at(line, "previous.owner"),
                            .previous_how = text_at(line, "previous.how"),
                            .pid = number_at(line, "pid"),
                            .token = number_at(line, "token"),
                            .to_token = number_at(line, "to_token"),
                            .mode = strcmp(text_at(line, "mode"), "shared") == 0 ? LH_SHARED
                                                                                 : LH_EXCLUSIVE};
}

static int take_one(void *arg, const bson_t *line)
{
    reading *r = arg;
    bson_iter_t at, id;
    if (!bson_iter_init_find(&at, line, "at") || !BSON_ITER_HOLDS_DATE_TIME(&at) ||
        !bson_iter_init_find(&id, line, "_id") || !BSON_ITER_HOLDS_OID(&id))
        return 0; /* not an entry of ours */
    given one = {.at_ms = bson_iter_date_time(&at)};
    bson_oid_copy(bson_iter_oid(&id), &one.id);
    bool known = r->before.n > 0 && bsearch(&one, r->before.list, r->before.n, sizeof one, compare);
    if (r->options->follow && one.at_ms >= r->next_from_ms && !push(&r->now, &one))
        r->state = NO_MEMORY;
    lh_audit_entry entry = entry_of(line, one.at_ms);
    if (!known && r->state == READING && r->each(r->arg, &entry) != 0)
        r->state = STOPPED_BY_CALLER;
    return r->state != READING;
}

static int look(reading *r, int64_t deadline, lh_error *error)
{
    bson_t command = BSON_INITIALIZER, filter, range, sort;
    BSON_APPEND_UTF8(&command, "find", r->store->audit);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "filter", &filter);
    if (r->options->key)
        BSON_APPEND_UTF8(&filter, "key", r->options->key);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "at", &range);
    BSON_APPEND_DATE_TIME(&range, "$gte", r->from_ms);
    bson_append_document_end(&filter, &range);
    bson_append_document_end(&command, &filter);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "sort", &sort);
    BSON_APPEND_INT32(&sort, "at", 1);
    bson_append_document_end(&command, &sort);
    BSON_APPEND_BOOL(&command, "allowDiskUse", true); /* needed if the indexes do not exist */
    BSON_APPEND_INT32(&command, "batchSize", 500);
    lh_call call = {.what = "read the audit trail",
                    .command = &command,
                    .deadline = deadline,
                    .kind = LH_CALL_READ};
    int outcome = lh_store_each(r->store, &call, take_one, r, error);
    bson_destroy(&command);
    return outcome;
}

/* Prepares the next read, which skips the entries that this one passed on. If this read was not
 * `whole`, the next one skips those of the previous read too. */
static bool turn(reading *r, bool whole)
{
    bool good = true;
    for (size_t i = 0; !whole && good && i < r->before.n; i++)
        good = push(&r->now, &r->before.list[i]);
    window old = r->before;
    r->before = r->now;
    r->now = (window){.list = old.list, .room = old.room};
    if (r->before.n > 0)
        qsort(r->before.list, r->before.n, sizeof *r->before.list, compare);
    if (whole)
        r->from_ms = r->next_from_ms;
    return good;
}

static bool is_passing(int outcome)
{
    return outcome == LH_UNREACHABLE || outcome == LH_UNKNOWN || outcome == LH_SERVER;
}

/* Reads again and again. An error in the first read ends the call; later ones that may pass are
 * retried. */
static int read_all(reading *r, lh_error *error)
{
    for (bool first = true;;) {
        int64_t now_ms = 0, deadline = lh_store_deadline(r->store, 0);
        lh_error mine = LH_ERROR_INIT;
        int outcome = lh_audit_now(r->store, deadline, &now_ms, &mine);
        if (outcome == LH_OK && first)
            r->from_ms = r->options->since_ms == LH_FOREVER ? 0 : now_ms - r->options->since_ms;
        if (outcome == LH_OK) {
            r->next_from_ms = now_ms - OVERLAP_MS > r->from_ms ? now_ms - OVERLAP_MS : r->from_ms;
            outcome = look(r, deadline, &mine);
        }
        if (r->state == NO_MEMORY || !turn(r, outcome == LH_OK))
            return lh_fail_memory(error);
        bool again = r->options->follow && (outcome == LH_OK || (!first && is_passing(outcome)));
        if (!again) {
            if (outcome != LH_OK)
                lh_error_give(error, &mine);
            return outcome;
        }
        first = false;
        struct pollfd poller = {.fd = lh_cancel_fd(r->options->cancel), .events = POLLIN};
        (void)poll(&poller, 1, outcome == LH_OK ? POLL_MS : PAUSE_MS);
        if (lh_cancel_is_now(r->options->cancel))
            return lh_fail(error, LH_CANCELLED, "reading the audit trail was cancelled");
    }
}

int lh_audit(lh_store *store, const lh_audit_options *options,
             int (*each)(void *arg, const lh_audit_entry *entry), void *arg, lh_error *error)
{
    lh_audit_options used = LH_AUDIT_OPTIONS_INIT;
    int outcome = lh_store_check(store, error);
    if (outcome == LH_OK)
        outcome = lh_audit_options_take(&used, options, error);
    if (outcome == LH_OK && used.key)
        outcome = lh_key_check(used.key, strlen(used.key), error);
    if (outcome == LH_OK && used.since_ms < 0)
        outcome = lh_fail(error, LH_INVALID,
                          "since_ms is %lld: it must be 0 or more, as the time before now",
                          (long long)used.since_ms);
    if (outcome == LH_OK && !each)
        outcome =
            lh_fail(error, LH_INVALID, "`each` is NULL: pass a function that takes the entries");
    if (outcome == LH_OK && !store->audit)
        outcome =
            lh_fail(error, LH_INVALID,
                    "the store was opened without an audit trail: name its collection in `audit`");
    if (outcome != LH_OK)
        return outcome;
    reading r = {.store = store, .options = &used, .each = each, .arg = arg, .state = READING};
    outcome = read_all(&r, error);
    free(r.before.list);
    free(r.now.list);
    return outcome;
}

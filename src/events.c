/* SPDX-License-Identifier: Apache-2.0
 * Watching: what is asked for, and how it is told. */
#include "events.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "cancel.h"
#include "key.h"

#define KEYS_MAX 1000

const char *lh_event_word(int event)
{
    switch (event) {
#define X(name, number, word)                                                                                          \
    case name:                                                                                                         \
        return word;
        LH_EVENTS(X)
#undef X
    default:
        return "";
    }
}

/* ---- What is wanted ---- */

bool lh_watching_wants_all(const lh_watching *w)
{
    return w->o.n_keys == 0 && !(w->o.prefix && *w->o.prefix);
}

bool lh_watching_wants(const lh_watching *w, const bson_t *document)
{
    bson_iter_t value;
    if (lh_watching_wants_all(w))
        return true;
    if (!bson_iter_init_find(&value, document, "workspace_id") || !BSON_ITER_HOLDS_UTF8(&value))
        return false;
    const char *key = bson_iter_utf8(&value, NULL);
    if (w->o.prefix && *w->o.prefix && strncmp(key, w->o.prefix, strlen(w->o.prefix)) == 0)
        return true;
    for (size_t i = 0; i < w->o.n_keys; i++)
        if (strcmp(key, w->o.keys[i]) == 0)
            return true;
    return false;
}

bool lh_watching_append_filter(const lh_watching *w, const char *field, bson_t *filter)
{
    bson_t any, one, part, keys;
    char room[16], last[LH_KEY_MAX + 8];
    const char *index;
    if (lh_watching_wants_all(w))
        return false;
    BSON_APPEND_ARRAY_BEGIN(filter, "$or", &any);
    BSON_APPEND_DOCUMENT_BEGIN(&any, "0", &one);
    BSON_APPEND_DOCUMENT_BEGIN(&one, field, &part);
    BSON_APPEND_ARRAY_BEGIN(&part, "$in", &keys);
    for (size_t i = 0; i < w->o.n_keys; i++) {
        bson_uint32_to_string((uint32_t)i, &index, room, sizeof room);
        BSON_APPEND_UTF8(&keys, index, w->o.keys[i]);
    }
    bson_append_array_end(&part, &keys);
    bson_append_document_end(&one, &part);
    bson_append_document_end(&any, &one);
    if (w->o.prefix && *w->o.prefix) { /* up to the prefix and the last character that there is */
        (void)snprintf(last, sizeof last, "%s\xF4\x8F\xBF\xBF", w->o.prefix);
        BSON_APPEND_DOCUMENT_BEGIN(&any, "1", &one);
        BSON_APPEND_DOCUMENT_BEGIN(&one, field, &part);
        BSON_APPEND_UTF8(&part, "$gte", w->o.prefix);
        BSON_APPEND_UTF8(&part, "$lte", last);
        bson_append_document_end(&one, &part);
        bson_append_document_end(&any, &one);
    }
    bson_append_array_end(filter, &any);
    return true;
}

int lh_watching_pause(const lh_watching *w, int64_t ms)
{
    struct pollfd poller = {.fd = lh_cancel_fd(w->o.cancel), .events = POLLIN};
    (void)poll(&poller, 1, (int)ms);
    if (!lh_cancel_is_now(w->o.cancel))
        return LH_OK;
    return lh_fail(w->error, LH_CANCELLED, "the watch was cancelled");
}

/* ---- Telling ---- */

/* An id is the time on the server's oplog, and how many events of that time were told with this one. Whoever goes on behind it
 * reads the documents as they were just before that time, and passes over so many. */
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

void lh_tell(lh_watching *w, lh_event event)
{
    if (!w->apart)
        w->told++;
    if (w->told > w->skip || w->apart)
        give(w, event, w->at, w->told);
}

void lh_tell_mark(lh_watching *w, int kind, int64_t at_ms)
{
    give(w, (lh_event){.kind = kind, .at_ms = at_ms}, w->at, w->skip);
}

int lh_watching_put(lh_watching *w, bson_t *after, uint64_t round, bool silent, int64_t at_ms)
{
    bool good = true;
    lh_shadow_entry *entry = lh_shadow_find(&w->shadow, after);
    const bson_t *before = entry ? entry->document : NULL;
    if (!silent && !(before && bson_equal(before, after)))
        good = lh_tell_difference(w, before, after, at_ms);
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
    bool good = lh_tell_difference(w, entry->document, NULL, at_ms);
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

/* ---- The call ---- */

static int check_after(lh_watching *w)
{
    uint64_t t, i;
    int end = -1;
    if (!w->o.after || !*w->o.after)
        return LH_OK;
    w->after = true;
    bool good = strspn(w->o.after, "0123456789.") == strlen(w->o.after) &&
                sscanf(w->o.after, "%10" SCNu64 ".%10" SCNu64 ".%9" SCNu64 "%n", &t, &i, &w->skip, &end) == 3 &&
                end == (int)strlen(w->o.after) && t > 0 && t <= UINT32_MAX && i > 0 && i <= UINT32_MAX;
    if (good) {
        w->at = (lh_instant){(uint32_t)t, (uint32_t)i};
        return LH_OK;
    }
    return lh_fail(w->error, LH_INVALID, "\"%.40s\" is not the id of an event", w->o.after);
}

static int check(lh_watching *w)
{
    int outcome = lh_store_check(w->store, w->error);
    if (outcome == LH_OK && !w->each)
        outcome = lh_fail(w->error, LH_INVALID, "no function was given to tell of the events");
    if (outcome == LH_OK && w->o.n_keys > KEYS_MAX)
        outcome = lh_fail(w->error, LH_INVALID, "%zu keys are too many: at most 1,000, or a prefix", w->o.n_keys);
    for (size_t i = 0; i < w->o.n_keys && outcome == LH_OK; i++)
        outcome = lh_key_check(w->o.keys[i], w->o.keys[i] ? strlen(w->o.keys[i]) : 0, w->error);
    if (outcome == LH_OK && w->o.prefix)
        outcome = lh_text_check("prefix", w->o.prefix, strlen(w->o.prefix), 0, LH_KEY_MAX, w->error);
    return outcome == LH_OK ? check_after(w) : outcome;
}

int lh_watch(lh_store *store, const lh_watch_options *options, int (*each)(void *arg, const lh_event *event), void *arg,
             lh_error *error)
{
    lh_error own = {0};
    lh_watching w = {
        .store = store, .o = LH_WATCH_OPTIONS_INIT, .each = each, .arg = arg, .error = error ? error : &own};
    if (options)
        memcpy(&w.o, options, options->size < sizeof w.o ? options->size : sizeof w.o);
    int outcome = check(&w);
    if (outcome == LH_OK)
        outcome = lh_store_contact(store, lh_store_deadline(store, 0), w.error);
    if (outcome != LH_OK)
        return outcome;
    w.on_set = atomic_load(&store->topology) == LH_TOPOLOGY_SET;
    outcome = w.on_set ? lh_watching_follow(&w) : lh_watching_poll(&w);
    lh_shadow_fini(&w.shadow);
    return outcome;
}

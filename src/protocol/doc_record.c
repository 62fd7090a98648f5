/* SPDX-License-Identifier: Apache-2.0
 * Converts a document to the public record: the holders, the waiters, and how the last lease
 * ended. */
#include "protocol/doc_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/key.h"
#include "protocol/doc.h"
#include "protocol/doc_instant.h"

/* The record and everything that it points to, in one piece of memory. Strings are stored one after
 * the other at `text`, which has room for every string of the document. */
typedef struct {
    lh_holder public;
    lh_doc_mark mark;
} holder_box;

typedef struct {
    lh_waiter public;
    const char *id;
} waiter_box;

typedef struct {
    lh_record record;
    const char *released_id;
    holder_box *holders;
    waiter_box *waiters;
    size_t n_holders, n_waiters;
    char *text;
    char problem[128];
} box;

static size_t count_entries(const bson_t *document, const char *map)
{
    bson_iter_t value, entry;
    size_t n = 0;
    if (bson_iter_init_find(&value, document, map) && BSON_ITER_HOLDS_DOCUMENT(&value) &&
        bson_iter_recurse(&value, &entry))
        while (bson_iter_next(&entry))
            n++;
    return n;
}

int lh_doc_id_query(const char *json, bson_t *ret_query, lh_error *error)
{
    bson_error_t why = {0};
    size_t size = (json ? strlen(json) : 0) + sizeof "{\"_id\":}";
    char *text = malloc(size);
    if (!text)
        return lh_fail_memory(error);
    (void)snprintf(text, size, "{\"_id\":%s}", json ? json : "");
    bool parsed = bson_init_from_json(ret_query, text, -1, &why);
    free(text);
    if (parsed && bson_count_keys(ret_query) == 1 && bson_has_field(ret_query, "_id"))
        return LH_OK;
    if (parsed)
        bson_destroy(ret_query);
    return lh_fail(error, LH_INVALID,
                   "the _id is not one value of extended JSON, such as "
                   "{\"$oid\":\"65f0a1b2c3d4e5f601234567\"}, \"text\" or 7%s%.200s",
                   *why.message ? ": " : "", why.message);
}

/* for values that are longer as text than as BSON: an ObjectId, a key that is not a string */
#define TEXT_SLACK 4096

/* `more`: bytes of text that the document does not have. */
static box *box_new(const bson_t *document, size_t more)
{
    size_t holders = count_entries(document, "shared") + 1,
           waiters = count_entries(document, "waiters");
    size_t head = sizeof(box) + holders * sizeof(holder_box) + waiters * sizeof(waiter_box);
    box *b = malloc(head + document->len + TEXT_SLACK + more);
    if (!b)
        return NULL;
    memset(b, 0, head);
    b->holders = (holder_box *)(b + 1);
    b->waiters = (waiter_box *)(b->holders + holders);
    b->text = (char *)(b->waiters + waiters);
    lh_record *r = &b->record;
    r->key = r->problem = r->released_how = r->released_owner = r->released_by =
        r->released_reason = r->note = r->document_id = r->id_json = r->id_taken_by =
            b->released_id = "";
    return b;
}

/* Copies a stored string. Bytes that are not UTF-8, and NUL, become '?'. */
static const char *keep(box *b, const char *text, size_t len)
{
    char *copy = b->text;
    memcpy(copy, text, len);
    copy[len] = '\0';
    b->text += len + 1;
    if (bson_utf8_validate(copy, len, false))
        return copy;
    for (size_t i = 0; i < len; i++)
        if (copy[i] == '\0')
            copy[i] = '?';
    for (size_t at = 0; at < len;) {
        size_t n = 1; /* length of the character */
        while (n <= 4 && at + n <= len && !bson_utf8_validate(copy + at, n, false))
            n++;
        if (n > 4 || at + n > len)
            copy[at] = '?', n = 1;
        at += n;
    }
    return copy;
}

static const char *get_string(box *b, const bson_iter_t *object, const char *field)
{
    bson_iter_t value;
    uint32_t len;
    if (!bson_iter_recurse(object, &value) || !bson_iter_find(&value, field) ||
        !BSON_ITER_HOLDS_UTF8(&value))
        return "";
    const char *text = bson_iter_utf8(&value, &len);
    return keep(b, text, len);
}

/* Reads a string, or an ObjectId. */
static const char *get_name(box *b, const bson_iter_t *object, const char *field)
{
    bson_iter_t value;
    char hex[25];
    if (!bson_iter_recurse(object, &value) || !bson_iter_find(&value, field) ||
        !BSON_ITER_HOLDS_OID(&value))
        return get_string(b, object, field);
    bson_oid_to_string(bson_iter_oid(&value), hex);
    return keep(b, hex, 24);
}

/* Reads `owner`, or the field that older code wrote instead. */
static const char *get_owner(box *b, const bson_iter_t *object)
{
    const char *owner = get_name(b, object, "owner");
    return *owner ? owner : get_name(b, object, "user_id");
}

/* `id` is the name of a reader's entry; NULL: the object has a field `id`. */
static void add_holder(box *b, const bson_iter_t *object, const char *id, int mode, int64_t now_ms)
{
    lh_doc_mark *mark = &b->holders[b->n_holders].mark;
    lh_holder *h = &b->holders[b->n_holders++].public;
    *mark = (lh_doc_mark){.id = id ? keep(b, id, strlen(id)) : get_string(b, object, "id"),
                          .renewed_at_ms = lh_doc_date_in(object, "renewed_at")};
    *h = (lh_holder){.owner = get_owner(b, object),
                     .host = get_string(b, object, "host"),
                     .purpose = get_string(b, object, "purpose"),
                     .pid = lh_doc_number_in(object, "pid"),
                     .mode = mode,
                     .token = lh_doc_number_in(object, "token"),
                     .acquired_at_ms = lh_doc_date_in(object, "acquired_at"),
                     .expires_at_ms = LH_NEVER,
                     .remaining_ms = LH_NEVER};
    bson_iter_t value;
    if (bson_iter_recurse(object, &value) && bson_iter_find(&value, "expires_at") &&
        lh_doc_instant(&value, &h->expires_at_ms))
        if (__builtin_sub_overflow(h->expires_at_ms, now_ms, &h->remaining_ms))
            h->remaining_ms = h->expires_at_ms < 0 ? INT64_MIN : LH_NEVER;
}

static void set_released(box *b, const char *how, const char *owner, const char *by,
                         const char *reason, int64_t at_ms)
{
    lh_record *r = &b->record;
    r->released_how = how;
    r->released_owner = owner;
    r->released_by = by;
    r->released_reason = reason;
    r->released_at_ms = at_ms;
    r->note = "";
    r->note_token = r->note_at_ms = 0;
}

static void read_released(box *b, const bson_t *document)
{
    bson_iter_t released;
    if (!bson_iter_init_find(&released, document, "released") ||
        !BSON_ITER_HOLDS_DOCUMENT(&released))
        return;
    const char *how = get_string(b, &released, "how");
    b->released_id = lh_doc_released_of(get_string(b, &released, "id"));
    set_released(b, how, get_string(b, &released, "owner"), get_string(b, &released, "by"),
                 get_string(b, &released, "reason"), lh_doc_date_in(&released, "at"));
    bson_iter_t note;
    if (!bson_iter_recurse(&released, &note) || !bson_iter_find(&note, "note") ||
        !BSON_ITER_HOLDS_DOCUMENT(&note))
        return;
    b->record.note = get_string(b, &note, "text");
    b->record.note_token = *b->record.note ? lh_doc_number_in(&note, "token") : 0;
    b->record.note_at_ms = *b->record.note ? lh_doc_date_in(&note, "at") : 0;
}

static bool is_held_by_readers(const bson_t *document)
{
    bson_iter_t id, shared;
    return bson_iter_init_find(&shared, document, "shared") && BSON_ITER_HOLDS_DOCUMENT(&shared) &&
           bson_iter_init_find(&id, document, "id") && BSON_ITER_HOLDS_UTF8(&id) &&
           strncmp(bson_iter_utf8(&id, NULL), "shared:", 7) == 0;
}

static void read_key(box *b, const bson_t *document)
{
    bson_iter_t value;
    if (!bson_iter_init_find(&value, document, "workspace_id"))
        return;
    if (BSON_ITER_HOLDS_UTF8(&value)) {
        uint32_t len;
        const char *text = bson_iter_utf8(&value, &len);
        b->record.key = keep(b, text, len);
        return;
    }
    bson_t alone = BSON_INITIALIZER;
    BSON_APPEND_VALUE(&alone, "v", bson_iter_value(&value));
    size_t len;
    char *json = bson_as_relaxed_extended_json(&alone, &len);
    if (json && len > 10) { /* { "v" : … } */
        size_t cut = len - 10 < TEXT_SLACK - 64 ? len - 10 : TEXT_SLACK - 64;
        b->record.key = keep(b, json + 8, cut);
    }
    bson_free(json);
    bson_destroy(&alone);
}

static void read_id(box *b, const bson_t *document)
{
    bson_iter_t id;
    uint32_t len;
    if (!bson_iter_init_find(&id, document, "_id") || !BSON_ITER_HOLDS_UTF8(&id))
        return;
    const char *text = bson_iter_utf8(&id, &len);
    if (!lh_doc_has_text(document, "workspace_id", text))
        b->record.document_id = keep(b, text, len);
}

/* The document's _id as extended JSON, to be freed with bson_free(). NULL: it has none. */
static char *new_id_json(const bson_t *document)
{
    bson_iter_t id;
    if (!bson_iter_init_find(&id, document, "_id"))
        return NULL;
    bson_t alone = BSON_INITIALIZER;
    bson_append_iter(&alone, "v", 1, &id);
    size_t len = 0;
    char *json = bson_as_relaxed_extended_json(&alone, &len);
    bson_destroy(&alone);
    if (json && len > 10) { /* { "v" : … } */
        memmove(json, json + 8, len - 10);
        json[len - 10] = '\0';
    }
    return json;
}

/* Whether operators have to name the document by its _id, because its key is missing, unreadable,
 * or not valid for a lease. */
static bool is_named_by_id(const bson_t *document)
{
    bson_iter_t key;
    char problem[128];
    uint32_t len = 0;
    if (lh_doc_problem(document, problem, sizeof problem) ||
        !bson_iter_init_find(&key, document, "workspace_id"))
        return true;
    const char *text = bson_iter_utf8(&key, &len);
    return lh_key_check(text, len, NULL) != LH_OK;
}

static void read_readers(box *b, const bson_t *document, int64_t now_ms, int64_t grace_ms)
{
    bson_iter_t shared, entry;
    if (!bson_iter_init_find(&shared, document, "shared") || !bson_iter_recurse(&shared, &entry))
        return;
    while (bson_iter_next(&entry)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&entry))
            continue;
        add_holder(b, &entry, bson_iter_key(&entry), LH_SHARED, now_ms);
        if (b->holders[b->n_holders - 1].public.remaining_ms <= -grace_ms)
            b->n_holders--;
    }
}

static void read_waiters(box *b, const bson_t *document, int64_t now_ms)
{
    bson_iter_t waiters, entry;
    if (!bson_iter_init_find(&waiters, document, "waiters") ||
        !BSON_ITER_HOLDS_DOCUMENT(&waiters) || !bson_iter_recurse(&waiters, &entry))
        return;
    while (bson_iter_next(&entry)) {
        int64_t age_ms;
        if (!BSON_ITER_HOLDS_DOCUMENT(&entry))
            continue;
        bool dead = __builtin_sub_overflow(now_ms, lh_doc_date_in(&entry, "beat_at"), &age_ms) ||
                    /* as in protocol/state.lp */
                    age_ms >= lh_doc_number_in(&entry, "claim_ms") || age_ms < -3600000;
        if (dead && now_ms != LH_DOC_ALL)
            continue;
        const char *mode = get_string(b, &entry, "mode");
        waiter_box *w = &b->waiters[b->n_waiters++];
        w->public = (lh_waiter){.owner = get_owner(b, &entry),
                                .purpose = get_string(b, &entry, "purpose"),
                                .mode = strcmp(mode, "shared") == 0 ? LH_SHARED : LH_EXCLUSIVE,
                                .since_ms = lh_doc_date_in(&entry, "since")};
        w->id = keep(b, bson_iter_key(&entry), strlen(bson_iter_key(&entry)));
    }
}

/* Wraps the document in another, so that its fields are read like those of an entry. */
static bson_t *wrap(const bson_t *document)
{
    bson_t *wrapped = bson_new();
    BSON_APPEND_DOCUMENT(wrapped, "d", document);
    return wrapped;
}

static void read_holders(box *b, const bson_t *document, bool whole, int64_t now_ms,
                         int64_t grace_ms)
{
    lh_record *r = &b->record;
    bool freed = lh_doc_is_freed(document, now_ms);
    bson_t *wrapped = wrap(document);
    bson_iter_t top;
    (void)bson_iter_init_find(&top, wrapped, "d");
    bool readers = is_held_by_readers(document);
    if (r->state == LH_MALFORMED) {
        add_holder(b, &top, NULL, LH_EXCLUSIVE, now_ms);
    } else if (readers && whole) {
        read_readers(b, document, now_ms, grace_ms);
    } else if (!freed) {
        add_holder(b, &top, NULL, readers ? LH_SHARED : LH_EXCLUSIVE, now_ms);
        b->holders[0].public.kept = lh_doc_is_kept(document);
        /* In a reply, the token at the top level is the highest ever; its reader may have left. */
        bson_iter_t newest;
        if (readers && bson_iter_init_find(&newest, document, "newest") &&
            BSON_ITER_HOLDS_INT(&newest))
            b->holders[0].public.token = bson_iter_as_int64(&newest);
    }
    if (r->state != LH_MALFORMED) {
        lh_holder *h = b->n_holders > 0 ? &b->holders[0].public : NULL;
        bool dead = h && !(readers && whole) && h->remaining_ms <= -grace_ms;
        r->expired = dead || (readers && !freed && b->n_holders == 0);
        if (dead)
            set_released(b, "expire", h->owner, "", "", h->expires_at_ms);
        if (dead)
            b->n_holders = 0;
        else if (r->expired)
            set_released(b, "expire", get_owner(b, &top), "", "",
                         lh_doc_date_in(&top, "expires_at"));
        r->state = b->n_holders > 0 ? LH_HELD : LH_FREE;
    }
    bson_destroy(wrapped);
    r->holders = b->n_holders;
}

static lh_record *make_record(const bson_t *document, bool whole, int64_t now_ms, int64_t grace_ms)
{
    char *id_json = whole && is_named_by_id(document) ? new_id_json(document) : NULL;
    box *b = box_new(document, id_json ? strlen(id_json) : 0);
    if (b && id_json)
        b->record.id_json = keep(b, id_json, strlen(id_json));
    bson_free(id_json);
    if (!b)
        return NULL;
    lh_record *r = &b->record;
    r->now_ms = now_ms;
    if ((whole ? lh_doc_problem : lh_doc_reply_problem)(document, b->problem, sizeof b->problem)) {
        r->state = LH_MALFORMED;
        r->problem = b->problem;
    } else if (lh_doc_is_spent(document, now_ms, grace_ms)) {
        r->state = LH_MALFORMED;
        r->problem = "token has reached its maximum: no higher token can be granted; break the key "
                     "to restart the tokens";
    }
    read_key(b, document);
    read_id(b, document);
    r->token = lh_doc_token(document);
    read_released(b, document);
    read_holders(b, document, whole, now_ms, grace_ms);
    if (whole && r->state != LH_MALFORMED)
        read_waiters(b, document, now_ms);
    r->waiters = b->n_waiters;
    return r;
}

lh_record *lh_doc_record(const bson_t *document, int64_t now_ms, int64_t grace_ms)
{
    return make_record(document, true, now_ms, grace_ms);
}

lh_record *lh_doc_reply_record(const bson_t *document, int64_t grace_ms)
{
    bson_iter_t value;
    int64_t now_ms = bson_iter_init_find(&value, document, "now") ? bson_iter_date_time(&value) : 0;
    lh_record *record = make_record(document, false, now_ms, grace_ms);
    if (record && record->state == LH_HELD && bson_iter_init_find(&value, document, "holders") &&
        bson_iter_as_int64(&value) > 1)
        record->holders = (size_t)bson_iter_as_int64(&value);
    if (record && bson_iter_init_find(&value, document, "waiting"))
        record->waiters = (size_t)bson_iter_as_int64(&value);
    return record;
}

lh_record *lh_doc_free_record(const char *key, int64_t now_ms)
{
    bson_t document = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&document, "workspace_id", key);
    box *b = box_new(&document, 0);
    if (b) {
        b->record.now_ms = now_ms;
        read_key(b, &document);
    }
    bson_destroy(&document);
    return b ? &b->record : NULL;
}

void lh_doc_set_taken_by(lh_record *record, const char *key)
{
    size_t len = strlen(key); /* truncated so that TEXT_SLACK has room for it twice */
    record->id_taken_by = keep((box *)record, key, len < TEXT_SLACK / 4 ? len : TEXT_SLACK / 4);
}

const lh_holder *lh_record_holder(const lh_record *record, size_t i)
{
    const box *b = (const box *)record;
    return i < b->n_holders ? &b->holders[i].public : NULL;
}

const lh_waiter *lh_record_waiter(const lh_record *record, size_t i)
{
    const box *b = (const box *)record;
    return i < b->n_waiters ? &b->waiters[i].public : NULL;
}

lh_doc_mark lh_doc_holder_mark(const lh_record *record, size_t i)
{
    return ((const box *)record)->holders[i].mark;
}

const char *lh_doc_waiter_id(const lh_record *record, size_t i)
{
    return ((const box *)record)->waiters[i].id;
}

const char *lh_doc_released_id(const lh_record *record)
{
    return ((const box *)record)->released_id;
}

void lh_record_free(lh_record *record)
{
    free(record);
}

const char *lh_why_word(int why)
{
    static const char *const words[] = {"",     "held", "queue",      "malformed",
                                        "full", "race", "full_queue", "path"};
    return why > 0 && why <= LH_WHY_PATH ? words[why] : "";
}

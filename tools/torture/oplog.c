/* SPDX-License-Identifier: Apache-2.0
 * An update is in the oplog as what it changed: fields set (u), inserted at the end (i), deleted
 * (d), and documents within (s…). The documents are kept here by _id and changed in the same
 * way. */
#include "torture/oplog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "torture/field.h"

struct kept {
    struct kept *next;
    bson_t *id; /* {_id: …} */
    bson_t *document;
};

struct oplog {
    char *ns;
    const struct history *history;
    struct kept *kept;
    int64_t seq, wall_to_boot_ns;
};

struct oplog *oplog_new(const char *ns, const struct history *history)
{
    struct oplog *oplog = calloc(1, sizeof *oplog);
    if (!oplog)
        return NULL;
    oplog->ns = strdup(ns);
    oplog->history = history;
    oplog->wall_to_boot_ns = history_now() - clock_ns(CLOCK_REALTIME);
    return oplog;
}

static void free_kept(struct kept *kept)
{
    bson_destroy(kept->id);
    bson_destroy(kept->document);
    free(kept);
}

void oplog_free(struct oplog *oplog)
{
    if (!oplog)
        return;
    while (oplog->kept) {
        struct kept *next = oplog->kept->next;
        free_kept(oplog->kept);
        oplog->kept = next;
    }
    free(oplog->ns);
    free(oplog);
}

static bool append_all(bson_t *to, const bson_t *from)
{
    bson_iter_t field;
    bool good = bson_iter_init(&field, from);
    while (good && bson_iter_next(&field))
        good = BSON_APPEND_VALUE(to, bson_iter_key(&field), bson_iter_value(&field));
    return good;
}

/* One field as the diff leaves it: deleted, set, changed within, or as it was. */
static bool apply_to_field(bson_t *to, const bson_iter_t *field, const bson_t *set,
                           const bson_t *inserted, const bson_t *deleted, const bson_t *diff)
{
    const char *name = bson_iter_key(field);
    char within[300];
    bson_iter_t value;
    bson_t before, change;
    const uint8_t *data;
    uint32_t len;
    if (bson_has_field(deleted, name) || bson_has_field(inserted, name))
        return true; /* what is deleted and inserted again stands at the end */
    if (bson_iter_init_find(&value, set, name))
        return BSON_APPEND_VALUE(to, name, bson_iter_value(&value));
    (void)snprintf(within, sizeof within, "s%s", name);
    if (!field_part(diff, within, &change))
        return BSON_APPEND_VALUE(to, name, bson_iter_value((bson_iter_t *)(uintptr_t)field));
    if (!BSON_ITER_HOLDS_DOCUMENT(field)) /* arrays: no document of ours has one */
        return false;
    bson_iter_document(field, &len, &data);
    bson_t *after =
        bson_init_static(&before, data, len) ? oplog_apply_diff(&before, &change) : NULL;
    bool good = after && BSON_APPEND_DOCUMENT(to, name, after);
    if (after)
        bson_destroy(after);
    return good;
}

bson_t *oplog_apply_diff(const bson_t *document, const bson_t *diff)
{
    bson_t set, inserted, deleted, *after = bson_new();
    if (!field_part(diff, "u", &set))
        bson_init(&set);
    if (!field_part(diff, "i", &inserted))
        bson_init(&inserted);
    if (!field_part(diff, "d", &deleted))
        bson_init(&deleted);
    bson_iter_t field;
    bool good = bson_iter_init(&field, document) && !bson_has_field(diff, "a");
    while (good && bson_iter_next(&field))
        good = apply_to_field(after, &field, &set, &inserted, &deleted, diff);
    bson_iter_t again; /* `u` may name what was not there */
    if (good && bson_iter_init(&again, &set))
        while (good && bson_iter_next(&again))
            if (!bson_has_field(after, bson_iter_key(&again)))
                good = BSON_APPEND_VALUE(after, bson_iter_key(&again), bson_iter_value(&again));
    good = good && append_all(after, &inserted);
    bson_destroy(&set);
    bson_destroy(&inserted);
    bson_destroy(&deleted);
    if (good)
        return after;
    bson_destroy(after);
    return NULL;
}

static struct kept **find(struct oplog *oplog, const bson_t *id)
{
    struct kept **at = &oplog->kept;
    while (*at && !bson_equal((*at)->id, id))
        at = &(*at)->next;
    return at;
}

static bool write_line(struct oplog *oplog, const bson_t *entry, const bson_t *document,
                       bool removed)
{
    bson_iter_t wall, key, id;
    bson_t line;
    int64_t t = bson_iter_init_find(&wall, entry, "wall") && BSON_ITER_HOLDS_DATE_TIME(&wall)
                    ? bson_iter_date_time(&wall) * 1000000 + oplog->wall_to_boot_ns
                    : 0;
    history_begin_at(oplog->history, &line, "commit", t);
    BSON_APPEND_INT64(&line, "seq", ++oplog->seq);
    if (bson_iter_init_find(&wall, entry, "wall"))
        BSON_APPEND_VALUE(&line, "wall", bson_iter_value(&wall));
    if (bson_iter_init_find(&key, document, "workspace_id"))
        BSON_APPEND_VALUE(&line, "key", bson_iter_value(&key));
    if (bson_iter_init_find(&id, document, "_id"))
        BSON_APPEND_VALUE(&line, "id", bson_iter_value(&id));
    if (removed)
        BSON_APPEND_NULL(&line, "doc");
    else
        BSON_APPEND_DOCUMENT(&line, "doc", document);
    return history_write(oplog->history, &line);
}

static bool insert(struct oplog *oplog, const bson_t *entry, const bson_t *document)
{
    bson_iter_t id;
    struct kept *kept = calloc(1, sizeof *kept);
    if (!kept || !bson_iter_init_find(&id, document, "_id")) {
        free(kept);
        return false;
    }
    kept->id = bson_new();
    BSON_APPEND_VALUE(kept->id, "_id", bson_iter_value(&id));
    kept->document = bson_copy(document);
    kept->next = oplog->kept;
    oplog->kept = kept;
    return write_line(oplog, entry, document, false);
}

static bool update(struct oplog *oplog, const bson_t *entry, const bson_t *id, const bson_t *change)
{
    bson_t diff;
    struct kept *kept = *find(oplog, id);
    if (!kept)
        return false;
    bson_t *after = field_part(change, "diff", &diff) ? oplog_apply_diff(kept->document, &diff)
                    : bson_has_field(change, "workspace_id") ? bson_copy(change)
                                                             : NULL;
    if (!after)
        return false;
    bson_destroy(kept->document);
    kept->document = after;
    return write_line(oplog, entry, after, false);
}

static bool remove_one(struct oplog *oplog, const bson_t *entry, const bson_t *id)
{
    struct kept **at = find(oplog, id), *kept = *at;
    if (!kept)
        return false;
    bool good = write_line(oplog, entry, kept->document, true);
    *at = kept->next;
    free_kept(kept);
    return good;
}

/* `times` has the time: an operation within an applyOps has none of its own. */
static bool take_one(struct oplog *oplog, const bson_t *entry, const bson_t *times)
{
    bson_t o, o2;
    const char *op = field_text(entry, "op");
    if (strcmp(field_text(entry, "ns"), oplog->ns) != 0 || !field_part(entry, "o", &o))
        return true;
    if (strcmp(op, "i") == 0)
        return insert(oplog, times, &o);
    if (strcmp(op, "u") == 0)
        return field_part(entry, "o2", &o2) && update(oplog, times, &o2, &o);
    return strcmp(op, "d") == 0 ? remove_one(oplog, times, &o) : true;
}

bool oplog_take(struct oplog *oplog, const bson_t *entry)
{
    bson_t o;
    bson_iter_t ops, one;
    const uint8_t *data;
    uint32_t len;
    if (strcmp(field_text(entry, "op"), "c") != 0)
        return take_one(oplog, entry, entry);
    bool good = true;
    if (!field_part(entry, "o", &o) || !bson_iter_init_find(&ops, &o, "applyOps") ||
        !bson_iter_recurse(&ops, &one))
        return true;
    while (good && bson_iter_next(&one)) {
        bson_t within;
        bson_iter_document(&one, &len, &data);
        good = bson_init_static(&within, data, len) && take_one(oplog, &within, entry);
    }
    return good;
}

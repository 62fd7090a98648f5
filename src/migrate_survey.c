/* SPDX-License-Identifier: Apache-2.0
 * Counting what a migration would find, without changing anything: one cursor over everything, sorted by the key, one group
 * in memory at a time. And what this walk and the one in migrate_dedupe.c have in common. */
#include <string.h>

#include "migrate_parts.h"

void lh_walk_append_projection(bson_t *command)
{
    static const char *const fields[] = {"_id", "workspace_id", "expires_at", "token"};
    bson_t projection;
    BSON_APPEND_DOCUMENT_BEGIN(command, "projection", &projection);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        BSON_APPEND_INT32(&projection, fields[i], 1);
    bson_append_document_end(command, &projection);
}

bool lh_group_has_key(const lh_group *group, const char *key, uint32_t len)
{
    uint32_t other_len = 0;
    const char *other = lh_group_key(group, &other_len);
    return other && len == other_len && memcmp(key, other, len) == 0;
}

/* Counts a document without a string key. */
void lh_walk_count_odd(lh_migration *m, const bson_t *document)
{
    if (m->bad_keys++ == 0)
        lh_document_id_text(document, m->bad_example, sizeof m->bad_example);
    m->report->malformed++;
}

void lh_walk_begin(lh_migration *m, lh_walk *walk)
{
    *walk = (lh_walk){0};
    m->bad_keys = 0;
    m->report->scanned = 0;
    m->report->malformed = 0;
}

typedef struct {
    lh_migration *m;
    lh_walk *walk;
    lh_group group;
    bool tell;
    int outcome;
    lh_error *error;
} survey;

static void end_group(survey *s)
{
    if (s->group.count > 1) {
        s->walk->duplicate_keys++;
        s->walk->losers += s->group.count - 1;
        if (s->tell)
            lh_group_tell(&s->group, s->m);
    }
    lh_group_clear(&s->group);
}

static int survey_document(void *arg, const bson_t *document)
{
    survey *s = arg;
    lh_migrate_report *report = s->m->report;
    uint32_t len = 0;
    bool unreadable = false;
    const char *key = lh_document_key(document, &len);
    if (!key) {
        lh_walk_count_odd(s->m, document);
    } else {
        if (!lh_group_has_key(&s->group, key, len))
            end_group(s);
        lh_group_add(&s->group, document, &unreadable);
        report->malformed += unreadable ? 1 : 0;
    }
    if (++report->scanned % LH_MIGRATE_PIECE == 0)
        s->outcome = lh_migrate_progress(s->m, "look", report->scanned, s->m->total, s->error);
    return s->outcome == LH_OK ? 0 : 1;
}

int lh_migrate_survey(lh_migration *m, bool index, bool tell, lh_walk *ret_walk, lh_error *error)
{
    lh_walk_begin(m, ret_walk);
    survey s = {.m = m, .walk = ret_walk, .tell = tell, .outcome = LH_OK, .error = error};
    lh_group_init(&s.group);
    bson_t *command = BCON_NEW("find", BCON_UTF8(m->store->collection), "sort", "{", "workspace_id", BCON_INT32(1), "}",
                               "batchSize", BCON_INT32(LH_MIGRATE_PIECE));
    lh_walk_append_projection(command);
    BSON_APPEND_BOOL(command, "allowDiskUse", true);
    if (index)
        BSON_APPEND_UTF8(command, "hint", m->index);
    lh_error mine = {0};
    lh_call call = {
        .what = "read the documents", .command = command, .deadline = m->deadline, .read = true, .slow = true};
    int outcome = lh_store_each(m->store, &call, survey_document, &s, &mine);
    bson_destroy(command);
    if (outcome == LH_OK)
        end_group(&s);
    else if (s.outcome != LH_OK) /* our own reason to stop; `error` has it */
        outcome = s.outcome;
    else if (error)
        *error = mine;
    lh_group_fini(&s.group);
    return outcome;
}

/* SPDX-License-Identifier: Apache-2.0
 * Counts what a migration would find, and changes nothing. One cursor reads all documents, sorted
 * by the key; one group at a time is in memory. Also has what this walk and the one in
 * migrate_dedupe.c share. */
#include "migrate/migrate_survey.h"

#include <string.h>

#include "base/error.h"
#include "migrate/migrate_foreign.h"
#include "migrate/migrate_judge.h"
#include "migrate/migrate_parts.h"
#include "protocol/doc_tally.h"
#include "store/store_run.h"

bool lh_group_has_key(const lh_group *group, const char *key, uint32_t len)
{
    uint32_t other_len = 0;
    const char *other = lh_group_key(group, &other_len);
    return other && len == other_len && memcmp(key, other, len) == 0;
}

void lh_walk_begin(lh_migration *m, lh_walk *walk)
{
    *walk = (lh_walk){0};
    m->bad_keys = m->bad_live = m->blocking = 0;
    m->bad_example[0] = m->live_example[0] = '\0';
    m->report->scanned = m->report->malformed = m->report->foreign_live = 0;
    memset(m->report->foreign, 0, sizeof m->report->foreign);
}

typedef struct {
    lh_migration *m;
    lh_walk *walk;
    lh_group group;
    bson_t last; /* the last document without a string key */
    lh_tally tally;
    bool verdicts;
    int outcome;
    lh_error *error;
} survey;

static void end_group(survey *s)
{
    if (s->group.count > 1) {
        s->walk->duplicate_keys++;
        s->walk->losers += s->group.count - 1;
        if (s->verdicts)
            lh_group_report(&s->group, s->m);
    }
    lh_group_clear(&s->group);
}

static int survey_document(void *arg, const bson_t *document)
{
    survey *s = arg;
    lh_migrate_report *report = s->m->report;
    uint32_t len = 0;
    const char *key = lh_document_key(document, &len);
    if (lh_tally_document(&s->tally, document) || !key)
        lh_migrate_count_unreadable(s->m, document);
    if (!key) {
        lh_foreign_neighbour(s->m, &s->last, document);
    } else {
        if (!lh_group_has_key(&s->group, key, len))
            end_group(s);
        lh_group_add(&s->group, document);
        s->m->has_string_keys = true;
    }
    if (++report->scanned % LH_MIGRATE_PIECE == 0)
        s->outcome = lh_migrate_progress(s->m, "look", report->scanned, s->m->total, s->error);
    return s->outcome == LH_OK ? 0 : 1;
}

int lh_migrate_survey(lh_migration *m, bool verdicts, lh_walk *ret_walk, lh_error *error)
{
    lh_walk_begin(m, ret_walk);
    m->has_string_keys = false;
    survey s = {.m = m, .walk = ret_walk, .verdicts = verdicts, .outcome = LH_OK, .error = error};
    lh_group_init(&s.group);
    bson_init(&s.last);
    bson_t *command = BCON_NEW("find", BCON_UTF8(m->store->collection), "sort", "{", "workspace_id",
                               BCON_INT32(1), "}", "batchSize", BCON_INT32(LH_MIGRATE_PIECE));
    BSON_APPEND_BOOL(command, "allowDiskUse", true);
    lh_error mine = LH_ERROR_INIT;
    lh_call call = {.what = "read the documents",
                    .command = command,
                    .deadline = m->deadline,
                    .kind = LH_CALL_READ,
                    .slow = true};
    int outcome = lh_store_each(m->store, &call, survey_document, &s, &mine);
    bson_destroy(command);
    if (outcome == LH_OK)
        end_group(&s);
    else if (s.outcome != LH_OK) /* we stopped it; `error` has the reason */
        outcome = s.outcome;
    else
        lh_error_give(error, &mine);
    lh_tally_text(&s.tally, m->report->problems, sizeof m->report->problems);
    lh_group_fini(&s.group);
    bson_destroy(&s.last);
    return outcome;
}

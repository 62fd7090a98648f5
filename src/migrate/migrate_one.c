/* SPDX-License-Identifier: Apache-2.0
 * Moves one unreadable document, named by its _id, to the archive, and changes nothing else. */
#include "migrate/migrate_one.h"

#include <stdio.h>

#include "base/error.h"
#include "base/key.h"
#include "migrate/migrate_foreign.h"
#include "migrate/migrate_judge.h"
#include "migrate/migrate_look.h"
#include "migrate/migrate_move.h"
#include "migrate/migrate_parts.h"
#include "protocol/doc.h"
#include "protocol/doc_record.h"
#include "store/store_run.h"

/* Whether its workspace_id is a valid key, and all its fields can be read. Such a document is not
 * moved: other commands work on it. */
static bool is_sound(const bson_t *document)
{
    uint32_t len = 0;
    const char *key = lh_document_key(document, &len);
    return key && lh_key_check(key, len, NULL) == LH_OK && !lh_migrate_is_unreadable(document);
}

static int judge(lh_migration *m, const bson_t *document, lh_error *error)
{
    if (is_sound(document))
        return lh_fail(error, LH_CONFIG,
                       "the document with the _id %.200s can be read and has a valid key, so it is "
                       "not moved: to end its lease, use break with its key",
                       m->options->id);
    lh_migrate_count_unreadable(m, document);
    if (m->bad_live > 0 && !m->options->even_live)
        return lh_fail(
            error, LH_CONFIG,
            "the document with the _id %.200s is live: its end is in the future, or not known. "
            "Wait until it has ended, or move it anyway with --even-live (even_live)",
            m->options->id);
    return LH_OK;
}

static int move(lh_migration *m, const bson_t *document, lh_error *error)
{
    lh_walk walk = {0};
    lh_loser loser = {.document = bson_get_data(document)};
    int outcome = m->options->dry_run ? LH_OK : lh_migrate_move(m, &loser, 1, &walk, error);
    if (outcome == LH_OK && !m->options->dry_run && walk.removed == 0)
        return lh_fail(error, LH_CONFIG,
                       "the document with the _id %.200s changed meanwhile, and was not moved: "
                       "look at it again",
                       m->options->id);
    if (m->options->dry_run)
        m->report->quarantined = 1;
    return outcome;
}

int lh_migrate_one(lh_migration *m, lh_error *error)
{
    bson_t filter, reply, document;
    if (!m->options->quarantine)
        return lh_fail(error, LH_INVALID, "id needs quarantine: set both, or neither");
    int outcome = lh_doc_id_query(m->options->id, &filter, error);
    if (outcome != LH_OK)
        return outcome;
    outcome = lh_migrate_read_clock(m, error);
    if (outcome != LH_OK) {
        bson_destroy(&filter);
        return outcome;
    }
    bson_t *command =
        BCON_NEW("find", BCON_UTF8(m->store->collection), "filter", BCON_DOCUMENT(&filter), "limit",
                 BCON_INT32(1), "singleBatch", BCON_BOOL(true));
    lh_call call = {.what = "read the document",
                    .command = command,
                    .deadline = lh_migrate_until(m),
                    .kind = LH_CALL_READ};
    outcome = lh_store_run(m->store, &call, &reply, NULL, error);
    bson_destroy(command);
    bson_destroy(&filter);
    bson_iter_t top, first;
    bool there = outcome == LH_OK && bson_iter_init(&top, &reply) &&
                 bson_iter_find_descendant(&top, "cursor.firstBatch.0", &first) &&
                 BSON_ITER_HOLDS_DOCUMENT(&first);
    if (there) {
        const uint8_t *data;
        uint32_t len;
        bson_iter_document(&first, &len, &data);
        lh_document_view(data, &document);
    }
    if (outcome == LH_OK && !there)
        outcome = lh_fail(error, LH_CONFIG, "%s.%s has no document with the _id %.200s",
                          m->store->db, m->store->collection, m->options->id);
    if (outcome == LH_OK) {
        m->report->scanned = 1;
        outcome = judge(m, &document, error);
    }
    if (outcome == LH_OK)
        outcome = move(m, &document, error);
    bson_destroy(&reply);
    return outcome;
}

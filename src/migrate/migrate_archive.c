/* SPDX-License-Identifier: Apache-2.0
 * The archive. An entry is {_id: {id, hash}, document, reason, survivor, at, deleted}. Its _id
 * consists of the document's _id and a hash of its content. So the server refuses a repeated insert
 * of the same content, which is harmless, and a changed document gets another entry. */
#include "migrate/migrate_archive.h"

#include <inttypes.h>
#include <stdio.h>

#include "migrate/migrate_judge.h"
#include "migrate/migrate_lease.h"
#include "migrate/migrate_slice.h"
#include "store/store_refused.h"
#include "store/store_run.h"

/* {id: <original>, hash: "…"} */
static void append_archive_id(bson_t *to, const char *name, const lh_item *it)
{
    bson_t id;
    char hash[33];
    (void)snprintf(hash, sizeof hash, "%016" PRIx64 "%016" PRIx64, it->hash[0], it->hash[1]);
    BSON_APPEND_DOCUMENT_BEGIN(to, name, &id);
    lh_slice_append_id(&id, "id", it->loser->document);
    BSON_APPEND_UTF8(&id, "hash", hash);
    bson_append_document_end(to, &id);
}

static void append_entry(bson_t *to, const char *key, const lh_migration *m, const lh_item *it)
{
    bson_t entry, document;
    lh_document_view(it->whole, &document);
    BSON_APPEND_DOCUMENT_BEGIN(to, key, &entry);
    append_archive_id(&entry, "_id", it);
    BSON_APPEND_DOCUMENT(&entry, "document", &document);
    BSON_APPEND_UTF8(&entry, "reason", it->loser->survivor ? "duplicate" : "quarantine");
    if (it->loser->survivor)
        lh_slice_append_id(&entry, "survivor", it->loser->survivor);
    else
        BSON_APPEND_NULL(&entry, "survivor");
    BSON_APPEND_DATE_TIME(&entry, "at", lh_migrate_server_ms(m));
    BSON_APPEND_NULL(&entry, "deleted");
    bson_append_document_end(to, &entry);
}

/* Step 2 of migrate_move.c. */
int lh_archive_insert(lh_migration *m, const lh_slice *s, lh_error *error)
{
    bson_t documents, *command = BCON_NEW("insert", BCON_UTF8(m->archive));
    char buffer[16];
    size_t k = 0;
    BSON_APPEND_ARRAY_BEGIN(command, "documents", &documents);
    for (size_t i = 0; i < s->n; i++)
        if (s->items[i].whole)
            append_entry(&documents, lh_slice_key(k++, buffer, sizeof buffer), m, &s->items[i]);
    bson_append_array_end(command, &documents);
    int64_t n = 0;
    int outcome =
        lh_migrate_write(m, "archive the documents", command, LH_MONGO_DUPLICATE_KEY, &n, error);
    if (outcome == LH_OK)
        m->report->archived += (uint64_t)n;
    return outcome;
}

/* Step 5 of migrate_move.c. */
int lh_archive_mark(lh_migration *m, const lh_slice *s, lh_error *error)
{
    bson_t updates, statement, query, in, ids, change, now,
        *command = BCON_NEW("update", BCON_UTF8(m->archive));
    char buffer[16];
    size_t k = 0;
    BSON_APPEND_ARRAY_BEGIN(command, "updates", &updates);
    BSON_APPEND_DOCUMENT_BEGIN(&updates, "0", &statement);
    BSON_APPEND_DOCUMENT_BEGIN(&statement, "q", &query);
    BSON_APPEND_DOCUMENT_BEGIN(&query, "_id", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &ids);
    for (size_t i = 0; i < s->n; i++)
        if (s->items[i].whole)
            append_archive_id(&ids, lh_slice_key(k++, buffer, sizeof buffer), &s->items[i]);
    bson_append_array_end(&in, &ids);
    bson_append_document_end(&query, &in);
    BSON_APPEND_NULL(&query, "deleted");
    bson_append_document_end(&statement, &query);
    BSON_APPEND_DOCUMENT_BEGIN(&statement, "u", &change);
    BSON_APPEND_DOCUMENT_BEGIN(&change, "$currentDate", &now);
    BSON_APPEND_BOOL(&now, "deleted", true);
    bson_append_document_end(&change, &now);
    bson_append_document_end(&statement, &change);
    BSON_APPEND_BOOL(&statement, "multi", true);
    bson_append_document_end(&updates, &statement);
    bson_append_array_end(command, &updates);
    return lh_migrate_write(m, "mark the archived documents", command, 0, NULL, error);
}

/* One command: the server sets `deleted` in entries that lack it, if their document is gone. A
 * document that still exists under its _id was not deleted, or came back. */
int lh_migrate_settle(lh_migration *m, lh_error *error)
{
    bson_t reply,
        *command = BCON_NEW("aggregate", BCON_UTF8(m->archive), "cursor", "{", "}", "hint", "{",
                            "_id", BCON_INT32(1), "}", "pipeline",
                            "[",                                                //
                            "{", "$match", "{", "deleted", BCON_NULL, "}", "}", //
                            "{", "$lookup", "{", "from", BCON_UTF8(m->store->collection),
                            "localField", "_id.id", "foreignField",
                            "_id", //
                            "pipeline", "[", "{", "$project", "{", "_id", BCON_INT32(1), "}", "}",
                            "]", "as", "there", "}", "}", //
                            "{", "$match", "{", "there", "[", "]", "}", "}", "{", "$project", "{",
                            "_id", BCON_INT32(1), "}", "}", //
                            "{", "$merge", "{", "into", BCON_UTF8(m->archive), "whenNotMatched",
                            "discard", "whenMatched", "[", //
                            "{", "$set", "{", "deleted", "$$NOW", "}", "}", "]", "}", "}", "]");
    lh_call call = {.what = "mark the archived documents",
                    .command = command,
                    .deadline = m->deadline,
                    .slow = true};
    int outcome = lh_store_run(m->store, &call, &reply, NULL, error);
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}

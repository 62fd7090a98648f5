/* SPDX-License-Identifier: Apache-2.0
 * The commands: a constant text, parsed once per store, and the variables of the call. */
#include "protocol/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/pipeline_fill.h"
#include "protocol/pipeline_let.h"
#include "protocol/pipeline_short.h"
#include "protocol/pipeline_text.h"

struct lh_pipelines {
    bson_t *updates[LH_OP_COUNT]; /* arrays of stages */
    lh_fill *shorts[LH_SHORT_COUNT];
    bson_t *fields, *queue_fields, *poll_fields;
    bson_t *removable, *judge, *shuts_out, *shuts_out_shared, *stats;
};

void lh_pipelines_free(lh_pipelines *pipelines)
{
    if (!pipelines)
        return;
    for (int i = 0; i < LH_OP_COUNT; i++)
        bson_destroy(pipelines->updates[i]);
    for (int i = 0; i < LH_SHORT_COUNT; i++)
        lh_fill_free(pipelines->shorts[i]);
    bson_destroy(pipelines->fields);
    bson_destroy(pipelines->queue_fields);
    bson_destroy(pipelines->poll_fields);
    bson_destroy(pipelines->removable);
    bson_destroy(pipelines->judge);
    bson_destroy(pipelines->shuts_out);
    bson_destroy(pipelines->shuts_out_shared);
    bson_destroy(pipelines->stats);
    free(pipelines);
}

lh_pipelines *lh_pipelines_new(void)
{
    lh_pipelines *pipelines = calloc(1, sizeof *pipelines);
    bool good = pipelines != NULL;
    for (int i = 0; good && i < LH_OP_COUNT; i++)
        good = (pipelines->updates[i] = lh_parse(lh_texts_whole[i])) != NULL;
    for (int i = 0; good && i < LH_SHORT_COUNT; i++)
        good = (pipelines->shorts[i] = lh_short_new(lh_texts_short[i])) != NULL;
    good = good && (pipelines->fields = lh_parse(lh_text_fields)) != NULL;
    good = good && (pipelines->queue_fields = lh_parse(lh_text_queue_fields)) != NULL;
    good = good && (pipelines->poll_fields = lh_parse(lh_text_poll_fields)) != NULL;
    good = good && (pipelines->removable = lh_parse(lh_text_removable)) != NULL;
    good = good && (pipelines->judge = lh_parse(lh_text_judge)) != NULL;
    good = good && (pipelines->shuts_out = lh_parse(lh_text_shuts_out)) != NULL;
    good = good && (pipelines->shuts_out_shared = lh_parse(lh_text_shuts_out_shared)) != NULL;
    good = good && (pipelines->stats = lh_parse(lh_text_stats)) != NULL;
    if (good)
        return pipelines;
    lh_pipelines_free(pipelines);
    return NULL;
}

void lh_pipeline_command(const lh_pipelines *pipelines, lh_op op, bool whole,
                         const char *collection, const lh_vars *vars, bson_t *command)
{
    bson_t query;
    bool waits = op == LH_OP_WAIT_EXCLUSIVE || op == LH_OP_WAIT_SHARED;
    bool asks = op == LH_OP_ACQUIRE_EXCLUSIVE || op == LH_OP_ACQUIRE_SHARED || op == LH_OP_RESUME;
    if (!whole) {
        lh_short_command(op, pipelines->shorts, collection, vars, command);
        return;
    }
    BSON_APPEND_UTF8(command, "findAndModify", collection);
    BSON_APPEND_DOCUMENT_BEGIN(command, "query", &query);
    if (vars->by_id)
        bson_append_value(&query, "_id", -1, vars->seen_doc_id);
    else
        BSON_APPEND_UTF8(&query, "workspace_id", vars->key);
    bson_append_document_end(command, &query);
    BSON_APPEND_ARRAY(command, "update", pipelines->updates[op]);
    BSON_APPEND_BOOL(command, "new", true);
    if (asks || waits)
        BSON_APPEND_BOOL(command, "upsert", true);
    /* it grants no other lease */
    bool alone = op == LH_OP_ACQUIRE_EXCLUSIVE || op == LH_OP_RENEW;
    BSON_APPEND_DOCUMENT(command, "fields", alone ? pipelines->fields : pipelines->queue_fields);
    lh_vars all = *vars;
    bool leaves = op == LH_OP_RELEASE || op == LH_OP_RELEASE_KEPT;
    all.note = !leaves ? NULL : vars->note ? vars->note : "";
    lh_pipeline_let(&all, command);
}

void lh_pipeline_poll(const lh_pipelines *pipelines, const char *collection, const bson_t *keys,
                      const bson_t *ids, bson_t *command)
{
    bson_t part, in;
    BSON_APPEND_UTF8(command, "find", collection);
    BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &part);
    BSON_APPEND_DOCUMENT_BEGIN(&part, "workspace_id", &in);
    BSON_APPEND_ARRAY(&in, "$in", keys);
    bson_append_document_end(&part, &in);
    bson_append_document_end(command, &part);
    BSON_APPEND_DOCUMENT(command, "projection", pipelines->poll_fields);
    BSON_APPEND_DOCUMENT_BEGIN(command, "let", &part);
    BSON_APPEND_DOCUMENT_BEGIN(&part, "ids", &in);
    BSON_APPEND_ARRAY(&in, "$literal", ids);
    bson_append_document_end(&part, &in);
    bson_append_document_end(command, &part);
}

void lh_pipeline_conflict(const lh_pipelines *pipelines, const char *collection,
                          const lh_vars *vars, bool shared, const bson_t *where, bson_t *command)
{
    bson_t filter, sort;
    BSON_APPEND_UTF8(command, "find", collection);
    BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &filter);
    bson_concat(&filter, where);
    bson_concat(&filter, shared ? pipelines->shuts_out_shared : pipelines->shuts_out);
    bson_append_document_end(command, &filter);
    BSON_APPEND_DOCUMENT_BEGIN(command, "sort", &sort);
    BSON_APPEND_INT32(&sort, "workspace_id", 1);
    bson_append_document_end(command, &sort);
    BSON_APPEND_DOCUMENT(command, "projection", pipelines->fields);
    BSON_APPEND_INT32(command, "limit", 1);
    BSON_APPEND_BOOL(command, "singleBatch", true);
    lh_pipeline_let(vars, command);
}

/* Appends _id: {$in: ids} to `filter`. */
static void append_ids(bson_t *filter, const bson_t *ids)
{
    bson_t in;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &in);
    BSON_APPEND_ARRAY(&in, "$in", ids);
    bson_append_document_end(filter, &in);
}

void lh_pipeline_judge_all(const lh_pipelines *pipelines, const char *collection,
                           const lh_vars *vars, bson_t *command)
{
    BSON_APPEND_UTF8(command, "find", collection);
    BSON_APPEND_DOCUMENT(command, "projection", pipelines->judge);
    BSON_APPEND_INT32(command, "batchSize", 1000);
    lh_pipeline_let(vars, command);
}

void lh_pipeline_stats(const lh_pipelines *pipelines, const char *collection, const lh_vars *vars,
                       bson_t *command)
{
    bson_t cursor;
    BSON_APPEND_UTF8(command, "aggregate", collection);
    BSON_APPEND_ARRAY(command, "pipeline", pipelines->stats);
    BSON_APPEND_DOCUMENT_BEGIN(command, "cursor", &cursor);
    bson_append_document_end(command, &cursor);
    lh_pipeline_let(vars, command);
}

void lh_pipeline_remove_many(const lh_pipelines *pipelines, const char *collection,
                             const lh_vars *vars, const bson_t *ids, bson_t *command)
{
    bson_t deletes, statement, filter;
    BSON_APPEND_UTF8(command, "delete", collection);
    BSON_APPEND_ARRAY_BEGIN(command, "deletes", &deletes);
    BSON_APPEND_DOCUMENT_BEGIN(&deletes, "0", &statement);
    BSON_APPEND_DOCUMENT_BEGIN(&statement, "q", &filter);
    append_ids(&filter, ids);
    bson_concat(&filter, pipelines->removable);
    bson_append_document_end(&statement, &filter);
    BSON_APPEND_INT32(&statement, "limit", 0);
    bson_append_document_end(&deletes, &statement);
    bson_append_array_end(command, &deletes);
    lh_pipeline_let(vars, command);
}

void lh_pipeline_settle_many(const lh_pipelines *pipelines, const char *collection,
                             const lh_vars *vars, const bson_t *ids, bson_t *command)
{
    bson_t updates, statement, filter;
    BSON_APPEND_UTF8(command, "update", collection);
    BSON_APPEND_ARRAY_BEGIN(command, "updates", &updates);
    BSON_APPEND_DOCUMENT_BEGIN(&updates, "0", &statement);
    BSON_APPEND_DOCUMENT_BEGIN(&statement, "q", &filter);
    append_ids(&filter, ids);
    bson_append_document_end(&statement, &filter);
    BSON_APPEND_ARRAY(&statement, "u", pipelines->updates[LH_OP_SETTLE]);
    BSON_APPEND_BOOL(&statement, "multi", true);
    bson_append_document_end(&updates, &statement);
    bson_append_array_end(command, &updates);
    lh_pipeline_let(vars, command);
}

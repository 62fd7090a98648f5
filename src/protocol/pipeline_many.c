/* SPDX-License-Identifier: Apache-2.0
 * Each statement is made from the command of its key. The variables in that command's `let` become
 * those of a $let around its expression, because a `let` beside the statements would apply to all
 * of them. So a caller's string stays inside $literal (invariant 8). */
#include "protocol/pipeline_many.h"
#include "protocol/pipeline.h"

#include <stdio.h>

static void append_view(bson_t *to, const char *name, const bson_iter_t *value)
{
    (void)bson_append_iter(to, name, -1, value);
}

/* Finds a part by either path: of a findAndModify, or of an update's statement. */
static bool find_in(const bson_t *command, const char *one, const char *other,
                    bson_iter_t *ret_value)
{
    bson_iter_t top;
    return (bson_iter_init(&top, command) && bson_iter_find_descendant(&top, one, ret_value)) ||
           (bson_iter_init(&top, command) && bson_iter_find_descendant(&top, other, ret_value));
}

/* {$replaceWith: {$let: {vars: the command's let, in: its stage's expression}}} */
static void append_stage(bson_t *stages, const bson_t *command)
{
    bson_t stage, replace, let;
    bson_iter_t expression, vars;
    bool good =
        find_in(command, "update.0.$replaceWith", "updates.0.u.0.$replaceWith", &expression);
    BSON_APPEND_DOCUMENT_BEGIN(stages, "0", &stage);
    if (good && bson_iter_init_find(&vars, command, "let")) {
        BSON_APPEND_DOCUMENT_BEGIN(&stage, "$replaceWith", &replace);
        BSON_APPEND_DOCUMENT_BEGIN(&replace, "$let", &let);
        append_view(&let, "vars", &vars);
        append_view(&let, "in", &expression);
        bson_append_document_end(&replace, &let);
        bson_append_document_end(&stage, &replace);
    } else if (good) {
        append_view(&stage, "$replaceWith", &expression);
    }
    bson_append_document_end(stages, &stage);
}

/* Makes the statement fail if the document is not the caller's: the key is a string, so taking an
 * element of it as of an array is an error. */
static void append_stop(bson_t *stages, const lh_vars *vars)
{
    char reader[16 + LH_LEASE_ID_LEN + 1];
    (void)snprintf(reader, sizeof reader, "$shared.%s", vars->me);
    bson_t *stage = BCON_NEW("$replaceWith", "{", "$cond", "[", "{", "$or", "[", "{", "$eq", "[",
                             BCON_UTF8("$id"), BCON_UTF8(vars->me), "]", "}", "{", "$ne", "[", "{",
                             "$type", BCON_UTF8(reader), "}", BCON_UTF8("missing"), "]", "}", "]",
                             "}", BCON_UTF8("$$ROOT"), "{", "$arrayElemAt", "[",
                             BCON_UTF8("$workspace_id"), BCON_INT32(0), "]", "}", "]", "}");
    BSON_APPEND_DOCUMENT(stages, "1", stage);
    bson_destroy(stage);
}

static void append_statement(bson_t *updates, uint32_t at, const bson_t *command,
                             const lh_vars *stop)
{
    char room[16];
    const char *index;
    bson_t statement, stages;
    bson_iter_t value;
    bson_uint32_to_string(at, &index, room, sizeof room);
    BSON_APPEND_DOCUMENT_BEGIN(updates, index, &statement);
    if (find_in(command, "query", "updates.0.q", &value))
        append_view(&statement, "q", &value);
    BSON_APPEND_ARRAY_BEGIN(&statement, "u", &stages);
    append_stage(&stages, command);
    if (stop)
        append_stop(&stages, stop);
    bson_append_array_end(&statement, &stages);
    if (bson_iter_init_find(&value, command, "upsert"))
        append_view(&statement, "upsert", &value);
    bson_append_document_end(updates, &statement);
}

void lh_many_command(const lh_pipelines *pipelines, const lh_many_form *form, bson_t *command)
{
    bson_t updates;
    BSON_APPEND_UTF8(command, "update", form->collection);
    BSON_APPEND_BOOL(command, "ordered", form->stop);
    BSON_APPEND_ARRAY_BEGIN(command, "updates", &updates);
    for (size_t i = 0; i < form->n; i++) {
        const lh_vars *vars = &form->vars[i];
        bson_t one = BSON_INITIALIZER;
        lh_pipeline_command(pipelines, form->op, form->whole, form->collection, vars, &one);
        append_statement(&updates, (uint32_t)i, &one, form->stop ? vars : NULL);
        bson_destroy(&one);
    }
    bson_append_array_end(command, &updates);
}

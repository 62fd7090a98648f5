/* SPDX-License-Identifier: Apache-2.0
 * The commands: their texts parse, their shape is the documented one, and a caller's string stands
 * only under $literal. */
#include "unit.h"

#include "protocol/pipeline.h"
#include "protocol/pipeline_many.h"
#include "protocol/pipeline_short.h"

#define CANARY "$canary.{'x': 1}"

static lh_vars vars_with(const char *text)
{
    return (lh_vars){.key = text,
                     .me = text,
                     .owner = text,
                     .host = text,
                     .purpose = text,
                     .ttl_ms = 30000,
                     .max_shared = 128,
                     .by = text,
                     .reason = text};
}

static void test_all_texts_parse(void **state)
{
    (void)state;
    lh_pipelines *pipelines = lh_pipelines_new();
    assert_non_null(pipelines);
    lh_pipelines_free(pipelines);
    lh_pipelines_free(NULL);
}

static const char *text_at(const bson_t *command, const char *path)
{
    bson_iter_t top, value;
    assert_true(bson_iter_init(&top, command) && bson_iter_find_descendant(&top, path, &value) &&
                BSON_ITER_HOLDS_UTF8(&value));
    return bson_iter_utf8(&value, NULL);
}

static bool has(const bson_t *command, const char *path)
{
    bson_iter_t top, value;
    return bson_iter_init(&top, command) && bson_iter_find_descendant(&top, path, &value);
}

/* Wherever the canary stands: directly under $literal (or in an object under it), or as the value
 * of the query's key. */
static int count_canaries(const bson_iter_t *object, bool literal, bool query)
{
    bson_iter_t field;
    int n = 0;
    assert_true(bson_iter_recurse(object, &field));
    while (bson_iter_next(&field)) {
        const char *name = bson_iter_key(&field);
        assert_null(strstr(name, "canary"));
        bool inside = literal || strcmp(name, "$literal") == 0;
        if (BSON_ITER_HOLDS_UTF8(&field) && strstr(bson_iter_utf8(&field, NULL), "canary")) {
            if (!inside &&
                !(query && (strcmp(name, "workspace_id") == 0 || strcmp(name, "_id") == 0)))
                fail_msg("a caller's string is an expression at \"%s\"", name);
            n++;
        } else if (BSON_ITER_HOLDS_DOCUMENT(&field) || BSON_ITER_HOLDS_ARRAY(&field)) {
            n += count_canaries(&field, inside,
                                query || strcmp(name, "query") == 0 || strcmp(name, "q") == 0);
        }
    }
    return n;
}

static int canaries_in(const bson_t *command)
{
    bson_t *wrapped = BCON_NEW("c", BCON_DOCUMENT(command));
    bson_iter_t top;
    assert_true(bson_iter_init_find(&top, wrapped, "c"));
    int n = count_canaries(&top, false, false);
    bson_destroy(wrapped);
    return n;
}

static void test_strings_stand_only_under_literal(void **state)
{
    (void)state;
    lh_pipelines *pipelines = lh_pipelines_new();
    bson_t *seen = BCON_NEW("v", CANARY);
    bson_iter_t value;
    assert_true(bson_iter_init_find(&value, seen, "v"));
    for (int what = 0; what < LH_OP_COUNT; what++) {
        for (int whole = 0; whole < 2; whole++) {
            lh_vars vars = vars_with(CANARY);
            if (!whole && !lh_pipeline_has_short((lh_op)what, &vars))
                continue;
            if (what == LH_OP_BREAK)
                vars.seen_doc_id = vars.seen_id = vars.seen_token = bson_iter_value(&value);
            bson_t command = BSON_INITIALIZER;
            lh_pipeline_command(pipelines, (lh_op)what, whole, "locks", &vars, &command);
            assert_true(canaries_in(&command) >= 2); /* the key and the id at least */
            bson_destroy(&command);
        }
    }
    lh_vars vars = vars_with(CANARY);
    vars.judging = true;
    bson_t ids = BSON_INITIALIZER, judge = BSON_INITIALIZER, removal = BSON_INITIALIZER,
           settling = BSON_INITIALIZER;
    lh_pipeline_judge_all(pipelines, "locks", &vars, &judge);
    lh_pipeline_remove_many(pipelines, "locks", &vars, &ids, &removal);
    lh_pipeline_settle_many(pipelines, "locks", &vars, &ids, &settling);
    assert_true(canaries_in(&judge) > 0 && canaries_in(&removal) > 0 && canaries_in(&settling) > 0);
    bson_destroy(&judge);
    bson_destroy(&removal);
    bson_destroy(&settling);
    bson_destroy(seen);
    lh_pipelines_free(pipelines);
}

static void test_the_shape_of_the_commands(void **state)
{
    (void)state;
    lh_pipelines *pipelines = lh_pipelines_new();
    for (int what = 0; what < LH_OP_COUNT; what++) {
        lh_vars vars = vars_with("k");
        bson_iter_t query;
        bson_t command = BSON_INITIALIZER;
        lh_pipeline_command(pipelines, (lh_op)what, true, "locks", &vars, &command);
        bson_iter_t first;
        assert_true(bson_iter_init(&first, &command) && bson_iter_next(&first));
        /* a command's name comes first */
        assert_string_equal(bson_iter_key(&first), "findAndModify");
        assert_string_equal(text_at(&command, "findAndModify"), "locks");
        assert_string_equal(text_at(&command, "query.workspace_id"), "k");
        assert_true(bson_iter_init_find(&query, &command, "query") &&
                    bson_iter_recurse(&query, &first));
        assert_true(bson_iter_next(&first) &&
                    /* the key alone: else an upsert could insert another */
                    !bson_iter_next(&first));
        assert_true(has(&command, "update.0") && has(&command, "let.me.$literal") &&
                    has(&command, "new") && has(&command, "fields"));
        /* store_run.c adds them */
        assert_false(has(&command, "writeConcern") || has(&command, "maxTimeMS"));
        /* asking, waiting or not */
        assert_int_equal(has(&command, "upsert"), what <= LH_OP_WAIT_SHARED);
        bson_destroy(&command);
    }
    lh_pipelines_free(pipelines);
}

/* By the key, where an insert may follow; by the _id, nothing is inserted, and the pipeline looks
 * whose document it is. */
static void test_the_filters_of_the_short_forms(void **state)
{
    (void)state;
    static const struct {
        lh_op what;
        const char *filter;
    } forms[] = {{LH_OP_ACQUIRE_EXCLUSIVE, "query"},
                 {LH_OP_RENEW, "updates.0.q"},
                 {LH_OP_RELEASE, "updates.0.q"}};
    lh_pipelines *pipelines = lh_pipelines_new();
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (int own = 0; own < 2; own++) {
            lh_vars vars = vars_with("k");
            vars.own = own;
            char path[32];
            bson_t command = BSON_INITIALIZER;
            lh_pipeline_command(pipelines, forms[i].what, false, "locks", &vars, &command);
            (void)snprintf(path, sizeof path, "%s.%s", forms[i].filter,
                           own ? "_id" : "workspace_id");
            assert_string_equal(text_at(&command, path), "k");
            (void)snprintf(path, sizeof path, "%s.%s", forms[i].filter,
                           own ? "workspace_id" : "_id");
            assert_false(has(&command, path));
            assert_int_equal(has(&command, "upsert"),
                             forms[i].what == LH_OP_ACQUIRE_EXCLUSIVE && !own);
            char *json = bson_as_canonical_extended_json(&command, NULL);
            assert_true(!own || strstr(json, "\"$workspace_id\""));
            bson_free(json);
            bson_destroy(&command);
        }
    lh_pipelines_free(pipelines);
}

/* A statement for each key, which does what the single command does: its own expression, with its
 * own variables around it. */
static void test_many_commands_are_the_single_ones(void **state)
{
    (void)state;
    static const lh_op whats[] = {LH_OP_ACQUIRE_EXCLUSIVE, LH_OP_ACQUIRE_SHARED, LH_OP_RESUME,
                                  LH_OP_RELEASE};
    lh_pipelines *pipelines = lh_pipelines_new();
    for (size_t i = 0; i < sizeof whats / sizeof *whats; i++)
        for (int whole = 0; whole < 2; whole++) {
            bool acquires = whats[i] != LH_OP_RELEASE;
            lh_vars vars[2] = {vars_with(CANARY), vars_with("b")};
            if (!whole && !lh_pipeline_has_short(whats[i], &vars[0]))
                continue;
            bson_t one = BSON_INITIALIZER, many = BSON_INITIALIZER;
            lh_pipeline_command(pipelines, whats[i], whole, "locks", &vars[0], &one);
            vars[0].me = "0123456789abcdef0123456789abcdef"; /* as lease ids are */
            lh_many_form form = {.op = whats[i],
                                 .whole = whole,
                                 .stop = acquires,
                                 .collection = "locks",
                                 .vars = vars,
                                 .n = 2};
            lh_many_command(pipelines, &form, &many);
            assert_string_equal(text_at(&many, "update"), "locks");
            assert_string_equal(text_at(&many, "updates.1.q.workspace_id"), "b");
            assert_true(has(&many, "updates.0.u.0.$replaceWith") && !has(&many, "updates.2"));
            assert_int_equal(has(&many, "updates.0.u.1"), acquires);
            assert_int_equal(has(&many, "updates.0.upsert"), acquires);
            assert_false(has(&many, "let"));
            bson_iter_t top, stage;
            const char *path =
                acquires || whole ? "update.0.$replaceWith" : "updates.0.u.0.$replaceWith";
            assert_true(bson_iter_init(&top, &one) &&
                        bson_iter_find_descendant(&top, path, &stage));
            /* a second stage would be dropped */
            assert_false(has(&one, "update.1") || has(&one, "updates.0.u.1"));
            if (has(&one, "let"))
                assert_true(has(&many, "updates.0.u.0.$replaceWith.$let.in"));
            bson_iter_t q;
            assert_true(bson_iter_init(&top, &many) &&
                        bson_iter_find_descendant(&top, "updates.0.u", &q));
            /* only under $literal */
            assert_true(count_canaries(&q, false, false) > (acquires ? 0 : -1));
            bson_destroy(&one);
            bson_destroy(&many);
        }
    lh_pipelines_free(pipelines);
}

/* The look above and below: what the caller looks for, and what shuts out. */
static void test_the_look_for_conflicts(void **state)
{
    (void)state;
    lh_pipelines *pipelines = lh_pipelines_new();
    bson_t *where = BCON_NEW("workspace_id", "a");
    for (int shared = 0; shared < 2; shared++) {
        bson_t command = BSON_INITIALIZER;
        lh_vars vars = vars_with("k");
        lh_pipeline_conflict(pipelines, "locks", &vars, shared, where, &command);
        assert_string_equal(text_at(&command, "find"), "locks");
        assert_string_equal(text_at(&command, "filter.workspace_id"), "a");
        assert_true(has(&command, "filter.$expr") && has(&command, "projection.now") &&
                    has(&command, "let.grace"));
        char *json = bson_as_relaxed_extended_json(&command, NULL);
        assert_int_equal(strstr(json, "\"$$x\", {") != NULL, !shared);
        bson_free(json);
        bson_destroy(&command);
    }
    bson_destroy(where);
    lh_pipelines_free(pipelines);
}

static void test_tokens_come_from_the_clock_of_the_topology(void **state)
{
    (void)state;
    lh_pipelines *pipelines = lh_pipelines_new();
    for (int set = 0; set < 2; set++) {
        lh_vars vars = vars_with("k");
        vars.set = set;
        bson_t command = BSON_INITIALIZER;
        lh_pipeline_command(pipelines, LH_OP_ACQUIRE_EXCLUSIVE, true, "locks", &vars, &command);
        char *json = bson_as_relaxed_extended_json(&command, NULL);
        assert_int_equal(strstr(json, "CLUSTER_TIME") != NULL, set);
        bson_free(json);
        bson_destroy(&command);
    }
    lh_pipelines_free(pipelines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_texts_parse),
        cmocka_unit_test(test_strings_stand_only_under_literal),
        cmocka_unit_test(test_the_shape_of_the_commands),
        cmocka_unit_test(test_the_filters_of_the_short_forms),
        cmocka_unit_test(test_many_commands_are_the_single_ones),
        cmocka_unit_test(test_the_look_for_conflicts),
        cmocka_unit_test(test_tokens_come_from_the_clock_of_the_topology),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

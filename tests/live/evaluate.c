/* SPDX-License-Identifier: Apache-2.0
 * The evaluator of tests/support and a real server make the same of every document, by every
 * command of the protocol: so what the model and the simulations run is what servers run. */
#include "evaluate.h"
#include "shapes.h"

#include "protocol/pipeline.h"
#include "protocol/pipeline_short.h"

#define SHAPES 1500
#define ME     "00000000000000000000000000000001" /* as the first entry of a random map, too */
#define OTHER  "00000000000000000000000000000002"

static lh_vars vars_of(lh_op what)
{
    static const bson_value_t seen_doc_id = {.value_type = BSON_TYPE_INT32, .value.v_int32 = 7};
    lh_vars vars = {.key = "k",
                    .me = ME,
                    .owner = "o",
                    .host = "h",
                    .pid = 7,
                    .ttl_ms = 30000,
                    .grace_ms = 500,
                    .max_shared = 3,
                    .proc = "p"};
    if (what == LH_OP_WAIT_EXCLUSIVE || what == LH_OP_WAIT_SHARED) {
        vars.claim_ms = 5000;
        vars.beat = 3;
        vars.max_waiters = 4;
    }
    if (what == LH_OP_TRANSFER) {
        vars.to = OTHER;
        vars.to_owner = "next";
    }
    if (what == LH_OP_BREAK || what == LH_OP_REAP) {
        vars.by = "operator";
        vars.reason = "$reason";
        vars.dead = "p";
    }
    if (what == LH_OP_RELEASE_KEPT)
        vars.keep_ms = 60000;
    if (what == LH_OP_BREAK)
        vars.seen_doc_id = &seen_doc_id;
    return vars;
}

/* {_id, before, after, now} of each document: the pipeline as an expression, so that the server
 * says which now it was. */
static bson_t *aggregate_of(const bson_t *command)
{
    bson_t let = BSON_INITIALIZER, expression;
    bson_iter_t top, at;
    uint32_t len;
    const uint8_t *data;
    if (bson_iter_init_find(&at, command, "let")) {
        bson_iter_document(&at, &len, &data);
        assert_true(bson_init_static(&let, data, len));
    }
    assert_true((bson_iter_init(&top, command) &&
                 bson_iter_find_descendant(&top, "update.0.$replaceWith", &at)) ||
                (bson_iter_init(&top, command) &&
                 bson_iter_find_descendant(&top, "updates.0.u.0.$replaceWith", &at)));
    bson_iter_document(&at, &len, &data);
    assert_true(bson_init_static(&expression, data, len));
    return BCON_NEW("aggregate", "workspace_locks", "pipeline", "[", "{", "$replaceWith", "{",
                    "before", BCON_UTF8("$$ROOT"), "after", BCON_DOCUMENT(&expression), "now",
                    BCON_UTF8("$$NOW"), "}", "}", "]", "cursor", "{", "batchSize",
                    BCON_INT32(100000), "}", "let", BCON_DOCUMENT(&let));
}

static void part_of(const bson_t *object, const char *name, bson_t *ret_part)
{
    bson_iter_t at;
    uint32_t len;
    const uint8_t *data;
    assert_true(bson_iter_init_find(&at, object, name) && BSON_ITER_HOLDS_DOCUMENT(&at));
    bson_iter_document(&at, &len, &data);
    assert_true(bson_init_static(ret_part, data, len));
}

static void print(const char *what, const bson_t *document)
{
    char *text = bson_as_canonical_extended_json(document, NULL); /* NULL: not UTF-8 */
    print_error("%s: %s\n", what, text ? text : "(not UTF-8)");
    bson_free(text);
}

static bool is_same(const bson_t *command, const bson_t *row)
{
    bson_t before, after, *made = NULL;
    bson_iter_t at;
    char problem[128] = "";
    part_of(row, "before", &before);
    part_of(row, "after", &after);
    assert_true(bson_iter_init_find(&at, row, "now"));
    evaluate_clock clock = {.now_ms = bson_iter_date_time(&at)};
    bool good = evaluate_update(command, &before, clock, NULL, &made, problem, sizeof problem) ==
                    EVALUATE_DONE &&
                made && bson_equal(made, &after);
    if (!good) {
        print_error("%s\n", problem);
        print("before", &before);
        print("server", &after);
        if (made)
            print("here  ", made);
    }
    bson_destroy(made);
    return good;
}

/* Both forms of every operation, on documents of all shapes. */
static void compare_on_all(ground *g, const bson_t *command)
{
    bson_t *reply = run_command(g, g->db, aggregate_of(command));
    bson_iter_t top, batch, in;
    unsigned n = 0, wrong = 0;
    assert_non_null(reply);
    assert_true(bson_iter_init(&top, reply) &&
                bson_iter_find_descendant(&top, "cursor.firstBatch", &batch) &&
                bson_iter_recurse(&batch, &in));
    while (bson_iter_next(&in) && wrong < 3) {
        bson_t row;
        uint32_t len;
        const uint8_t *data;
        bson_iter_document(&in, &len, &data);
        assert_true(bson_init_static(&row, data, len));
        wrong += !is_same(command, &row);
        n++;
    }
    bson_destroy(reply);
    assert_int_equal(wrong, 0);
    assert_int_equal(n, SHAPES);
}

static void insert_shapes(ground *g)
{
    shapes s = {.state = 77, .now_ms = server_ms(g)};
    mongoc_bulk_operation_t *bulk =
        mongoc_collection_create_bulk_operation_with_opts(g->locks, NULL);
    bson_error_t error = {0};
    for (unsigned i = 0; i < SHAPES; i++) {
        bson_t *document = shape(&s, i, ME, NULL);
        assert_true(mongoc_bulk_operation_insert_with_opts(bulk, document, NULL, &error));
        bson_destroy(document);
    }
    if (!mongoc_bulk_operation_execute(bulk, NULL, &error))
        print_error("%s\n", error.message);
    mongoc_bulk_operation_destroy(bulk);
    assert_int_equal(error.code, 0);
}

static void test_the_server_and_the_evaluator_make_the_same_of_every_document(void **state)
{
    ground *g = *state;
    lh_pipelines *pipelines = lh_pipelines_new();
    insert_shapes(g);
    for (lh_op what = 0; what < LH_OP_COUNT; what++)
        for (int whole = 0; whole <= 1; whole++) {
            lh_vars vars = vars_of(what);
            if (!whole && !lh_pipeline_has_short(what, &vars))
                continue;
            bson_t command = BSON_INITIALIZER;
            lh_pipeline_command(pipelines, what, whole, "workspace_locks", &vars, &command);
            compare_on_all(g, &command);
            bson_destroy(&command);
        }
    lh_pipelines_free(pipelines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_the_server_and_the_evaluator_make_the_same_of_every_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * `expires_at` as an instant: the server's expression and lh_doc_instant() give the same
 * milliseconds, or both none, for every type, every notation, and strings that nearly are one. */
#include "shapes.h"

#include "protocol/doc.h"
#include "protocol/doc_instant.h"
#include "protocol/pipeline.h"

#define N 6000

/* The expression by which the pipelines read an end, out of a command. */
static void find_expression(const bson_t *command, bson_iter_t *ret_end)
{
    assert_true(find_at(command, "update.0.$replaceWith.$let.vars.end0", ret_end));
}

/* A notation with a character changed, doubled, taken away, or put in. */
static void append_mutated(shapes *s, bson_t *to)
{
    static const char letters[] = "0123456789-:.+ TtZzUC\n/,\xc3\x80";
    char text[96], mutated[100];
    static const char *const rests[] = {"",      "Z",      "z",  ".5",  ".123Z",   ".999999999Z",
                                        "+0130", "-05:00", " Z", "+14", ".1+09:30"};
    iso_text(s->now_ms - (int64_t)(dice(&s->state) % 4000) * HOUR_MS * 24,
             rests[roll(&s->state, 11)], text, sizeof text);
    size_t len = strlen(text), at = roll(&s->state, (unsigned)len), skip = roll(&s->state, 2),
           put_in = roll(&s->state, 3);
    size_t n = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i == at)
            for (size_t k = 0; k < put_in; k++)
                mutated[n++] = letters[roll(&s->state, sizeof letters - 1)];
        if (i != at || !skip)
            mutated[n++] = text[i];
    }
    mutated[n] = '\0';
    append_text(to, "expires_at", mutated);
}

static bson_t *one_value(shapes *s, int i)
{
    bson_t *d = bson_new();
    BSON_APPEND_INT32(d, "_id", i);
    bson_append_int32(d, "workspace_id", -1, i);
    if (i % 3 == 0)
        append_mutated(s, d);
    else if (i % 3 == 1)
        append_any(s, d, "expires_at");
    else
        append_end(s, d, "expires_at");
    return d;
}

static bool agrees(const bson_t *answer)
{
    bson_iter_t stored, server;
    int64_t ms = -1;
    assert_true(bson_iter_init_find(&stored, answer, "expires_at"));
    assert_true(bson_iter_init_find(&server, answer, "end"));
    bool readable = lh_doc_instant(&stored, &ms);
    bool absent = lh_doc_is_absent(&stored);
    bool same = readable ? BSON_ITER_HOLDS_DATE_TIME(&server) && bson_iter_date_time(&server) == ms
                : absent ? BSON_ITER_HOLDS_DATE_TIME(&server)
                         : BSON_ITER_HOLDS_NULL(&server);
    if (!same) {
        char *text = bson_as_canonical_extended_json(answer, NULL);
        (void)fprintf(stderr, "C reads %s %lld: %s\n", readable ? "an instant" : "none",
                      (long long)ms, text ? text : "(no UTF-8)");
        bson_free(text);
    }
    return same;
}

static void test_both_read_the_same_instant(void **state)
{
    ground *g = *state;
    shapes s = {.state = 42, .now_ms = server_ms(g)};
    mongoc_collection_t *values = mongoc_client_get_collection(g->client, g->db, "values");
    mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(values, NULL);
    bson_error_t error = {0};
    for (int i = 0; i < N; i++) {
        bson_t *value = one_value(&s, i);
        assert_true(mongoc_bulk_operation_insert_with_opts(bulk, value, NULL, &error));
        bson_destroy(value);
    }
    assert_true(mongoc_bulk_operation_execute(bulk, NULL, &error));
    mongoc_bulk_operation_destroy(bulk);

    lh_pipelines *pipelines = lh_pipelines_new();
    lh_vars vars = {.key = "", .me = "", .owner = "", .host = ""};
    bson_t command = BSON_INITIALIZER, stages = BSON_INITIALIZER, stage, projection;
    lh_pipeline_command(pipelines, LH_OP_ACQUIRE_EXCLUSIVE, true, "unused", &vars, &command);
    bson_iter_t end;
    find_expression(&command, &end);
    BSON_APPEND_DOCUMENT_BEGIN(&stages, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$project", &projection);
    BSON_APPEND_INT32(&projection, "expires_at", 1);
    BSON_APPEND_VALUE(&projection, "end", bson_iter_value(&end));
    bson_append_document_end(&stage, &projection);
    bson_append_document_end(&stages, &stage);
    mongoc_cursor_t *cursor =
        mongoc_collection_aggregate(values, MONGOC_QUERY_NONE, &stages, NULL, NULL);
    const bson_t *answer;
    int wrong = 0, seen = 0;
    while (mongoc_cursor_next(cursor, &answer)) {
        seen++;
        if (wrong < 20)
            wrong += !agrees(answer);
    }
    if (mongoc_cursor_error(cursor, &error))
        print_error("the server fails on a value: %s\n", error.message);
    assert_int_equal(error.code, 0);
    assert_int_equal(wrong, 0);
    assert_int_equal(seen, N);
    mongoc_cursor_destroy(cursor);
    bson_destroy(&stages);
    bson_destroy(&command);
    lh_pipelines_free(pipelines);
    mongoc_collection_destroy(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {bare_test(test_both_read_the_same_instant)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Stored documents of any shape: the server's pipelines and the C code read them alike, what cannot
 * be read is held and stays as it is to the byte, and the short forms never do what the whole forms
 * would not. */
#include "shapes.h"

#include "protocol/doc.h"
#include "protocol/doc_record.h"
#include "protocol/pipeline.h"

#define GRACE_MS 500
#define ACQUIRED 2000
#define COMPARED 6000
#define ME       "00000000000000000000000000000001" /* as the first entry of a random map, too */

/* All of the same key when `key` is not NULL: for a collection without the index. */
static void insert_shapes(ground *g, mongoc_collection_t *collection, uint64_t seed, unsigned n,
                          const char *me, const char *key)
{
    shapes s = {.state = seed, .now_ms = server_ms(g)};
    s.now_ms -= s.now_ms % 1000;
    mongoc_bulk_operation_t *bulk =
        mongoc_collection_create_bulk_operation_with_opts(collection, NULL);
    bson_error_t error = {0};
    for (unsigned i = 0; i < n; i++) {
        bson_t *document = shape(&s, i, me, key);
        if (!mongoc_bulk_operation_insert_with_opts(bulk, document, NULL, &error))
            print_error("%s\n", error.message);
        bson_destroy(document);
    }
    if (!mongoc_bulk_operation_execute(bulk, NULL, &error))
        print_error("%s\n", error.message);
    mongoc_bulk_operation_destroy(bulk);
    assert_int_equal(error.code, 0);
}

static bson_t **read_all(mongoc_collection_t *collection, unsigned n)
{
    bson_t **documents = calloc(n, sizeof(bson_t *));
    assert_non_null(documents);
    bson_t *all = bson_new(), *opts = json("{'sort': {'_id': 1}}");
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(collection, all, opts, NULL);
    const bson_t *document;
    unsigned i = 0;
    while (mongoc_cursor_next(cursor, &document)) {
        assert_true(i < n);
        documents[i++] = bson_copy(document);
    }
    assert_int_equal(i, n);
    mongoc_cursor_destroy(cursor);
    bson_destroy(all);
    bson_destroy(opts);
    return documents;
}

static void free_all(bson_t **documents, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        bson_destroy(documents[i]);
    free(documents);
}

static void complain(const char *what, const bson_t *document)
{
    char *text = bson_as_canonical_extended_json(document, NULL); /* NULL: not UTF-8 */
    (void)fprintf(stderr, "%s: %s\n", what, text ? text : "");
    for (uint32_t i = 0; !text && i < document->len; i++)
        (void)fprintf(stderr, "%02x", bson_get_data(document)[i]);
    (void)fprintf(stderr, "\n");
    bson_free(text);
}

static bool is_about_maps(const char *problem)
{
    return *problem && strncmp(problem, "expires_at", 10) != 0 && strncmp(problem, "token", 5) != 0;
}

/* One document, and one acquire. */
static bool acquires_as_it_reads(ground *g, const bson_t *document, int64_t now_ms)
{
    const char *key = text_at(document, "workspace_id");
    lh_record *record = lh_doc_record(document, now_ms, GRACE_MS), *busy = NULL;
    assert_non_null(record);
    bool free = record->state == LH_FREE && record->waiters == 0, good;
    lh_lease *lease = NULL;
    int outcome = lh_acquire(g->store, key, NULL, &lease, &busy, &g->error);
    bson_t *after = document_of(g, key);
    if (free) {
        good = outcome == LH_OK && strcmp(text_at(after, "id"), lh_lease_id(lease)) == 0;
    } else {
        /* Of a living holder's queue that cannot be read, nobody is told before its turn comes. */
        bool maps_only = record->state == LH_MALFORMED && is_about_maps(record->problem);
        good = outcome == LH_BUSY && bson_equal(document, after) &&
               ((busy->why == LH_WHY_MALFORMED) == (record->state == LH_MALFORMED) ||
                (maps_only && busy->why == LH_WHY_HELD));
    }
    if (!good) {
        (void)fprintf(stderr, "C reads state %d (%s) with %zu waiters; the acquire was %s: %s\n",
                      record->state, record->problem, record->waiters, lh_outcome_word(outcome),
                      outcome == LH_OK ? "" : g->error.message);
        complain("was", document);
        complain("is", after);
    }
    lh_lease_free(lease);
    lh_record_free(busy);
    lh_record_free(record);
    bson_destroy(after);
    return good;
}

static void test_an_acquire_is_granted_exactly_where_the_document_reads_as_free(void **state)
{
    ground *g = *state;
    insert_shapes(g, g->locks, 1, ACQUIRED, "somebody", NULL);
    bson_t **documents = read_all(g->locks, ACQUIRED);
    int64_t now_ms = server_ms(g);
    unsigned wrong = 0;
    for (unsigned i = 0; i < ACQUIRED && wrong < 5; i++)
        wrong += !acquires_as_it_reads(g, documents[i], now_ms);
    free_all(documents, ACQUIRED);
    assert_int_equal(wrong, 0);
}

/* ---- The short and the whole form, on twins ---- */

static bool same_value(const bson_iter_t *a, const bson_iter_t *b)
{
    bson_t one = BSON_INITIALIZER, two = BSON_INITIALIZER;
    bson_iter_t left = *a, right = *b;
    BSON_APPEND_VALUE(&one, "v", bson_iter_value(&left));
    BSON_APPEND_VALUE(&two, "v", bson_iter_value(&right));
    bool same = bson_equal(&one, &two);
    bson_destroy(&one);
    bson_destroy(&two);
    return same;
}

/* Dates of now, and tokens of now's clock, differ between two commands. */
static bool alike(const bson_iter_t *a, const bson_iter_t *b)
{
    bson_iter_t in_a, in_b;
    if (bson_iter_type(a) != bson_iter_type(b))
        return false;
    switch (bson_iter_type(a)) {
    case BSON_TYPE_DATE_TIME:
        return llabs(bson_iter_date_time(a) / 2 - bson_iter_date_time(b) / 2) < 20000;
    case BSON_TYPE_INT64:
        return llabs(bson_iter_int64(a) / 2 - bson_iter_int64(b) / 2) < INT64_C(40) << 22;
    case BSON_TYPE_DOCUMENT:
        if (!bson_iter_recurse(a, &in_a) || !bson_iter_recurse(b, &in_b))
            return false;
        for (;;) {
            bool more = bson_iter_next(&in_a);
            if (more != bson_iter_next(&in_b))
                return false;
            if (!more)
                return true;
            if (strcmp(bson_iter_key(&in_a), bson_iter_key(&in_b)) != 0 || !alike(&in_a, &in_b))
                return false;
        }
    default:
        return same_value(a, b);
    }
}

static bool same_fields(const bson_t *a, const bson_t *b)
{
    bson_iter_t field, other;
    bool good = bson_count_keys(a) == bson_count_keys(b) && bson_iter_init(&field, a);
    while (good && bson_iter_next(&field))
        good = bson_iter_init_find(&other, b, bson_iter_key(&field)) && alike(&field, &other);
    return good;
}

/* The command's pipeline and variables, on every document of a collection at once. */
static void run_on_all(ground *g, const lh_pipelines *pipelines, lh_op what, bool whole,
                       const char *collection, const lh_vars *vars)
{
    bson_t command = BSON_INITIALIZER, *update = bson_new(), let = BSON_INITIALIZER, pipeline;
    lh_pipeline_command(pipelines, what, whole, "unused", vars, &command);
    bson_iter_t top, at;
    uint32_t len;
    const uint8_t *data;
    if (bson_iter_init_find(&at, &command, "let")) {
        bson_iter_document(&at, &len, &data);
        assert_true(bson_init_static(&let, data, len));
    }
    assert_true(bson_iter_init(&top, &command) &&
                (bson_iter_find_descendant(&top, "updates.0.u", &at) ||
                 bson_iter_init_find(&at, &command, "update")));
    bson_iter_array(&at, &len, &data);
    assert_true(bson_init_static(&pipeline, data, len));
    BCON_APPEND(update, "update", BCON_UTF8(collection), "updates", "[", "{", "q", "{", "}", "u",
                BCON_ARRAY(&pipeline), "multi", BCON_BOOL(true), "}", "]", "let",
                BCON_DOCUMENT(&let));
    bson_t *reply = run_command(g, g->db, update);
    assert_non_null(reply);
    if (has(reply, "writeErrors"))
        complain("the pipeline fails on a stored document", reply);
    assert_false(has(reply, "writeErrors"));
    bson_destroy(reply);
    bson_destroy(&command);
}

static void compare_forms(ground *g, lh_op what, bool own, uint64_t seed, unsigned n)
{
    lh_pipelines *pipelines = lh_pipelines_new();
    mongoc_collection_t *ones = mongoc_client_get_collection(g->client, g->db, "ones");
    mongoc_collection_t *twins = mongoc_client_get_collection(g->client, g->db, "twins");
    do_command(g, g->db, json("{'delete': 'ones', 'deletes': [{'q': {}, 'limit': 0}]}"));
    insert_shapes(g, ones, seed, n, ME, "k");
    bson_t **before = read_all(ones, n);
    do_command(g, g->db,
               json("{'aggregate': 'ones', 'pipeline': [{'$out': 'twins'}], 'cursor': {}}"));
    lh_vars vars = {.key = "k",
                    .me = ME,
                    .owner = "o",
                    .host = "h",
                    .pid = 7,
                    .ttl_ms = 30000,
                    .grace_ms = GRACE_MS,
                    .max_shared = 128,
                    .own = own,
                    .set = g->set};
    run_on_all(g, pipelines, what, false, "ones", &vars);
    run_on_all(g, pipelines, what, true, "twins", &vars);
    bson_t **short_form = read_all(ones, n), **whole_form = read_all(twins, n);
    unsigned wrong = 0, done = 0;
    char problem[128];
    for (unsigned i = 0; i < n && wrong < 5; i++) {
        done += !bson_equal(before[i], short_form[i]);
        if (bson_equal(before[i], short_form[i]) || same_fields(short_form[i], whole_form[i]))
            continue;
        if (what == LH_OP_RENEW && lh_doc_problem(before[i], problem, sizeof problem) &&
            is_about_maps(problem))
            continue; /* who holds it renews, though its queue was spoilt */
        wrong++;
        complain("before", before[i]);
        complain("short ", short_form[i]);
        complain("whole ", whole_form[i]);
    }
    assert_int_equal(wrong, 0);
    assert_true(done > n / 200); /* it was worth comparing */
    free_all(before, n);
    free_all(short_form, n);
    free_all(whole_form, n);
    mongoc_collection_destroy(ones);
    mongoc_collection_destroy(twins);
    lh_pipelines_free(pipelines);
}

static void test_the_short_acquire_agrees_with_the_whole_one(void **state)
{
    compare_forms(*state, LH_OP_ACQUIRE_EXCLUSIVE, false, 2, COMPARED);
    compare_forms(*state, LH_OP_ACQUIRE_EXCLUSIVE, true, 2, COMPARED);
}

static void test_the_short_renewal_agrees_with_the_whole_one(void **state)
{
    compare_forms(*state, LH_OP_RENEW, true, 3, COMPARED);
}

static void test_the_short_release_agrees_with_the_whole_one(void **state)
{
    compare_forms(*state, LH_OP_RELEASE, true, 4, COMPARED);
}

/* No pipeline fails on any document, and none but the break touches what cannot be read. */
static void test_no_whole_form_fails_on_or_touches_what_cannot_be_read(void **state)
{
    ground *g = *state;
    lh_pipelines *pipelines = lh_pipelines_new();
    mongoc_collection_t *ones = mongoc_client_get_collection(g->client, g->db, "ones");
    static const lh_op all[] = {LH_OP_ACQUIRE_EXCLUSIVE, LH_OP_ACQUIRE_SHARED, LH_OP_RENEW,
                                LH_OP_RELEASE,           LH_OP_RELEASE_KEPT,   LH_OP_SETTLE};
    char problem[128];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        do_command(g, g->db, json("{'delete': 'ones', 'deletes': [{'q': {}, 'limit': 0}]}"));
        insert_shapes(g, ones, 10 + i, 3000, ME, "k");
        bson_t **before = read_all(ones, 3000);
        lh_vars vars = {.key = "k",
                        .me = ME,
                        .owner = "o",
                        .host = "h",
                        .ttl_ms = 30000,
                        .grace_ms = GRACE_MS,
                        .max_shared = 2,
                        .set = g->set};
        vars.keep_ms = all[i] == LH_OP_RELEASE_KEPT ? 60000 : 0;
        if (all[i] == LH_OP_RENEW)
            vars.ttl_ms = 0; /* for as long as the document says */
        run_on_all(g, pipelines, all[i], true, "ones", &vars);
        bson_t **after = read_all(ones, 3000);
        for (int k = 0; k < 3000; k++) {
            if (lh_doc_problem(before[k], problem, sizeof problem))
                expect_same(before[k], after[k]);
            else if (lh_doc_problem(after[k], problem,
                                    sizeof problem)) { /* none makes such a one */
                complain(problem, after[k]);
                fail();
            }
        }
        free_all(before, 3000);
        free_all(after, 3000);
    }
    mongoc_collection_destroy(ones);
    lh_pipelines_free(pipelines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_an_acquire_is_granted_exactly_where_the_document_reads_as_free),
        live_test(test_the_short_acquire_agrees_with_the_whole_one),
        live_test(test_the_short_renewal_agrees_with_the_whole_one),
        live_test(test_the_short_release_agrees_with_the_whole_one),
        live_test(test_no_whole_form_fails_on_or_touches_what_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

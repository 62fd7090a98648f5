/* SPDX-License-Identifier: Apache-2.0
 * The migration's order of values is the server's: each two of these compare as the server sorts
 * them. */
#include "live.h"

#include "migrate/migrate_order.h"
#include "migrate/migrate_parts.h"

/* No two are the same to the server. Within the kinds that nobody uses as an _id ours need not be
 * the server's: one of each. */
static const char *const values[] = {
    "{'$minKey': 1}",
    "{'$undefined': true}",
    "null",
    "{'$numberDouble': 'NaN'}",
    "{'$numberDouble': '-Infinity'}",
    "{'$numberDouble': '-1e300'}",
    "{'$numberLong': '-9223372036854775808'}",
    "{'$numberDouble': '-1.5'}",
    "{'$numberInt': '-1'}",
    "{'$numberDouble': '-0.5'}",
    "{'$numberInt': '0'}",
    "{'$numberDouble': '0.5'}",
    "{'$numberLong': '1'}",
    "{'$numberDouble': '1.5'}",
    "{'$numberDecimal': '2.5'}",
    "{'$numberInt': '3'}",
    "{'$numberDecimal': '3.5'}",
    "{'$numberDouble': '3.75'}",
    "{'$numberDouble': '9007199254740992'}",
    "{'$numberLong': '9007199254740993'}",
    "{'$numberLong': '9223372036854775807'}",
    "{'$numberDouble': '1e300'}",
    "{'$numberDouble': 'Infinity'}",
    "''",
    "'a'",
    "{'$symbol': 'aa'}",
    "'ab'",
    "'b'",
    "'\xc3\xa4'",
    "{}",
    "{'a': 1}",
    "{'a': 1, 'b': 1}",
    "{'a': 2}",
    "{'b': 1}",
    "{'a': 'x'}",
    "{'a': {'a': 1}}",
    "[]",
    "[1]",
    "[1, 1]",
    "[2]",
    "['x']",
    "{'$binary': {'base64': 'AQ==', 'subType': '00'}}",
    "{'$binary': {'base64': 'Ag==', 'subType': '00'}}",
    "{'$binary': {'base64': 'AA==', 'subType': '80'}}",
    "{'$binary': {'base64': 'AAA=', 'subType': '00'}}",
    "{'$oid': '000000000000000000000001'}",
    "{'$oid': '000000000000000000000002'}",
    "false",
    "true",
    "{'$date': {'$numberLong': '-1'}}",
    "{'$date': {'$numberLong': '1'}}",
    "{'$timestamp': {'t': 1, 'i': 1}}",
    "{'$timestamp': {'t': 1, 'i': 2}}",
    "{'$timestamp': {'t': 2, 'i': 1}}",
    "{'$regularExpression': {'pattern': 'a', 'options': ''}}",
    "{'$dbPointer': {'$ref': 'a', '$id': {'$oid': '000000000000000000000001'}}}",
    "{'$code': 'a'}",
    "{'$code': 'a', '$scope': {}}",
    "{'$maxKey': 1}",
};
#define N (sizeof values / sizeof *values)

static void test_values_are_in_the_servers_order(void **state)
{
    ground *g = *state;
    /* not in their order. In a document: an array's least element would be sorted by */
    for (size_t i = 0; i < N; i++)
        put(g, json("{'_id': %zu, 'in': {'v': %s}}", i, values[i * 7 % N]));
    bson_t *all = bson_new(), *sorted = json("{'sort': {'in': 1}}"), *documents[N];
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(g->locks, all, sorted, NULL);
    const bson_t *document;
    size_t n = 0;
    while (n < N && mongoc_cursor_next(cursor, &document))
        documents[n++] = bson_copy(document);
    assert_int_equal(n, N);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < N; k++) {
            bson_iter_t a, b;
            assert_true(find_at(documents[i], "in.v", &a) && find_at(documents[k], "in.v", &b));
            int order = lh_migrate_order(&a, &b);
            if ((order > 0) - (order < 0) != (i > k) - (i < k))
                fail_msg("%s and %s: %d", values[number_at(documents[i], "_id") * 7 % (int64_t)N],
                         values[number_at(documents[k], "_id") * 7 % (int64_t)N], order);
        }
    for (size_t i = 0; i < N; i++)
        bson_destroy(documents[i]);
    mongoc_cursor_destroy(cursor);
    bson_destroy(sorted);
    bson_destroy(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values_are_in_the_servers_order, bare_ground,
                                        old_ground),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * A real E11000 that reaches the client: on the key it is contention, on another field a fault of
 * the configuration. */
#include "live.h"

#define E11000(pattern, value)                                                                     \
    "'errorCode': 11000, 'errorExtraInfo': {'keyPattern': " pattern ", 'keyValue': " value "}"

static void test_a_lost_race_for_the_key_is_asked_again(void **state)
{
    ground *g = *state;
    break_commands(g, 3, "'findAndModify'", E11000("{'workspace_id': 1}", "{'workspace_id': 'k'}"));
    lh_lease *lease = take(g, "k");
    break_commands(g, 3, "'findAndModify'", E11000("{'_id': 1}", "{'_id': 'k'}"));
    expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_HELD);
    give(g, lease);
}

static void test_who_loses_every_race_is_told_who_holds_it(void **state)
{
    ground *g = *state;
    lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 30000, "winner"), *none = NULL;
    break_commands(g, 0, "'findAndModify'", E11000("{'_id': 1}", "{'_id': 'k'}"));
    lh_record *busy = NULL;
    expect(g, LH_BUSY, lh_acquire(g->store, "k", NULL, &none, &busy, &g->error));
    assert_int_equal(busy->why, LH_WHY_RACE);
    assert_int_equal(g->error.reason, LH_REASON_RACE);
    assert_string_equal(lh_record_holder(busy, 0)->owner, "winner");
    lh_record_free(busy);
    lh_record *nobody = NULL;
    expect(g, LH_BUSY, lh_acquire(g->store, "free", NULL, &none, &nobody, &g->error));
    assert_int_equal(nobody->why, LH_WHY_RACE);
    assert_null(lh_record_holder(nobody, 0));
    assert_null(none);
    lh_record_free(nobody);
    mend_commands(g);
    give(g, lease);
}

static void test_a_foreign_unique_index_is_named_as_the_fault(void **state)
{
    ground *g = *state;
    static const char *const fields[] = {"purpose", "owner", "host"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        lh_lease *lease = take(g, "first"), *none = NULL;
        do_command(g, g->db,
                   json("{'createIndexes': '%s', 'indexes': [{'name': 'foreign', 'unique': true, "
                        "'key': {'%s': 1}}]}",
                        LOCKS, fields[i]));
        expect(g, LH_CONFIG, lh_acquire(g->store, "second", NULL, &none, NULL, &g->error));
        expect_says(g, "unique index");
        assert_null(none);
        assert_int_equal(count_documents(g), 1);
        do_command(g, g->db, json("{'dropIndexes': '%s', 'index': 'foreign'}", LOCKS));
        give(g, lease);
    }
}

/* Indexes on what never repeats do no harm. */
static void test_unique_indexes_on_id_and_token_do_no_harm(void **state)
{
    ground *g = *state;
    do_command(
        g, g->db,
        json("{'createIndexes': '%s', 'indexes': [{'name': 'a', 'unique': true, 'key': {'id': 1}},"
             " {'name': 'b', 'unique': true, 'key': {'id': 1, 'token': 1}}]}",
             LOCKS));
    lh_lease *a = take(g, "a"), *b = take(g, "b"), *r = take_as(g, "c", LH_SHARED, 30000, NULL);
    give(g, a);
    give(g, b);
    give(g, r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_a_lost_race_for_the_key_is_asked_again),
        live_test(test_who_loses_every_race_is_told_who_holds_it),
        live_test(test_a_foreign_unique_index_is_named_as_the_fault),
        live_test(test_unique_indexes_on_id_and_token_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

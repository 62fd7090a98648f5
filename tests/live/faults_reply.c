/* SPDX-License-Identifier: Apache-2.0
 * Answers that get lost, or that say that the outcome is not known: what was asked is granted
 * exactly once, or reported as unknown by its lease id, and released when the store is closed. */
#include "live.h"

#define ALL    "'findAndModify','update','find','listIndexes'"
#define WRITES "'findAndModify','update'"
#define NO_MAJORITY                                                                                \
    "'writeConcernError': {'code': 64, 'errmsg': 'waiting for replication timed out'}"

/* A store that gives up soon; it has seen the index. */
static lh_store *hasty_store(ground *g, int64_t timeout_ms)
{
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri;
    options.timeout_ms = timeout_ms;
    return open_store_with(g, &options);
}

/* One fault, then all is well: granted, once, and the document agrees. */
static void expect_granted_once(ground *g, const char *key, const char *fault)
{
    break_commands(g, 1, WRITES, fault);
    lh_lease *lease = take(g, key);
    bson_t *document = document_of(g, key);
    assert_string_equal(text_at(document, "id"), lh_lease_id(lease));
    assert_int_equal(number_at(document, "token"), lh_lease_token(lease));
    bson_destroy(document);
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    give(g, lease);
}

static void test_an_acquire_survives_one_fault(void **state)
{
    ground *g = *state;
    static const char *const faults[] = {
        NO_MAJORITY,          "'errorCode': 50",    "'errorCode': 112",   "'errorCode': 365",
        "'errorCode': 134",   "'errorCode': 89",    "'errorCode': 10107", "'errorCode': 189",
        "'errorCode': 11602", "'errorCode': 11601", "'errorCode': 91",    "'closeConnection': true",
        "'errorCode': 24",    "'errorCode': 187",   "'errorCode': 215",   "'errorCode': 16500",
    };
    char key[16];
    g->store = hasty_store(g, 10000);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        (void)snprintf(key, sizeof key, "k%zu", i);
        expect_granted_once(g, key, faults[i]);
    }
}

/* The command is applied, but its sender stopped listening: the same id is asked again, and a
 * straggler grants nothing. */
static void test_an_acquire_that_is_answered_too_late_is_granted_once(void **state)
{
    ground *g = *state;
    g->store = hasty_store(g, 4000); /* listens for two seconds */
    break_commands(g, 1, WRITES, "'blockConnection': true, 'blockTimeMS': 2600");
    lh_lease *lease = take(g, "k");
    int64_t token = lh_lease_token(lease);
    /* The straggler lands meanwhile or later; whatever it does is an extension. */
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), lh_lease_id(lease));
    assert_int_equal(number_at(document, "token"), token);
    bson_destroy(document);
    give(g, lease);
}

static void test_without_a_majority_it_is_unknown_and_released_at_close(void **state)
{
    ground *g = *state;
    g->store = hasty_store(g, 500);
    break_commands(g, 0, WRITES, NO_MAJORITY);
    lh_lease *lease = NULL;
    lh_record *busy = NULL;
    expect(g, LH_UNKNOWN, lh_acquire(g->store, "k", NULL, &lease, &busy, &g->error));
    assert_null(lease);
    assert_null(busy);
    assert_int_equal(strlen(g->error.lease_id), LH_LEASE_ID_LEN);
    bson_t *document = document_of(g, "k");
    /* it was done, and nobody may believe it */
    assert_string_equal(text_at(document, "id"), g->error.lease_id);
    bson_destroy(document);
    mend_commands(g);
    lh_store_close(g->store);
    g->store = open_store(g);
    assert_int_equal(state_of(g, "k"), LH_FREE);
}

static void test_an_unknown_lease_can_be_released_by_its_id(void **state)
{
    ground *g = *state;
    g->store = hasty_store(g, 500);
    break_commands(g, 0, WRITES, NO_MAJORITY);
    lh_lease *lease = NULL;
    expect(g, LH_UNKNOWN, lh_acquire(g->store, "k", NULL, &lease, NULL, &g->error));
    mend_commands(g);
    expect(g, LH_OK, lh_lease_attach(g->store, "k", g->error.lease_id, &lease, &g->error));
    give(g, lease);
    assert_int_equal(state_of(g, "k"), LH_FREE);
}

/* Open first, then refused: the refusal says nothing of the first attempt. */
static void test_a_refusal_after_a_lost_answer_does_not_make_it_known(void **state)
{
    ground *g = *state;
    g->store = hasty_store(g, 500);
    break_commands(g, 0, WRITES, "'errorCode': 13, " NO_MAJORITY);
    lh_lease *lease = NULL;
    int outcome = lh_acquire(g->store, "k", NULL, &lease, NULL, &g->error);
    assert_true(outcome == LH_UNKNOWN || outcome == LH_DENIED);
    assert_null(lease);
}

static void test_what_surely_did_not_run_is_unreachable(void **state)
{
    ground *g = *state;
    g->store = hasty_store(g, 400);
    static const char *const faults[] = {"'errorCode': 10107", "'errorCode': 50",
                                         "'errorCode': 112", "'errorCode': 365"};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        break_commands(g, 0, WRITES, faults[i]);
        lh_lease *lease = NULL;
        expect(g, LH_UNREACHABLE, lh_acquire(g->store, "k", NULL, &lease, NULL, &g->error));
        assert_null(lease);
        assert_string_equal(g->error.lease_id, "");
        assert_int_equal(count_documents(g), 0);
    }
}

static void test_a_renewal_that_is_not_answered_leaves_the_lease_valid(void **state)
{
    ground *g = *state;
    g->store = hasty_store(g, 1000);
    lh_lease *lease = take(g, "k");
    int64_t token = lh_lease_token(lease);
    static const char *const faults[] = {NO_MAJORITY, "'closeConnection': true"};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        break_commands(g, 0, WRITES, faults[i]);
        expect(g, LH_UNREACHABLE, lh_lease_renew(lease, 60000, NULL, &g->error));
        assert_true(lh_lease_valid(lease));
    }
    mend_commands(g);
    /* until the driver sees that it is back */
    while (lh_lease_renew(lease, 60000, NULL, &g->error) == LH_UNREACHABLE)
        assert_true(lh_lease_valid(lease));
    expect(g, LH_OK, lh_lease_renew(lease, 60000, NULL, &g->error));
    assert_int_equal(lh_lease_token(lease), token);
    give(g, lease);
}

static void test_a_release_that_is_not_answered_is_unknown_and_not_valid(void **state)
{
    ground *g = *state;
    g->store = hasty_store(g, 400);
    lh_lease *lease = take(g, "k");
    break_commands(g, 0, WRITES, NO_MAJORITY);
    expect(g, LH_UNKNOWN, lh_lease_release(lease, &g->error));
    assert_false(lh_lease_valid(lease));
    mend_commands(g);
    expect(g, LH_OK, lh_lease_release(lease, &g->error)); /* again */
    assert_int_equal(state_of(g, "k"), LH_FREE);
    lh_lease_free(lease);
}

static void test_a_release_survives_one_fault(void **state)
{
    ground *g = *state;
    static const char *const faults[] = {NO_MAJORITY, "'errorCode': 11602",
                                         "'closeConnection': true"};
    g->store = hasty_store(g, 10000);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        lh_lease *lease = take(g, "k");
        break_commands(g, 1, WRITES, faults[i]);
        give(g, lease);
        assert_int_equal(state_of(g, "k"), LH_FREE);
    }
}

static void test_break_and_cleanup_survive_one_fault(void **state)
{
    ground *g = *state;
    g->store = hasty_store(g, 10000);
    lh_lease *lease = take(g, "k");
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "stuck";
    break_commands(g, 1, WRITES, NO_MAJORITY);
    lh_record *broken = NULL;
    expect(g, LH_OK, lh_break(g->store, "k", &options, &broken, &g->error));
    assert_int_equal(lh_record_holder(broken, 0)->token, lh_lease_token(lease));
    lh_record_free(broken);
    lh_lease_free(lease);
    put(g,
        json(
            "{'workspace_id': 'old', 'id': 'x', 'expires_at': {'$date': '2020-01-01T00:00:00Z'}}"));
    break_commands(g, 1, "'delete'", "'errorCode': 91");
    lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
    expect(g, LH_OK, lh_cleanup(g->store, NULL, &report, &g->error));
    assert_int_equal(report.removed, 1);
}

static void test_reading_survives_faults_and_says_when_it_cannot(void **state)
{
    ground *g = *state;
    g->store = hasty_store(g, 4000);
    lh_record *record = NULL;
    break_commands(g, 1, ALL, "'closeConnection': true");
    expect(g, LH_OK, lh_status(g->store, "k", &record, &g->error));
    lh_record_free(record);
    record = NULL;
    close_later(g->store);
    g->store = hasty_store(g, 500);
    break_commands(g, 0, ALL, "'errorCode': 91");
    expect(g, LH_UNREACHABLE, lh_status(g->store, "k", &record, &g->error));
    assert_null(record);
}

static int ask_acquire(ground *g, lh_lease *lease)
{
    lh_lease *other = NULL;
    (void)lease;
    return lh_acquire(g->store, "free", NULL, &other, NULL, &g->error);
}

static int ask_renew(ground *g, lh_lease *lease)
{
    return lh_lease_renew(lease, 0, NULL, &g->error);
}

static int ask_release(ground *g, lh_lease *lease)
{
    return lh_lease_release(lease, &g->error);
}

static int ask_status(ground *g, lh_lease *lease)
{
    lh_record *record = NULL;
    return lh_status(g->store, lh_lease_key(lease), &record, &g->error);
}

static int ask_migrate(ground *g, lh_lease *lease)
{
    (void)lease;
    return lh_migrate(g->store, NULL, NULL, &g->error);
}

static void test_a_refusal_is_told_as_it_is_by_every_call(void **state)
{
    ground *g = *state;
    static const struct {
        int code, outcome;
    } codes[] = {{117, LH_UNREACHABLE}, {12587, LH_UNREACHABLE}, {13, LH_DENIED},
                 {2, LH_SERVER},        {9, LH_SERVER},          {59, LH_CONFIG},
                 {72, LH_SERVER},       {115, LH_CONFIG},        {148, LH_CONFIG},
                 {166, LH_CONFIG},      {238, LH_CONFIG},        {291, LH_SERVER},
                 {323, LH_CONFIG},      {8000, LH_SERVER},       {10334, LH_SERVER},
                 {13297, LH_CONFIG},    {14031, LH_SERVER},      {17280, LH_SERVER},
                 {17419, LH_SERVER},    {40415, LH_SERVER},      {31337, LH_SERVER}};
    static int (*const calls[])(ground *, lh_lease *) = {ask_acquire, ask_renew, ask_release,
                                                         ask_status, ask_migrate};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        char fault[32];
        lh_lease *lease = take(g, "k");
        (void)snprintf(fault, sizeof fault, "'errorCode': %d", codes[i].code);
        break_commands(g, 0, ALL, fault);
        for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
            if (calls[k] == ask_migrate && codes[i].outcome == LH_UNREACHABLE)
                continue; /* it waits */
            int outcome = calls[k](g, lease);
            if (outcome != codes[i].outcome || g->error.server_code != codes[i].code)
                fail_msg("call %zu, code %d: %s, %s", k, codes[i].code, lh_outcome_word(outcome),
                         g->error.message);
        }
        mend_commands(g);
        give(g, lease); /* nothing came of the refusals */
    }
    assert_int_equal(count_documents(g), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_test(test_an_acquire_survives_one_fault),
        bare_test(test_an_acquire_that_is_answered_too_late_is_granted_once),
        bare_test(test_without_a_majority_it_is_unknown_and_released_at_close),
        bare_test(test_an_unknown_lease_can_be_released_by_its_id),
        bare_test(test_a_refusal_after_a_lost_answer_does_not_make_it_known),
        bare_test(test_what_surely_did_not_run_is_unreachable),
        bare_test(test_a_renewal_that_is_not_answered_leaves_the_lease_valid),
        bare_test(test_a_release_that_is_not_answered_is_unknown_and_not_valid),
        bare_test(test_a_release_survives_one_fault),
        bare_test(test_break_and_cleanup_survive_one_fault),
        bare_test(test_reading_survives_faults_and_says_when_it_cannot),
        live_test(test_a_refusal_is_told_as_it_is_by_every_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

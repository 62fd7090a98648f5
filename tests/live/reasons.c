/* SPDX-License-Identifier: Apache-2.0
 * lh_error.reason: what a program can tell apart where an outcome has several causes. */
#include <leasehold/mongo.h>

#include "live.h"

#define KEY "'key': {'workspace_id': 1}"

#define expect_reason(g, wanted, call) expect_reason_at((g), (wanted), (call), #call, __LINE__)

static void expect_reason_at(ground *g, int wanted, int outcome, const char *call, int line)
{
    const lh_error *error = &g->error;
    if (error->reason != wanted || outcome != wanted / 100 || error->code != outcome)
        fail_msg("line %d: %s: %s, \"%s\", not \"%s\": %s", line, call, lh_outcome_word(outcome),
                 lh_reason_word(error->reason), lh_reason_word(wanted), error->message);
}

static int ask(ground *g, const char *key, const lh_acquire_options *options)
{
    lh_lease *lease = NULL;
    int outcome = lh_acquire(g->store, key, options, &lease, NULL, &g->error);
    assert_true(outcome != LH_OK && !lease);
    return outcome;
}

static void test_busy_is_held_or_a_wait_that_is_over(void **state)
{
    ground *g = *state;
    lh_acquire_options now = LH_ACQUIRE_OPTIONS_INIT, wait = LH_ACQUIRE_OPTIONS_INIT;
    wait.wait_ms = 1000;
    lh_lease *lease = take(g, "k");
    expect_reason(g, LH_REASON_HELD, ask(g, "k", &now));
    expect_reason(g, LH_REASON_TIMEOUT, ask(g, "k", &wait));
    assert_non_null(strstr(g->error.message, "is still held by tester"));
    const char *keys[] = {"a", "k"};
    lh_lease *leases[2];
    expect_reason(g, LH_REASON_HELD,
                  lh_acquire_many(g->store, keys, 2, &now, leases, NULL, &g->error));
    expect_reason(g, LH_REASON_TIMEOUT,
                  lh_acquire_many(g->store, keys, 2, &wait, leases, NULL, &g->error));
    now.path = wait.path = true;
    expect_reason(g, LH_REASON_PATH, ask(g, "k/below", &now));
    expect_reason(g, LH_REASON_TIMEOUT, ask(g, "k/below", &wait));
    give(g, lease);
}

static void test_busy_has_the_reasons_of_the_record(void **state)
{
    ground *g = *state;
    lh_store_options options = store_options(g);
    options.max_shared = options.max_waiters = 1;
    reopen_store(g, &options);
    lh_acquire_options shared = LH_ACQUIRE_OPTIONS_INIT, wait = LH_ACQUIRE_OPTIONS_INIT;
    shared.mode = LH_SHARED;
    wait.wait_ms = MINUTE_MS;
    lh_lease *lease = take_as(g, "k", LH_SHARED, MINUTE_MS, "ann");
    expect_reason(g, LH_REASON_FULL, ask(g, "k", &shared));
    lh_waiting *first = NULL;
    expect(g, LH_OK, lh_acquire_start(g->store, "k", &wait, &first, &g->error));
    lh_record *record = NULL;
    within(10000, (lh_record_free(record), record = status_of(g, "k"))->waiters == 1);
    lh_record_free(record);
    expect_reason(g, LH_REASON_FULL_QUEUE, ask(g, "k", &wait));
    expect(g, LH_OK, lh_waiting_cancel(first, &g->error));
    give(g, lease);
    put(g, json("{'_id': 'odd', 'workspace_id': 'odd', 'expires_at': 'tomorrow'}"));
    expect_reason(g, LH_REASON_MALFORMED, ask(g, "odd", NULL));
}

static lh_lease *attach(ground *g, const char *key, const char *id)
{
    lh_lease *lease = NULL;
    expect(g, LH_OK, lh_lease_attach(g->store, key, id, &lease, &g->error));
    return lease;
}

static int renew(ground *g, lh_lease *lease)
{
    return lh_lease_renew(lease, 0, NULL, &g->error);
}

static void test_how_a_lease_was_lost(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k"), *other;
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    lh_lease *stranger = attach(g, "k", id);
    expect_reason(g, LH_REASON_SUPERSEDED, renew(g, stranger));
    expect_reason(g, LH_REASON_NOT_HOLDER, lh_lease_release(stranger, &g->error));
    lh_lease_free(stranger);

    change(g, "k", json("{'$set': {'id': '%032d', 'owner': 'zoe'}}", 7));
    expect_reason(g, LH_REASON_SUPERSEDED, renew(g, lease));
    expect_reason(g, LH_REASON_ENDED, renew(g, lease));
    lh_lease_free(lease);

    other = take(g, "gone");
    delete_key(g, "_id", "gone");
    expect_reason(g, LH_REASON_GONE, renew(g, other));
    lh_lease_free(other);
    other = take(g, "ended");
    expect(g, LH_OK, lh_lease_release(other, &g->error));
    expect_reason(g, LH_REASON_ENDED, renew(g, other));
    lh_lease_free(other);
}

static void test_what_cannot_be_broken(void **state)
{
    ground *g = *state;
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    lh_record *was = NULL;
    options.reason = "a test";
    expect_reason(g, LH_REASON_NOT_HELD, lh_break(g->store, "k", &options, &was, &g->error));
    lh_lease *lease = take(g, "k");
    options.token = lh_lease_token(lease) + 1;
    expect_reason(g, LH_REASON_CHANGED_HANDS, lh_break(g->store, "k", &options, &was, &g->error));
    give(g, lease);
    expect_reason(g, LH_REASON_NO_DOCUMENT, lh_status_by_id(g->store, "1", &was, &g->error));
    assert_null(was);
}

static void test_a_lease_id_is_used_once_and_a_late_grant_is_none(void **state)
{
    ground *g = *state;
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    options.lease_id = id;
    options.by_hand = true;
    give(g, take(g, "k")); /* the first grant of a key must be answered sooner */
    lh_lease *lease = NULL;
    expect(g, LH_OK, lh_acquire(g->store, "k", &options, &lease, NULL, &g->error));
    give(g, lease);
    expect_reason(g, LH_REASON_ID_USED, ask(g, "k", &options));
    random_id(id);
    options.ttl_ms = 1000;
    break_commands(g, 1, "'findAndModify'", "'blockConnection': true, 'blockTimeMS': 1300");
    expect_reason(g, LH_REASON_TOO_LATE, ask(g, "late", &options));
    mend_commands(g);
}

static void test_documents_that_cannot_be_read(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    change(g, "k", json("{'$set': {'expires_at': 'tomorrow'}}"));
    expect_reason(g, LH_REASON_UNREADABLE, renew(g, lease));
    lh_lease_free(lease);
}

static void test_a_closed_store(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    lh_store_close(g->store);
    g->store = NULL;
    expect_reason(g, LH_REASON_STORE_CLOSED, renew(g, lease));
    lh_lease_free(lease);
}

static void test_what_the_server_refuses(void **state)
{
    ground *g = *state;
    static const struct {
        int code, reason;
    } refusals[] = {{13, LH_REASON_NO_CREDENTIALS}, {59, LH_REASON_VERSION},
                    {166, LH_REASON_COLLECTION},    {243, LH_REASON_COMPATIBILITY},
                    {323, LH_REASON_API_VERSION},   {73, LH_REASON_NAME},
                    {43, LH_REASON_CURSOR},         {12587, LH_REASON_IN_PROGRESS},
                    {291, LH_REASON_NO_SCAN},       {8000, LH_REASON_LIMIT},
                    {10334, LH_REASON_TOO_LARGE},   {14031, LH_REASON_DISK_FULL},
                    {17280, LH_REASON_KEY_TOO_LONG}};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        char what[32];
        (void)snprintf(what, sizeof what, "'errorCode': %d", refusals[i].code);
        break_commands(g, 0, "'findAndModify'", what);
        expect_reason(g, refusals[i].reason, ask(g, "k", NULL));
        mend_commands(g);
    }
}

static void reopen_hasty(ground *g)
{
    lh_store_options options = store_options(g);
    options.timeout_ms = 800;
    reopen_store(g, &options);
}

static int look(ground *g)
{
    lh_record *record = NULL;
    int outcome = lh_status(g->store, "k", &record, &g->error);
    lh_record_free(record);
    return outcome;
}

/* Of a read it is known that it changed nothing. */
static void test_why_no_server_answered(void **state)
{
    ground *g = *state;
    static const struct {
        const char *what;
        bool is_read;
        int reason;
    } faults[] = {{"'errorCode': 462", true, LH_REASON_OVERLOADED},
                  {"'writeConcernError': {'code': 64, 'errmsg': 'waiting for replication'}", false,
                   LH_REASON_NO_MAJORITY},
                  {"'errorCode': 91", false, LH_REASON_INTERRUPTED},
                  {"'closeConnection': true", false, LH_REASON_NO_REPLY}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        reopen_hasty(g); /* another's keeper settles what is in doubt */
        break_commands(g, 0, "'find', 'aggregate', 'findAndModify'", faults[i].what);
        expect_reason(g, faults[i].reason, faults[i].is_read ? look(g) : ask(g, key, NULL));
        mend_commands(g);
    }
}

static int open_far(ground *g, const char *uri, int64_t timeout_ms)
{
    lh_store_options options = store_options(g);
    lh_store *store = NULL;
    options.uri = uri;
    options.timeout_ms = timeout_ms;
    return lh_store_open(&options, &store, &g->error);
}

/* On a busy machine it takes longer until the driver has tried a server, and knows. */
static void expect_far(ground *g, int reason, const char *uri)
{
    int64_t ms = 400;
    while (open_far(g, uri, ms) == LH_UNREACHABLE && g->error.reason != reason && ms < 20000)
        ms *= 3;
    assert_int_equal(g->error.reason, reason);
}

static void test_why_no_server_was_found(void **state)
{
    ground *g = *state;
    char uri[600];
    expect_far(g, LH_REASON_NO_SERVER, "mongodb://127.0.0.1:9/");
    expect_far(g, LH_REASON_NO_ADDRESS, "mongodb://leasehold.invalid/");
    (void)snprintf(uri, sizeof uri, "%s%stls=true", g->uri, strchr(g->uri, '?') ? "&" : "?");
    expect_far(g, LH_REASON_HANDSHAKE, uri);
}

/* ---- What makes a deployment unfit ------------------------------------------------------------*/

static int open_at(ground *g, int at_open)
{
    lh_store_options options = store_options(g);
    lh_store *store = NULL;
    options.at_open = at_open;
    int outcome = lh_store_open(&options, &store, &g->error);
    assert_null(store);
    return outcome;
}

static void create_index(ground *g, const char *options)
{
    do_command(g, g->db, json("{'createIndexes': '%s', 'indexes': [{%s}]}", LOCKS, options));
}

static void make_anew(ground *g, const char *options)
{
    bson_t *reply = run_command(g, g->db, json("{'drop': '%s'}", LOCKS));
    if (reply)
        bson_destroy(reply);
    do_command(g, g->db, json("{'create': '%s'%s}", LOCKS, options));
}

static void test_what_is_wrong_with_the_collection(void **state)
{
    ground *g = *state;
    put(g, json("{'_id': 'a', 'workspace_id': 'k', 'expires_at': {'$date': 0}}"));
    expect_reason(g, LH_REASON_INDEX, open_at(g, LH_AT_OPEN_VERIFY));
    put(g, json("{'_id': 'b', 'workspace_id': 'k', 'expires_at': {'$date': 0}}"));
    lh_migrate_options keep = LH_MIGRATE_OPTIONS_INIT;
    keep.remove = false;
    lh_store_options options = store_options(g);
    options.at_open = LH_AT_OPEN_MIGRATE;
    options.migrate = &keep;
    lh_store *store = NULL;
    expect_reason(g, LH_REASON_DUPLICATES, lh_store_open(&options, &store, &g->error));

    make_anew(g, "");
    create_index(g, "'name': 'workspace_id_unique', 'sparse': true, 'unique': true, " KEY);
    expect_reason(g, LH_REASON_NOT_UNIQUE, open_at(g, LH_AT_OPEN_VERIFY));
    make_anew(g, "");
    create_index(g, "'name': 'ttl', 'key': {'acquired_at': 1}, 'expireAfterSeconds': 3600");
    expect_reason(g, LH_REASON_TTL_INDEX, open_at(g, LH_AT_OPEN_MIGRATE));
    make_anew(g, "");
    put(g, json("{'_id': 7, 'workspace_id': 7}"));
    expect_reason(g, LH_REASON_FOREIGN_KEYS, open_at(g, LH_AT_OPEN_MIGRATE));
    make_anew(g, ", 'capped': true, 'size': 100000");
    expect_reason(g, LH_REASON_COLLECTION, open_at(g, LH_AT_OPEN_MIGRATE));
    make_anew(g, ", 'collation': {'locale': 'en', 'strength': 2}");
    expect_reason(g, LH_REASON_COLLATION, open_at(g, LH_AT_OPEN_MIGRATE));
    make_anew(g, ", 'validator': {'team': {'$exists': true}}");
    expect_reason(g, LH_REASON_VALIDATOR, open_at(g, LH_AT_OPEN_MIGRATE));

    make_anew(g, "");
    lh_store_options plain = store_options(g);
    reopen_store(g, &plain);
    give(g, take(g, "free"));
    create_index(g, "'name': 'other', 'unique': true, 'key': {'foreign': 1}");
    expect_reason(g, LH_REASON_OTHER_INDEX, ask(g, "k", NULL));
}

static void test_the_connection_string(void **state)
{
    ground *g = *state;
    static const struct {
        const char *uri;
        int reason;
    } cases[] = {{"mongodb://127.0.0.1:x/", LH_REASON_URI},
                 {"mongodb://127.0.0.1/?authMechanism=NONE", LH_REASON_URI},
                 {"mongodb://127.0.0.1/?w=1", LH_REASON_WRITE_CONCERN},
                 {"mongodb://127.0.0.1/?tls=true&tlsInsecure=true", LH_REASON_TLS}};
    lh_store_options options = store_options(g);
    options.at_open = LH_AT_OPEN_NOTHING;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lh_store *store = NULL;
        options.uri = cases[i].uri;
        expect_reason(g, cases[i].reason, lh_store_open(&options, &store, &g->error));
    }
    char uri[600];
    (void)snprintf(uri, sizeof uri, "mongodb://nobody:wrong@%s", g->uri + strlen("mongodb://"));
    options.uri = uri;
    options.at_open = LH_AT_OPEN_VERIFY;
    lh_store *store = NULL;
    expect_reason(g, LH_REASON_CREDENTIALS, lh_store_open(&options, &store, &g->error));
    const char *set = strstr(g->uri, "replicaSet=");
    (void)snprintf(uri, sizeof uri, "%.*s%sreplicaSet=another",
                   (int)(set ? set - g->uri : (long)strlen(g->uri)), g->uri, set ? "" : "?");
    expect_reason(g, LH_REASON_SET_NAME, lh_store_open(&options, &store, &g->error));
}

static void test_a_guard_needs_transactions(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    mongoc_client_session_t *session = mongoc_client_start_session(g->client, NULL, NULL);
    mongoc_transaction_opt_t *options = mongoc_transaction_opts_new();
    mongoc_write_concern_t *weak = mongoc_write_concern_new();
    mongoc_write_concern_set_w(weak, 1);
    mongoc_transaction_opts_set_write_concern(options, weak);
    if (g->set)
        assert_true(mongoc_client_session_start_transaction(session, options, NULL));
    expect_reason(g, LH_REASON_TRANSACTIONS, lh_lease_guard(lease, session, NULL, &g->error));
    mongoc_write_concern_destroy(weak);
    mongoc_transaction_opts_destroy(options);
    mongoc_client_session_destroy(session);
    give(g, lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_busy_is_held_or_a_wait_that_is_over),
        live_test(test_busy_has_the_reasons_of_the_record),
        live_test(test_how_a_lease_was_lost),
        live_test(test_what_cannot_be_broken),
        live_test(test_a_lease_id_is_used_once_and_a_late_grant_is_none),
        live_test(test_documents_that_cannot_be_read),
        live_test(test_a_closed_store),
        live_test(test_what_the_server_refuses),
        live_test(test_why_no_server_answered),
        bare_test(test_why_no_server_was_found),
        bare_test(test_what_is_wrong_with_the_collection),
        bare_test(test_the_connection_string),
        live_test(test_a_guard_needs_transactions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

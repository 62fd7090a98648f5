/* SPDX-License-Identifier: Apache-2.0
 * A store's options and its connection string: what is refused, in which words, and that no
 * password is in them. Nothing here contacts a server. */
#include "unit.h"

static lh_store_options good(void)
{
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = "mongodb://127.0.0.1:9/";
    options.at_open = LH_AT_OPEN_NOTHING;
    return options;
}

static void expect_refused(const lh_store_options *options, int outcome, const char *says)
{
    lh_error error = LH_ERROR_INIT;
    lh_store *store = NULL;
    expect_fails(outcome, lh_store_open(options, &store, &error), &error, says);
    assert_null(store);
}

static void test_ranges(void **state)
{
    (void)state;
    lh_store_options o;
#define REFUSE(field, value)                                                                       \
    o = good();                                                                                    \
    o.field = (value);                                                                             \
    expect_refused(&o, LH_INVALID, #field)
    REFUSE(timeout_ms, 99);
    REFUSE(timeout_ms, 600001);
    REFUSE(timeout_ms, -1);
    REFUSE(timeout_ms, INT64_MAX);
    REFUSE(clock_skew_ms, -1);
    REFUSE(clock_skew_ms, 60001);
    REFUSE(max_waiters, 0);
    REFUSE(max_waiters, 10001);
    REFUSE(max_shared, 0);
    REFUSE(max_shared, 1001);
    REFUSE(pool_size, 0);
    REFUSE(pool_size, 1001);
    REFUSE(at_open, -1);
    REFUSE(at_open, 3);
    REFUSE(log_level, -1);
    REFUSE(log_level, 5);
    REFUSE(owner, "");
    REFUSE(owner, "a\nb");
    REFUSE(owner, "\xff");
#undef REFUSE
}

static void test_missing_options(void **state)
{
    (void)state;
    lh_store_options o = good();
    expect_refused(NULL, LH_INVALID, "LH_STORE_OPTIONS_INIT");
    o.size = 0;
    expect_refused(&o, LH_INVALID, "LH_STORE_OPTIONS_INIT");
    o = good();
    o.uri = NULL;
    expect_refused(&o, LH_INVALID, "connection string");
    o.uri = "";
    expect_refused(&o, LH_INVALID, "connection string");
}

static void test_names(void **state)
{
    (void)state;
    char long_name[200];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const char *const bad_db[] = {"a.b", "a b", "a/b", "a\\b", "a$b", "a\"b", long_name};
    const char *const bad_collection[] = {"", "$x", "a$b", "system.x", ".x", long_name};
    for (size_t i = 0; i < sizeof bad_db / sizeof *bad_db; i++) {
        lh_store_options o = good();
        o.db = bad_db[i];
        expect_refused(&o, LH_INVALID, "database name");
    }
    for (size_t i = 0; i < sizeof bad_collection / sizeof *bad_collection; i++) {
        lh_store_options o = good();
        o.collection = bad_collection[i];
        expect_refused(&o, LH_INVALID, "collection name");
    }
    const char *const bad_audit[] = {"$x",           "locks",  "locks_archive", "locks_migration",
                                     "locks.fences", long_name};
    for (size_t i = 0; i < sizeof bad_audit / sizeof *bad_audit; i++) {
        lh_store_options o = good();
        o.collection = "locks";
        o.audit = bad_audit[i];
        expect_refused(&o, LH_INVALID, "audit");
    }
    lh_store_options o = good();
    o.app_name = long_name;
    expect_refused(&o, LH_INVALID, "app_name");
}

static void test_weak_write_concerns_are_refused(void **state)
{
    (void)state;
    static const char *const weak[] = {"w=1",   "w=0",           "w=2",
                                       "w=dc1", "journal=false", "w=majority&journal=false"};
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        char uri[128];
        (void)snprintf(uri, sizeof uri, "mongodb://127.0.0.1:9/?%s", weak[i]);
        lh_store_options o = good();
        o.uri = uri;
        expect_refused(&o, LH_CONFIG, "leave");
    }
}

/* Nor does the driver's own log give it away. */
static void read_log(void *arg, int level, const char *line)
{
    (void)level;
    if (strstr(line, "c4n4ry"))
        ++*(int *)arg;
}

static void test_uris_that_do_not_parse_never_show_the_password(void **state)
{
    (void)state;
    int given_away = 0;
    lh_driver_log(read_log, &given_away, NULL);
    static const char *const bad[] = {
        "mongodb://user:c4n4ry@",
        "mongodb://user:c4n4ry@/db",
        "mongodb://user:c4n4ry@host:99999/",
        "mongodb://user:c4n4ry@host:x/",
        "mongodb://user:c4n4ry@rest@host/",
        "mongodb://user:c4/n4ry@host/",
        "mongodb://user:c4n4ry%@host/",
        "mongodb://user:c4n4ry%zz@host/",
        "user:c4n4ry@host",
        "http://user:c4n4ry@host/",
        "mongodb:/user:c4n4ry@host",
        "mongodb://user:c4n4ry@host/?tls=maybe",
        "mongodb://user:c4n4ry@host/?authMechanism=NONE",
        "mongodb://user:c4n4ry@[::1/",
        "mongodb://user:c4n4ry@ho st,/",
        "mongodb://user:c4n4ry:x@host/",
        "mongodb://user:c4n4ry@host?w=1",
        "mongodb://user:c4n4ry#@host",
        "mongodb://user:c4n4ry@host/db.x.$/",
        "mongodb+srv://user:c4n4ry@host",
        "mongodb://user:c4n4ry@host/?w=1",
        "mongodb://user:c4n4ry@a,b/?directConnection=true",
        "mongodb://user:c4n4ry@host/?replicaSet=",
        "mongodb://u:p@host/?nonsense=c4n4ry",
        "mongodb://u:p@host/?connectTimeoutMS=c4n4ry",
        "mongodb://u:p@host/?authMechanism=c4n4ry",
        "mongodb://u:p@host/?authMechanismProperties=c4n4ry",
        "mongodb://u:p@host/?readPreferenceTags=c4n4ry",
        "mongodb://u:p@host/?tls=c4n4ry",
        ("mongodb://u:p@host/?tls=true&tlsCertificateKeyFile=/nowhere"
         "&tlsCertificateKeyFilePassword=c4n4ry"),
        "mongodb://u:p@host/?c4n4ry",
        "mongodb://u:c4n4ry@h/?tls=true&ssl=false",
        "mongodb://u:c4n4ry@h/?tlsInsecure=true",
        "c4n4ry",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lh_store_options o = good();
        o.uri = bad[i];
        o.timeout_ms = 100;
        lh_store *store = NULL;
        lh_error error = LH_ERROR_INIT;
        int outcome = lh_store_open(&o, &store, &error);
        lh_store_close(store);
        if (outcome == LH_OK) /* some of them the driver takes: nothing is said then */
            continue;
        assert_in_set((unsigned long)outcome,
                      ((const unsigned long[]){LH_CONFIG, LH_INVALID, LH_UNREACHABLE, LH_SERVER}),
                      4);
        assert_true(*error.message);
        if (strstr(error.message, "c4n4ry") || strstr(error.message, "4ry") ||
            strstr(error.message, "c4"))
            fail_msg("%s gives away: %s", bad[i], error.message);
        if (given_away)
            fail_msg("the driver's log gives away %s", bad[i]);
    }
    assert_int_equal(given_away, 0); /* also of those that the driver took */
    lh_driver_log(NULL, NULL, NULL);
}

static void test_tls_that_checks_less_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"tlsInsecure", "tlsAllowInvalidCertificates",
                                        "tlsAllowInvalidHostnames", "tlsDisableOCSPEndpointCheck",
                                        "tlsDisableCertificateRevocationCheck"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char uri[128];
        lh_store *store = NULL;
        lh_store_options o = good();
        o.uri = uri;
        (void)snprintf(uri, sizeof uri, "mongodb://127.0.0.1:9/?tls=true&%s=true", names[i]);
        expect_refused(&o, LH_CONFIG, names[i]);
        expect_refused(&o, LH_CONFIG, "allow_insecure_tls");
        o.allow_insecure_tls = true;
        assert_int_equal(lh_store_open(&o, &store, NULL), LH_OK);
        lh_store_close(store);
        o.allow_insecure_tls = false;
        (void)snprintf(uri, sizeof uri, "mongodb://127.0.0.1:9/?tls=true&%s=false", names[i]);
        assert_int_equal(lh_store_open(&o, &store, NULL), LH_OK);
        lh_store_close(store);
    }
}

static void test_likely_faults_are_named(void **state)
{
    (void)state;
    static const char *const faults[][2] = {
        {"localhost:27017", "begin with mongodb://"},
        {"mongodb://", "no host"},
        {"mongodb://a:p@ss@host/", "%40"},
        {"mongodb://a:p/ss@host/", "percent-encoded"},
        {"mongodb://a:50%@host/", "%25"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        lh_store_options o = good();
        o.uri = faults[i][0];
        expect_refused(&o, LH_CONFIG, faults[i][1]);
    }
}

static int never(void *arg, const lh_record *record)
{
    (void)arg;
    (void)record;
    return 1;
}

static void test_null_is_taken_where_it_is_documented(void **state)
{
    (void)state;
    lh_error error = LH_ERROR_INIT;
    lh_lease *lease = NULL;
    lh_record *record = NULL;
    lh_store_close(NULL);
    lh_lease_free(NULL);
    lh_record_free(NULL);
    lh_string_free(NULL);
    expect_fails(LH_INVALID, lh_acquire(NULL, "k", NULL, &lease, NULL, &error), &error, "store");
    expect_fails(LH_INVALID, lh_status(NULL, "k", &record, &error), &error, "store");
    expect_fails(LH_INVALID, lh_list(NULL, NULL, never, NULL, &error), &error, "store");
    expect_fails(LH_INVALID, lh_cleanup(NULL, NULL, NULL, &error), &error, "store");
    expect_fails(LH_INVALID, lh_migrate(NULL, NULL, NULL, &error), &error, "store");
    expect_fails(LH_INVALID, lh_lease_renew(NULL, 0, NULL, &error), &error, "lease");
    expect_fails(LH_INVALID, lh_lease_release(NULL, &error), &error, "lease");
    expect_fails(LH_INVALID, lh_lease_attach(NULL, "k", "x", &lease, &error), &error, "store");
    /* error may be NULL */
    assert_int_equal(lh_acquire(NULL, "k", NULL, &lease, NULL, NULL), LH_INVALID);
    assert_null(lease);
    assert_null(record);
}

static int no_finding(void *arg, const lh_finding *finding)
{
    (void)arg, (void)finding;
    return 1;
}

static void test_bad_options_of_other_calls_are_refused_without_a_server(void **state)
{
    (void)state;
    lh_store_options o = good();
    lh_store *store = NULL;
    lh_error error = LH_ERROR_INIT;
    assert_int_equal(lh_store_open(&o, &store, &error), LH_OK);
    char long_name[LH_OWNER_MAX + 2];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    lh_stats_report *report = NULL;
    lh_stats_options stats = LH_STATS_OPTIONS_INIT;
    stats.timeout_ms = 99;
    expect_fails(LH_INVALID, lh_stats(store, &stats, &report, &error), &error, "timeout_ms");
    assert_null(report);
    lh_migrate_options migrate = LH_MIGRATE_OPTIONS_INIT;
    migrate.timeout_ms = -1;
    expect_fails(LH_INVALID, lh_migrate(store, &migrate, NULL, &error), &error, "timeout_ms");
    migrate = (lh_migrate_options)LH_MIGRATE_OPTIONS_INIT;
    migrate.audit_keep_ms = 999;
    expect_fails(LH_INVALID, lh_migrate(store, &migrate, NULL, &error), &error, "audit_keep_ms");
    lh_reap_options reap = LH_REAP_OPTIONS_INIT;
    reap.by = long_name;
    expect_fails(LH_INVALID, lh_reap(store, &reap, NULL, NULL, NULL, &error), &error,
                 "name of the operator");
    lh_doctor_options doctor = LH_DOCTOR_OPTIONS_INIT;
    expect_fails(LH_INVALID, lh_doctor(store, &doctor, NULL, NULL, &error), &error, "each");
    doctor.role = 99;
    expect_fails(LH_INVALID, lh_doctor(store, &doctor, no_finding, NULL, &error), &error, "role");
    lh_lease *lease = NULL;
    expect_fails(LH_INVALID, lh_waiting_finish(NULL, &lease, NULL, &error), &error, "waiting");
    char id[LH_LEASE_ID_LEN + 1];
    expect_fails(LH_INVALID, lh_lease_transfer(NULL, "bob", id, &error), &error, "lease");
    lh_store_close(store);
}

static void test_bad_arguments_of_calls_are_refused_without_a_server(void **state)
{
    (void)state;
    lh_store_options o = good();
    lh_store *store = NULL;
    lh_error error = LH_ERROR_INIT;
    assert_int_equal(lh_store_open(&o, &store, &error), LH_OK);
    char long_text[LH_TEXT_MAX + 2];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    lh_lease *lease = NULL;
    static const int64_t ttls[] = {0, 999, -1, LH_TTL_MAX_MS + 1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof ttls / sizeof *ttls; i++) {
        lh_acquire_options a = LH_ACQUIRE_OPTIONS_INIT;
        a.ttl_ms = ttls[i];
        expect_fails(LH_INVALID, lh_acquire(store, "k", &a, &lease, NULL, &error), &error,
                     "ttl_ms");
    }
    lh_acquire_options a;
#define REFUSE(field, value, says)                                                                 \
    a = (lh_acquire_options)LH_ACQUIRE_OPTIONS_INIT;                                               \
    a.field = (value);                                                                             \
    expect_fails(LH_INVALID, lh_acquire(store, "k", &a, &lease, NULL, &error), &error, says)
    REFUSE(mode, 2, "mode");
    REFUSE(mode, -1, "mode");
    REFUSE(timeout_ms, -1, "timeout_ms");
    REFUSE(wait_ms, -1, "wait_ms");
    REFUSE(claim_ms, 999, "claim_ms");
    REFUSE(claim_ms, 60001, "claim_ms");
    REFUSE(owner, "", "owner");
    REFUSE(owner, long_text, "owner");
    REFUSE(owner, "a\tb", "owner");
    REFUSE(owner, "\xc3", "owner");
    REFUSE(purpose, long_text, "purpose");
    REFUSE(purpose, "\x01", "purpose");
    REFUSE(lease_id, "mine", "lease id");
    REFUSE(lease_id, "", "lease id");
#undef REFUSE
    static const char *const keys[] = {NULL, "", "a\nb", "\xff", "\xc2\x85"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        lh_record *record = NULL;
        expect_fails(LH_INVALID, lh_acquire(store, keys[i], NULL, &lease, NULL, &error), &error,
                     "key");
        expect_fails(LH_INVALID, lh_status(store, keys[i], &record, &error), &error, "key");
        expect_fails(
            LH_INVALID,
            lh_lease_attach(store, keys[i], "0123456789abcdef0123456789abcdef", &lease, &error),
            &error, "key");
    }
    assert_null(lease);
    lh_store_close(store);
}

/* ---- Callbacks, and what is untouched ---------------------------------------------------------*/

static void count(void *arg)
{
    ++*(int *)arg;
}

static void test_a_closure_is_freed_once_on_every_outcome(void **state)
{
    (void)state;
    int freed = 0;
    lh_store *store = NULL;
    lh_store_options o = good();
    o.on_lost_arg = &freed;
    o.on_lost_free = count;
    o.timeout_ms = 1;
    assert_int_equal(lh_store_open(&o, &store, NULL), LH_INVALID);
    assert_int_equal(freed, 1);
    o = good();
    o.on_lost_arg = &freed;
    o.on_lost_free = count;
    o.uri = "mongodb://";
    assert_int_equal(lh_store_open(&o, &store, NULL), LH_CONFIG);
    assert_int_equal(freed, 2);
    o.rollout = LH_OFF;
    o.uri = NULL;
    lh_lease *lease = NULL;
    assert_int_equal(lh_store_open(&o, &store, NULL), LH_OK);
    assert_int_equal(lh_acquire(store, "k", NULL, &lease, NULL, NULL), LH_OK);
    assert_int_equal(freed, 2);
    lh_store_close(store); /* although a handle is left */
    assert_int_equal(freed, 3);
    lh_lease_free(lease);
    assert_int_equal(freed, 3);
    o.size = 1; /* not read */
    assert_int_equal(lh_store_open(&o, &store, NULL), LH_INVALID);
    assert_int_equal(freed, 3);

    int logs_freed = 0;
    o = good();
    o.log_arg = &logs_freed;
    o.log_free = count;
    o.log_level = LH_LEVEL_DEBUG + 1;
    assert_int_equal(lh_store_open(&o, &store, NULL), LH_INVALID);
    assert_int_equal(logs_freed, 1);
    o.log_level = LH_LEVEL_DEBUG;
    assert_int_equal(lh_store_open(&o, &store, NULL), LH_OK);
    assert_int_equal(logs_freed, 1);
    lh_store_close(store);
    assert_int_equal(logs_freed, 2);

    lh_driver_log(NULL, &freed, count);
    assert_int_equal(freed, 3);
    lh_driver_log(NULL, NULL, NULL);
    assert_int_equal(freed, 4);
    lh_driver_log(NULL, NULL, NULL);
    assert_int_equal(freed, 4);
}

static void test_outputs_are_untouched_unless_the_header_names_the_outcome(void **state)
{
    (void)state;
    lh_store *store = NULL;
    lh_store_options o = good();
    o.rollout = LH_OFF;
    assert_int_equal(lh_store_open(&o, &store, NULL), LH_OK);
    lh_lease *lease = NULL;
    assert_int_equal(lh_acquire(store, "k", NULL, &lease, NULL, NULL), LH_OK);
    lh_record *record = (lh_record *)&record;
    const lh_note *note = (const lh_note *)&note;
    assert_int_equal(lh_lease_renew(lease, 1, &record, NULL), LH_INVALID);
    assert_int_equal(lh_lease_renew(lease, 0, &record, NULL), LH_OK);
    lh_store_close(store);
    assert_int_equal(lh_lease_renew(lease, 0, &record, NULL), LH_INVALID);
    assert_int_equal(lh_lease_note(lease, &note, NULL), LH_INVALID);
    assert_ptr_equal(record, &record);
    assert_ptr_equal(note, &note);
    lh_lease_free(lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_missing_options),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_weak_write_concerns_are_refused),
        cmocka_unit_test(test_uris_that_do_not_parse_never_show_the_password),
        cmocka_unit_test(test_tls_that_checks_less_is_refused),
        cmocka_unit_test(test_likely_faults_are_named),
        cmocka_unit_test(test_null_is_taken_where_it_is_documented),
        cmocka_unit_test(test_bad_arguments_of_calls_are_refused_without_a_server),
        cmocka_unit_test(test_bad_options_of_other_calls_are_refused_without_a_server),
        cmocka_unit_test(test_a_closure_is_freed_once_on_every_outcome),
        cmocka_unit_test(test_outputs_are_untouched_unless_the_header_names_the_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

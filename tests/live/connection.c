/* SPDX-License-Identifier: Apache-2.0
 * Connection strings that are not those of the deployment: of another set, of one member, with
 * options that commands cannot bear. Each ends soon, with what is wrong, and no crash. */
#include "live.h"

static lh_store *open_uri(ground *g, const char *uri)
{
    lh_store_options options = store_options(g);
    options.uri = uri;
    options.at_open = LH_AT_OPEN_NOTHING;
    options.timeout_ms = 3000;
    return open_store_with(g, &options);
}

/* The outcome of a first call. */
static int ask(ground *g, const char *uri)
{
    lh_store *store = open_uri(g, uri);
    lh_record *record = NULL;
    int outcome = lh_status(store, "k", &record, &g->error);
    lh_record_free(record);
    close_later(store);
    return outcome;
}

/* "mongodb://host:port" of the first host, and of the first that is no primary ("" on a
 * standalone). */
static void find_hosts(ground *g, char first[128], char secondary[128])
{
    bson_t *hello = run_command(g, "admin", json("{'hello': 1}"));
    assert_non_null(hello);
    const char *primary = text_at(hello, "primary"), *others[] = {"hosts.0", "hosts.1"};
    (void)snprintf(first, 128, "%.*s", (int)strcspn(g->uri + 10, ",/?") + 10, g->uri);
    *secondary = '\0';
    for (size_t i = 0; g->set && i < 2; i++)
        if (strcmp(text_at(hello, others[i]), primary) != 0)
            (void)snprintf(secondary, 128, "mongodb://%s", text_at(hello, others[i]));
    bson_destroy(hello);
}

static void test_a_set_that_is_another_one_is_named_at_once(void **state)
{
    ground *g = *state;
    char uri[512], first[128], secondary[128];
    find_hosts(g, first, secondary);
    (void)snprintf(uri, sizeof uri, "%.*s/?replicaSet=nope", (int)strcspn(g->uri + 10, "/?") + 10,
                   g->uri);
    for (int i = 0; i < 2; i++) {
        int64_t start = now_ms();
        expect(g, LH_CONFIG, ask(g, uri));
        expect_says(g, "replicaSet=nope");
        expect_says(g, g->set ? "write replicaSet=" : "standalone");
        /* less than half of the timeout */
        assert_in_range(now_ms() - start, 0, 1400);
        (void)snprintf(uri, sizeof uri, "%s/?replicaSet=nope", first); /* one host */
    }
    /* A host that does not answer hides it for as long as it is waited for, and no longer. */
    (void)snprintf(uri, sizeof uri, "%s,127.0.0.1:1/?replicaSet=nope", first);
    expect(g, LH_CONFIG, ask(g, uri));
    expect_says(g, "replicaSet=nope");
}

static void test_one_member_that_is_no_primary_is_refused(void **state)
{
    ground *g = *state;
    char uri[256], first[128], secondary[128];
    find_hosts(g, first, secondary);
    if (!g->set)
        return;
    static const char *const ways[] = {"/", "/?directConnection=true"};
    for (size_t i = 0; i < 2; i++) {
        int64_t start = now_ms();
        (void)snprintf(uri, sizeof uri, "%s%s", secondary, ways[i]);
        expect(g, LH_CONFIG, ask(g, uri));
        expect_says(g, "does not follow elections");
        assert_in_range(now_ms() - start, 0, 1400);
        /* What the sentence says to write works. */
        const char *advice = strstr(g->error.message, "mongodb://");
        (void)snprintf(uri, sizeof uri, "%.*s", (int)strcspn(advice, " "), advice);
        expect(g, LH_OK, ask(g, uri));
    }
    (void)snprintf(uri, sizeof uri, "%s/?directConnection=false", secondary); /* finds the others */
    expect(g, LH_OK, ask(g, uri));
}

static int note(void *arg, const lh_finding *finding)
{
    char *found = arg;
    size_t len = strlen(found);
    (void)snprintf(found + len, 4096 - len, "%s: %s | %s\n", finding->id, finding->what,
                   finding->what_to_do);
    return 0;
}

static void examine(ground *g, const char *uri, char found[4096])
{
    *found = '\0';
    lh_store *store = open_uri(g, uri);
    expect(g, LH_OK, lh_doctor(store, NULL, note, found, &g->error));
    close_later(store);
}

static void test_the_doctor_tells_of_a_connection_string_that_follows_no_election(void **state)
{
    ground *g = *state;
    char uri[512], found[4096], primary[128];
    bson_t *hello = run_command(g, "admin", json("{'hello': 1}"));
    (void)snprintf(primary, sizeof primary, "%s", g->set ? text_at(hello, "primary") : "");
    bson_destroy(hello);
    examine(g, g->uri, found);
    assert_null(strstr(found, "uri_"));
    if (!g->set)
        return;
    static const char *const ways[] = {"/", "/?directConnection=true"};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(uri, sizeof uri, "mongodb://%s%s", primary, ways[i]);
        examine(g, uri, found);
        assert_non_null(strstr(found, "uri_follows_no_election"));
        assert_null(strstr(found, "member_down"));
        const char *advice = strstr(found, "mongodb://");
        assert_non_null(advice);
        (void)snprintf(uri, sizeof uri, "%.*s", (int)strcspn(advice, " \n"), advice);
        examine(g, uri, found);
        assert_null(strstr(found, "uri_"));
    }
    (void)snprintf(uri, sizeof uri, "mongodb://%s/?directConnection=false&tmeoutMS=5", primary);
    examine(g, uri, found);
    assert_non_null(strstr(found, "uri_names_one_member"));
    assert_non_null(strstr(found, "uri_option: the connection string has the option tmeoutMS"));
}

/* Whatever the URI says of concerns and preferences, each command has its own. */
static void test_overridden_options_stop_no_command(void **state)
{
    ground *g = *state;
    static const char *const options[] = {
        "readConcernLevel=local",      "readConcernLevel=majority",
        "readConcernLevel=available",  "readConcernLevel=linearizable",
        "readConcernLevel=snapshot",   "readConcernLevel=whatever",
        "readPreference=secondary",    "minPoolSize=5&maxPoolSize=1",
        "serverSelectionTryOnce=true", "retryWrites=true",
        "w=majority&journal=true",     "readPreference=secondary&readPreferenceTags=a:b",
    };
    char uri[512], found[4096];
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        (void)snprintf(uri, sizeof uri, "%s%s%s", g->uri, strchr(g->uri, '?') ? "&" : "?",
                       options[i]);
        lh_store *store = open_uri(g, uri);
        lh_lease *lease = NULL;
        lh_acquire_options acquire = LH_ACQUIRE_OPTIONS_INIT;
        acquire.by_hand = true;
        expect(g, LH_OK, lh_acquire(store, "k", &acquire, &lease, NULL, &g->error));
        expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
        expect(g, LH_OK, lh_lease_release(lease, &g->error));
        lh_lease_free(lease);
        if (i < 6 && i % 2 == 0) { /* the commands that carry no concern */
            *found = '\0';
            expect(g, LH_OK, lh_doctor(store, NULL, note, found, &g->error));
            expect(g, LH_OK, lh_migrate(store, NULL, NULL, &g->error));
        }
        close_later(store);
    }
}

/* On a server that answers the driver begins the login with its first hello: there it crashed. */
static void test_no_login_crashes_the_driver(void **state)
{
    ground *g = *state;
    static const char *const mechanisms[] = {
        "", "SCRAM-SHA-1", "SCRAM-SHA-256", "MONGODB-X509", "GSSAPI", "PLAIN", "MONGODB-AWS"};
    static const char *const users[] = {"", "u@", "u:p@"};
    static const char *const more[] = {"", "&authSource=$external",
                                       "&tlsCertificateKeyFilePassword=x"};
    char uri[512], first[128], secondary[128];
    if (g->set) /* is the same there */
        return;
    find_hosts(g, first, secondary);
    size_t asked = 0;
    for (size_t m = 0; m < sizeof mechanisms / sizeof *mechanisms; m++)
        for (size_t u = 0; u < sizeof users / sizeof *users; u++)
            for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
                (void)snprintf(uri, sizeof uri, "mongodb://%s%s/?directConnection=true%s%s%s",
                               users[u], first + 10, m > 0 ? "&authMechanism=" : "", mechanisms[m],
                               more[i]);
                lh_store_options options = store_options(g);
                options.uri = uri;
                options.at_open = LH_AT_OPEN_NOTHING;
                options.timeout_ms = 100;
                lh_store *store = NULL;
                if (lh_store_open(&options, &store, &g->error) != LH_OK)
                    continue;
                lh_record *record = NULL;
                (void)lh_status(store, "k", &record, &g->error);
                lh_record_free(record);
                close_later(store);
                asked++;
            }
    assert_in_range(asked, 8, 40);
}

int main(void)
{
    lh_driver_log(NULL, NULL, NULL);
    const struct CMUnitTest tests[] = {
        live_test(test_a_set_that_is_another_one_is_named_at_once),
        live_test(test_one_member_that_is_no_primary_is_refused),
        live_test(test_the_doctor_tells_of_a_connection_string_that_follows_no_election),
        live_test(test_overridden_options_stop_no_command),
        live_test(test_no_login_crashes_the_driver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Connection strings: what of each option becomes; what is refused before the driver sees it; that
 * nothing is lost in silence. No server is contacted. */
#include "unit.h"

#include "store/store_uri_options.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static lh_store *open_uri(const char *uri, lh_error *error)
{
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = uri;
    options.at_open = LH_AT_OPEN_NOTHING;
    lh_store *store = NULL;
    *error = (lh_error)LH_ERROR_INIT;
    int outcome = lh_store_open(&options, &store, error);
    assert_true((outcome == LH_OK) == (store != NULL));
    return store;
}

/* The outcome: LH_OK, with "" or the first warning; or LH_CONFIG with its sentence. */
static int judge(const char *uri, char sentence[512])
{
    lh_error error = LH_ERROR_INIT;
    lh_store *store = open_uri(uri, &error);
    const char *warning = lh_store_warning(store, 0);
    (void)snprintf(sentence, 512, "%s", store ? (warning ? warning : "") : error.message);
    assert_null(lh_store_warning(store, 99));
    lh_store_close(store);
    return store ? LH_OK : error.code;
}

static void expect_judged(const char *uri, int outcome, const char *says)
{
    char sentence[512];
    int got = judge(uri, sentence);
    if (got != outcome || (*says ? !strstr(sentence, says) : *sentence))
        fail_msg("%s: %s, not %s with \"%s\": %s", uri, lh_outcome_word(got),
                 lh_outcome_word(outcome), says, sentence);
}

/* {what stands before the host, the options, a part of the sentence} */
typedef struct {
    const char *user, *options, *says;
} example;

static void expect_all(const example *examples, size_t n, int outcome)
{
    char uri[512];
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(uri, sizeof uri, "mongodb://%s127.0.0.1:9/%s", examples[i].user,
                       examples[i].options);
        expect_judged(uri, outcome, examples[i].says);
    }
}

static void test_what_is_fine_is_taken_without_a_word(void **state)
{
    (void)state;
    static const example fine[] = {
        {"", "", ""},
        {"", "?", ""},
        {"", "?tls=true", ""},
        {"", "?TLS=true&REPLICASET=a", ""},
        {"", "?ssl=true&tls=true", ""},
        {"", "?w=majority&journal=true", ""},
        {"", "?directConnection=true", ""},
        {"", "?loadBalanced=false", ""},
        {"", "?compressors=zlib,snappy&zlibCompressionLevel=9", ""},
        {"",
         "?readPreference=secondary&readPreferenceTags=dc:ny,rack:1&readPreferenceTags=dc:ny&"
         "maxStalenessSeconds=120",
         ""},
        {"", "?readConcernLevel=linearizable", ""},
        {"", "?readConcernLevel=whatever", ""},
        {"", "?retryWrites=true&retryReads=false&maxPoolSize=1&minPoolSize=5&wTimeoutMS=1", ""},
        {"", "?maxConnecting=1&serverMonitoringMode=poll&timeoutMS=5&maxAdaptiveRetries=2", ""},
        {"", "?slaveOk=true&localThresholdMS=1&maxIdleTimeMS=5&appName=billing", ""},
        {"u:p@", "?authSource=admin", ""},
        {"u:p@", "?authMechanism=SCRAM-SHA-256&authSource=users", ""},
        {"u:p@", "?authMechanism=PLAIN&authSource=$external", ""},
        {"u%40REALM@",
         "?authMechanism=GSSAPI&authMechanismProperties=SERVICE_NAME:db,CANONICALIZE_HOST_NAME:"
         "true",
         ""},
        {"u:p@", "?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:abc%2C", ""},
        {"", "?authMechanism=MONGODB-AWS", ""},
        {"u:p%20q%0A@", "", ""}, /* a password may be anything */
    };
    expect_all(fine, COUNT(fine), LH_OK);
}

static void test_what_has_no_effect_is_said(void **state)
{
    (void)state;
    static const example said[] = {
        {"", "?foo=bar", "foo"},
        {"", "?fsync=ifPossible", "fsync"},
        {"", "?wtimeout=5", "wTimeoutMS"},
        {"", "?replicaSett=rs", "replicaSet"},
        {"", "?apName=x", "appName"},
        {"", "?retrywrite=true", "retryWrites"},
        {"", "?conectTimeoutMS=5", "connectTimeoutMS"},
        {"", "?connectTimeoutMS=-2", "below 0"},
        {"", "?socketTimeoutMS=-2", "below 0"},
        {"", "?serverSelectionTimeoutMS=-1", "below 0"},
        {"", "?waitQueueTimeoutMS=-9", "below 0"},
        {"", "?journal=", "journal without a value"},
        {"", "?w=", "w without a value"},
        {"", "?maxIdleTimeMS=", "maxIdleTimeMS without a value"},
        {"", "?compressors=zlib,nonsense", "1 of the compressors"},
        {"", "?compressors=nonsense,more", "2 of the compressors"},
        {"", "?replicaSet=a&replicaSet=a", "replicaSet twice"},
        {"", "?connectTimeoutMS=100&connectTimeoutMS=200", "different values"},
        {"", "?j=false", "the option j,"},
        {"", "?uuidRepresentation=standard", "uuidRepresentation"},
        {"", "?a%20b=c", "not printed"},
        /* the rest of the password */
        {"", "?tls=true&tlsCertificateKeyFilePassword=a&c4n4ry=x", "not printed"},
        {"", "?=b", "not printed"},
    };
    expect_all(said, COUNT(said), LH_OK);
}

static void test_what_is_odd_about_security_is_refused(void **state)
{
    (void)state;
    static const example refused[] = {
        {"", "?tsl=true", "tls"},
        {"", "?tlss=true", "tls"},
        {"", "?tl=true", "tls"},
        {"", "?sls=true", "may be about security"},
        {"", "?sssl=true", "ssl"},
        {"", "?TSL=true", "tls"},
        {"", "?t%6Cs=true", "may be about security"},
        {"", "?tls%20=true", "may be about security"},
        {"", "? tls=true", "may be about security"},
        {"", "?tlsCaFiel=/x", "tlsCAFile"},
        {"", "?tlsCertifcateKeyFile=/x", "tlsCertificateKeyFile"},
        {"", "?tlsCRLFile=/x", "tlsCRLFile"},
        {"", "?ssl_cert_reqs=CERT_NONE", "ssl_cert_reqs"},
        {"", "?sslPEMKeyFile=/x", "security"},
        {"", "?atuhMechanism=PLAIN", "authMechanism"},
        {"", "?authmechanisms=PLAIN", "authMechanism"},
        {"", "?auhtSource=admin", "authSource"},
        {"", "?authDatabase=admin", "security"},
        {"", "?gssapiHostName=x", "security"},
        {"", "?proxyHost=x", "proxyHost"},
        {"", "?proxyHostt=x", "security"},
        {"", "?tls=true&tls=false", "tls twice"},
        {"", "?tls=false&tls=true", "tls twice"},
        {"", "?ssl=true&tls=false", "twice"},
        {"", "?tls=true&SSL=false", "twice"},
        {"", "?tlsCAFile=/a&tlsCAFile=/b", "tlsCAFile twice"},
        {"", "?tlsCAFile=/a&sslCertificateAuthorityFile=/b", "twice"},
        {"u:p@", "?authSource=a&authSource=b", "authSource twice"},
        {"", "?tls=", "tls without a value"},
        {"", "?ssl=", "ssl without a value"},
        {"", "?tlsCAFile=", "tlsCAFile without a value"},
        {"u:p@", "?authSource=", "authSource without a value"},
        {"u:p@", "?authMechanism=", "authMechanism without a value"},
        {"", "?tls", "tls without a value"},
        {"", "?tls=true&c4n4ry", "an option without a value"},
        {"", "?tls=maybe", "the value of tls"},
        {"", "?tlsInsecure=maybe", "the value of tlsInsecure"},
        {"", "?tls=true%0A", "the value of tls"},
        {"", "?loadBalanced=true", "loadBalanced"},
        {"", "?safe=true", "weaker"},
        {"", "?connectTimeoutMS=soon", "the value of connectTimeoutMS"},
        {"", "?tls=true;replicaSet=rs", "the value of tls"},
    };
    expect_all(refused, COUNT(refused), LH_CONFIG);
}

static void test_logins_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const example refused[] = {
        /* the driver reads a NULL for it, in a thread of its own */
        {"", "?authMechanism=MONGODB-X509", "no TLS"},
        {"CN=me@", "?authMechanism=MONGODB-X509", "no TLS"},
        {"", "?authMechanism=MONGODB-X509&authSource=$external", "no TLS"},
        {"", "?authMechanism=MONGODB-X509&tls=false", "no TLS"},
        {"", "?authMechanism=MONGODB-X509&ssl=false", "no TLS"},
        {"", "?authMechanism=MONGODB-X509&tls=true", "no certificate"},
        {"", "?authMechanism=MONGODB-X509&tlsCertificateKeyFilePassword=x", "no certificate"},
        {"u:p@", "?authMechanism=MONGODB-X509&tls=true", "password"},
        {"u:@", "?authMechanism=MONGODB-X509&tls=true", "password"},
        {"", "?authMechanism=MONGODB-X509&authSource=users", "$external"},
        {"", "?authMechanism=mongodb-x509", "does not exist"},
        {"", "?authMechanism=X509", "does not exist"},
        {"u:p@", "?authMechanism=MONGODB-CR", "4.0"},
        {"", "?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:test",
         "MONGODB-OIDC"},
        {"", "?authMechanism=SCRAM-SHA-1", "no user"},
        {"", "?authMechanism=SCRAM-SHA-256", "no user"},
        {"", "?authMechanism=PLAIN", "no user"},
        {"", "?authMechanism=GSSAPI", "no user"},
        {"u@", "?authMechanism=SCRAM-SHA-256", "no password"},
        {"u@", "?authMechanism=PLAIN", "no password"},
        {"u@", "", "no password"},
        {"u:p@", "?authSource=$external", "where no passwords are kept"},
        {"u:p@", "?authMechanism=SCRAM-SHA-1&authSource=$external", "where no passwords are kept"},
        {"u@", "?authMechanism=GSSAPI&authSource=users", "$external"},
        {"u@", "?authMechanism=GSSAPI&authMechanismProperties=CANONICALIZE_HOST_NAME:forward",
         "true or false"},
        {"u@", "?authMechanism=GSSAPI&authMechanismProperties=SERVICE_HOST:x", "SERVICE_NAME"},
        {"u@", "?authMechanism=GSSAPI&authMechanismProperties=SERVICE_NAME", "KEY:VALUE"},
        {"u@", "?authMechanism=GSSAPI&authMechanismProperties=SERVICE_NAME:", "KEY:VALUE"},
        {"u@", "?authMechanism=GSSAPI&authMechanismProperties=c4n4ry:x", "SERVICE_NAME"},
        {"u:p@", "?authMechanismProperties=SERVICE_NAME:x", "only for authMechanism=GSSAPI"},
        {"u@", "?authMechanism=MONGODB-AWS", "neither"},
        {"u:p@", "?authMechanism=MONGODB-AWS&authSource=users", "$external"},
        {"", "?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:c4n4ry",
         "session token"},
        {"@", "", "no user"},
        {":@", "", "no user"},
        {":p@", "", "no user"},
        {":p@", "?authMechanism=PLAIN", "no user"},
        {"u%0A:p@", "", "user in the connection string"},
    };
    expect_all(refused, COUNT(refused), LH_CONFIG);
}

/* Every login with everything beside it: no crash, and no value in a sentence. */
static void test_all_logins_are_judged(void **state)
{
    (void)state;
    static const char *const mechanisms[] = {
        "",      "SCRAM-SHA-1", "SCRAM-SHA-256", "MONGODB-X509", "GSSAPI",
        "PLAIN", "MONGODB-AWS", "MONGODB-CR",    "MONGODB-OIDC", "c4n4ry"};
    static const char *const users[] = {"", "u@", "u:@", "u:c4n4ry@", "@", ":@", ":c4n4ry@"};
    static const char *const more[] = {"",
                                       "&authSource=",
                                       "&authSource=$external",
                                       "&authSource=c4n4ry",
                                       "&tls=true",
                                       "&tls=true&tlsCertificateKeyFile=/dev/null",
                                       "&tlsCertificateKeyFilePassword=c4n4ry",
                                       "&authMechanismProperties=c4n4ry",
                                       "&authMechanismProperties=AWS_SESSION_TOKEN:c4n4ry"};
    char uri[256], sentence[512];
    for (size_t m = 0; m < COUNT(mechanisms); m++)
        for (size_t u = 0; u < COUNT(users); u++)
            for (size_t i = 0; i < COUNT(more); i++) {
                (void)snprintf(uri, sizeof uri, "mongodb://%s127.0.0.1:9/?w=majority%s%s%s",
                               users[u], m > 0 ? "&authMechanism=" : "", mechanisms[m], more[i]);
                int outcome = judge(uri, sentence);
                if ((outcome != LH_OK && outcome != LH_CONFIG) || strstr(sentence, "c4n4ry"))
                    fail_msg("%s: %s: %s", uri, lh_outcome_word(outcome), sentence);
            }
}

static void test_names_in_a_connection_string(void **state)
{
    (void)state;
    static const char *const names[] = {"appName", "replicaSet", "authSource", "srvServiceName",
                                        "authMechanism"};
    static const char *const ends[] = {"%0A",       "%0D%0A",    "%20", "%09", "%C2%A0",
                                       "%E2%80%8B", "%EF%BB%BF", "%07", "%ff", " "};
    char uri[256];
    for (size_t n = 0; n < COUNT(names); n++)
        for (size_t i = 0; i < COUNT(ends); i++) {
            (void)snprintf(uri, sizeof uri, "mongodb://u:p@127.0.0.1:9/?%s=rs%s&w=majority",
                           names[n], ends[i]);
            expect_judged(uri, LH_CONFIG, names[n]);
            (void)snprintf(uri, sizeof uri, "mongodb://u:p@127.0.0.1:9/?%s=r%ss", names[n],
                           ends[i]);
            expect_judged(uri, LH_CONFIG, names[n]);
        }
    for (size_t i = 0; i < COUNT(ends); i++) {
        (void)snprintf(uri, sizeof uri, "mongodb://a.b%s,c.d/", ends[i]);
        expect_judged(uri, LH_CONFIG, "host in the connection string");
    }
    expect_judged("mongodb://%2Ftmp%2Fa b%2Fmongodb.sock/", LH_OK, ""); /* a path may have blanks */
    expect_judged("mongodb://127.0.0.1:9/a%00b", LH_CONFIG, "%00");
}

/* Each option with a value: taken, or said, or refused, as the table says. */
static void test_the_table_holds(void **state)
{
    (void)state;
    const lh_uri_option *option;
    char uri[256], sentence[512];
    for (size_t i = 0; (option = lh_uri_option_at(i)); i++) {
        const lh_uri_option *next = lh_uri_option_at(i + 1);
        assert_true(!next || strcasecmp(option->name, next->name) < 0);
        if (strncmp(option->name, "srv", 3) == 0)
            continue; /* a name service would be asked */
        (void)snprintf(uri, sizeof uri, "mongodb://127.0.0.1:9/?%s=true", option->name);
        int outcome = judge(uri, sentence);
        if (option->treatment == LH_URI_REFUSED)
            assert_int_equal(outcome, LH_CONFIG);
        else if (!strstr(sentence, option->name) && !strstr(sentence, "write concern") &&
                 !strstr(sentence, "cannot be read") && (outcome != LH_OK || *sentence))
            /* else it has its effect, or another counts by design */
            fail_msg("%s: %s", uri, sentence);
        assert_true(option->treatment == LH_URI_HONOURED || *option->why);
    }
}

/* leasehold-connection(7) has the table: the same options, treatments and reasons, in order. */
static void test_the_manual_page_is_the_table(void **state)
{
    (void)state;
    FILE *page = fopen(MANUAL, "r");
    assert_non_null(page);
    static char text[65536];
    text[fread(text, 1, sizeof text - 1, page)] = '\0';
    (void)fclose(page);
    const char *at = strstr(text, "\n# OPTIONS\n"), *end = at ? strstr(at + 1, "\n# ") : NULL;
    assert_true(at && end);
    const lh_uri_option *option;
    size_t n = 0, listed = 0;
    for (; (option = lh_uri_option_at(n)); n++) {
        char entry[512];
        (void)snprintf(entry, sizeof entry, "\n*%s*\n\t%s%s%s\n", option->name,
                       lh_uri_treatment_word(option->treatment), *option->why ? ": " : "",
                       option->why);
        const char *found = strstr(at, entry);
        if (!found || found > end)
            fail_msg("not in its place in %s:%s", MANUAL, entry);
        at = found;
    }
    for (at = strstr(text, "\n# OPTIONS\n"); (at = strstr(at + 1, "\n*")) && at < end;)
        listed++;
    assert_int_equal(listed, n);
}

int main(void)
{
    lh_driver_log(NULL, NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_fine_is_taken_without_a_word),
        cmocka_unit_test(test_what_has_no_effect_is_said),
        cmocka_unit_test(test_what_is_odd_about_security_is_refused),
        cmocka_unit_test(test_logins_that_cannot_be_are_refused),
        cmocka_unit_test(test_all_logins_are_judged),
        cmocka_unit_test(test_names_in_a_connection_string),
        cmocka_unit_test(test_the_table_holds),
        cmocka_unit_test(test_the_manual_page_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

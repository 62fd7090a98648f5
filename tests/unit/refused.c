/* SPDX-License-Identifier: Apache-2.0
 * What the server's error codes mean, and the sentences for what it refuses. */
#include "unit.h"

#include <mongoc/mongoc.h>

#include "store/store_refused.h"
#include "store/store_unanswered.h"

static void test_what_may_pass_by_itself_is_no_refusal(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        lh_code_kind kind;
    } known[] = {
        {13, LH_CODE_DENIED},       {18, LH_CODE_DENIED},     {24, LH_CODE_NOT_RUN},
        {43, LH_CODE_REFUSED},      {50, LH_CODE_NOT_RUN},    {112, LH_CODE_NOT_RUN},
        {133, LH_CODE_NOT_RUN},     {134, LH_CODE_NOT_RUN},   {175, LH_CODE_NOT_RUN},
        {187, LH_CODE_NOT_RUN},     {215, LH_CODE_NOT_RUN},   {237, LH_CODE_REFUSED},
        {246, LH_CODE_REFUSED},     {262, LH_CODE_NOT_RUN},   {365, LH_CODE_NOT_RUN},
        {462, LH_CODE_NOT_RUN},     {10107, LH_CODE_NOT_RUN}, {13435, LH_CODE_NOT_RUN},
        {117, LH_CODE_LATER},       {285, LH_CODE_LATER},     {12587, LH_CODE_LATER},
        {6, LH_CODE_OPEN},          {91, LH_CODE_OPEN},       {189, LH_CODE_OPEN},
        {11600, LH_CODE_OPEN},      {11602, LH_CODE_OPEN},    {46841, LH_CODE_OPEN},
        {1, LH_CODE_REFUSED},       {2, LH_CODE_REFUSED},     {9, LH_CODE_REFUSED},
        {26, LH_CODE_REFUSED},      {59, LH_CODE_REFUSED},    {72, LH_CODE_REFUSED},
        {115, LH_CODE_REFUSED},     {121, LH_CODE_REFUSED},   {238, LH_CODE_REFUSED},
        {291, LH_CODE_REFUSED},     {8000, LH_CODE_REFUSED},  {10334, LH_CODE_REFUSED},
        {11000, LH_CODE_REFUSED},   {13297, LH_CODE_REFUSED}, {14031, LH_CODE_REFUSED},
        {17280, LH_CODE_REFUSED},   {17419, LH_CODE_REFUSED}, {31337, LH_CODE_REFUSED},
        {7693400, LH_CODE_REFUSED}, {0, LH_CODE_REFUSED},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (lh_store_code_kind(known[i].code) != known[i].kind)
            fail_msg("code %u", known[i].code);
}

static int unreachable(uint32_t domain, uint32_t code, const char *message)
{
    bson_error_t why;
    bson_set_error(&why, domain, code, "%s", message);
    return lh_store_why_unreachable(&why);
}

static int unknown(uint32_t domain, uint32_t code)
{
    bson_error_t why;
    bson_set_error(&why, domain, code, "a reason");
    return lh_store_why_unknown(&why);
}

static void test_why_nothing_was_answered(void **state)
{
    (void)state;
    bson_error_t why = {0};
    lh_store_set_no_connection(&why);
    assert_int_equal(lh_store_why_unreachable(&why), LH_REASON_CONNECTIONS);
    assert_int_equal(unreachable(MONGOC_ERROR_SERVER_SELECTION, 13053,
                                 "No suitable servers found: [connection refused]"),
                     LH_REASON_NO_SERVER);
    assert_int_equal(unreachable(MONGOC_ERROR_SERVER_SELECTION, 13053,
                                 "[Failed to resolve 'db0'. calling hello"),
                     LH_REASON_NO_ADDRESS);
    assert_int_equal(
        unreachable(MONGOC_ERROR_SERVER_SELECTION, 13053, "[TLS handshake failed: wrong version"),
        LH_REASON_HANDSHAKE);
    assert_int_equal(unreachable(MONGOC_ERROR_SERVER_SELECTION, 13053,
                                 "[connection timeout calling hello on '10.0.0.1:27017']"),
                     LH_REASON_TIMED_OUT);
    assert_int_equal(unreachable(MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, "refused"),
                     LH_REASON_NO_SERVER);
    assert_int_equal(unreachable(MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_NAME_RESOLUTION, ""),
                     LH_REASON_NO_ADDRESS);
    assert_int_equal(unreachable(MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "timeout"),
                     LH_REASON_TIMED_OUT);
    assert_int_equal(unreachable(MONGOC_ERROR_SERVER, 189, ""), LH_REASON_NO_PRIMARY);
    assert_int_equal(unreachable(MONGOC_ERROR_SERVER, 16500, ""), LH_REASON_OVERLOADED);
    assert_int_equal(unreachable(MONGOC_ERROR_CLIENT, 11, "shut down"), LH_REASON_TIMED_OUT);

    assert_int_equal(unknown(MONGOC_ERROR_WRITE_CONCERN, 64), LH_REASON_NO_MAJORITY);
    assert_int_equal(unknown(MONGOC_ERROR_SERVER, 189), LH_REASON_INTERRUPTED);
    assert_int_equal(unknown(MONGOC_ERROR_SERVER, 10107), LH_REASON_NO_REPLY);
    assert_int_equal(unknown(MONGOC_ERROR_STREAM, 4), LH_REASON_NO_REPLY);
}

static bson_t *reply_of(const char *json)
{
    bson_error_t why;
    bson_t *reply = bson_new_from_json((const uint8_t *)json, -1, &why);
    if (!reply)
        fail_msg("%s", why.message);
    return reply;
}

/* Refuses with that code and answer; the sentence is in `error`. */
static int refuse(uint32_t code, const char *message, const char *json, lh_error *error)
{
    bson_t *reply = json ? reply_of(json) : NULL;
    int outcome = lh_store_fail_refused(&(lh_refusal){.what = "acquire the lease",
                                                      .db = "app",
                                                      .collection = "locks",
                                                      .reply = reply,
                                                      .code = code,
                                                      .message = message},
                                        error);
    bson_destroy(reply);
    return outcome;
}

static void test_the_sentence_names_the_code_and_what_to_do(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        int outcome;
        const char *message, *says;
    } cases[] = {
        {59, LH_CONFIG, "no such command: 'x'", "MongoDB 6.0"},
        {115, LH_CONFIG, "not supported", "MongoDB 6.0"},
        {238, LH_CONFIG, "not implemented", "MongoDB 6.0"},
        {13297, LH_CONFIG, "db already exists with different case", "--db"},
        {291, LH_SERVER, "no plan", "notablescan"},
        {498870, LH_CONFIG, "The apiVersion parameter is required", "requireApiVersion"},
        {166, LH_CONFIG, "is a view", "choose another"},
        {8000, LH_SERVER, "you are over your space quota", "Atlas"},
        {14031, LH_SERVER, "no space", "disk"},
        {7693400, LH_DATA, "Document already has a field", "is stored twice"},
        {10334, LH_SERVER, "BSONObj size is invalid", "16 MiB"},
        {17419, LH_SERVER, "larger than 16777216", "16 MiB"},
        {2, LH_SERVER, "object to insert too large. size in bytes: 1", "16 MiB"},
        {2, LH_SERVER, "bad value", "(code 2)"},
        {72, LH_SERVER, "bad option", "(code 72)"},
    };
    lh_error error = LH_ERROR_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "code %u", cases[i].code);
        expect_fails(cases[i].outcome, refuse(cases[i].code, cases[i].message, NULL, &error),
                     &error, cases[i].says);
        assert_non_null(strstr(error.message, number));
        assert_non_null(strstr(error.message, cases[i].message));
        assert_int_equal(error.server_code, cases[i].code);
    }
    expect_fails(LH_SERVER, refuse(31337, "odd", "{\"codeName\": \"OddThing\"}", &error), &error,
                 "(code 31337, OddThing)");
}

static void test_a_validators_sentence_names_the_fields_and_never_a_lease_id(void **state)
{
    (void)state;
    static const struct {
        const char *details, *says, *never;
    } cases[] = {
        {"{'operatorName': '$jsonSchema', 'schemaRulesNotSatisfied': [{'operatorName': 'required', "
         "'missingProperties': "
         "['user_id', 'team']}]}",
         "(see \"user_id\", \"team\")", "required"},
        {"{'schemaRulesNotSatisfied': [{'operatorName': 'properties', 'propertiesNotSatisfied': "
         "[{'propertyName': "
         "'owner', "
         "'details': [{'operatorName': 'maxLength', 'consideredValue': 'secret'}]}]}]}",
         "(see \"owner\")", "secret"},
        {"{'schemaRulesNotSatisfied': [{'additionalProperties': ['token', "
         "'0123456789abcdef0123456789abcdef']}]}",
         "(see \"token\")", "0123456789abcdef"},
        {"{'operatorName': '$and', 'clausesNotSatisfied': [{'index': 0, 'details': "
         "{'operatorName': '$exists', "
         "'specifiedAs': {'user_id': {'$exists': true}}}}, {'index': 1, 'details': "
         "{'operatorName': '$expr', "
         "'specifiedAs': {'$expr': {'$gt': ['$a', '$b']}}}}]}",
         "(see \"user_id\")", "expr"},
        {"{'operatorName': '$expr', 'specifiedAs': {'$expr': {'$gt': ['$a', '$b']}}}",
         "the document (code 121)", "see"},
        {"5", "the document (code 121)", "see"},
    };
    lh_error error = LH_ERROR_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[600];
        (void)snprintf(json, sizeof json, "{'errInfo': {'details': %s}}", cases[i].details);
        for (char *c = json; *c; c++)
            *c = *c == '\'' ? '"' : *c;
        expect_fails(LH_CONFIG, refuse(121, "Document failed validation", json, &error), &error,
                     cases[i].says);
        assert_null(strstr(error.message, cases[i].never));
        assert_non_null(strstr(error.message,
                               "db.getSiblingDB(\"app\").runCommand({collMod: \"locks\", "
                               "validationAction: \"warn\"})"));
    }
    expect_fails(LH_CONFIG, refuse(121, "Document failed validation", NULL, &error), &error,
                 "validator");
}

static void test_the_first_write_error_that_counts(void **state)
{
    (void)state;
    bson_t *reply = reply_of(
        "{\"writeErrors\": [{\"index\": 0, \"code\": 11000, \"errmsg\": \"there\"}, {\"index\": 1, "
        "\"code\": 121, \"errmsg\": \"no\"}, {\"index\": 2, \"code\": 2}]}");
    lh_refusal refusal = {0};
    assert_true(lh_store_write_error(reply, 0, &refusal));
    assert_int_equal(refusal.code, 11000);
    assert_true(lh_store_write_error(reply, 11000, &refusal));
    assert_int_equal(refusal.code, 121);
    assert_string_equal(refusal.message, "no");
    bson_destroy(reply);
    reply = reply_of("{\"writeErrors\": [{\"code\": 11000}]}");
    assert_false(lh_store_write_error(reply, 11000, &refusal));
    bson_destroy(reply);
    reply = reply_of("{\"n\": 1}");
    assert_false(lh_store_write_error(reply, 0, &refusal));
    bson_destroy(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_may_pass_by_itself_is_no_refusal),
        cmocka_unit_test(test_why_nothing_was_answered),
        cmocka_unit_test(test_the_sentence_names_the_code_and_what_to_do),
        cmocka_unit_test(test_a_validators_sentence_names_the_fields_and_never_a_lease_id),
        cmocka_unit_test(test_the_first_write_error_that_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

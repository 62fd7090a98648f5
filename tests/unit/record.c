/* SPDX-License-Identifier: Apache-2.0
 * Documents of any shape become records: nothing crashes, every string is UTF-8, what cannot be read is malformed. */
#include <math.h>

#include "../support/unit.h"

#include "doc.h"

#define NOW   INT64_C(1800000000000)
#define GRACE 500

static bool is_text(const char *text)
{
    return text && bson_utf8_validate(text, strlen(text), false);
}

/* Touches all of it, so that a sanitizer sees it. */
static void look_at(const lh_record *record)
{
    assert_non_null(record);
    assert_true(record->state == LH_FREE || record->state == LH_HELD || record->state == LH_MALFORMED);
    assert_true(is_text(record->key) && is_text(record->problem) && is_text(record->released_how) &&
                is_text(record->released_owner) && is_text(record->released_by) && is_text(record->released_reason));
    assert_int_equal(record->state == LH_MALFORMED, *record->problem != '\0');
    const lh_holder *holder;
    const lh_waiter *waiter;
    size_t n = 0;
    for (size_t i = 0; (holder = lh_record_holder(record, i)); i++, n++)
        assert_true(is_text(holder->owner) && is_text(holder->host) && is_text(holder->purpose));
    assert_int_equal(n, record->holders);
    assert_int_equal(n == 0, record->state == LH_FREE);
    for (size_t i = 0; (waiter = lh_record_waiter(record, i)); i++)
        assert_true(is_text(waiter->owner) && is_text(waiter->purpose));
}

static lh_record *record_of(bson_t *document)
{
    lh_record *record = lh_doc_record(document, NOW, GRACE);
    look_at(record);
    bson_destroy(document);
    return record;
}

static void test_a_held_document(void **state)
{
    (void)state;
    lh_record *r = record_of(BCON_NEW("workspace_id", "k", "id", "x", "owner", "ann", "host", "h", "pid", BCON_INT64(7),
                                      "purpose", "why", "token", BCON_INT64(5), "expires_at",
                                      BCON_DATE_TIME(NOW + 1000), "acquired_at", BCON_DATE_TIME(NOW - 1000)));
    const lh_holder *h = lh_record_holder(r, 0);
    assert_int_equal(r->state, LH_HELD);
    assert_string_equal(r->key, "k");
    assert_int_equal(r->token, 5);
    assert_string_equal(h->owner, "ann");
    assert_string_equal(h->host, "h");
    assert_string_equal(h->purpose, "why");
    assert_int_equal(h->pid, 7);
    assert_int_equal(h->remaining_ms, 1000);
    assert_int_equal(h->acquired_at_ms, NOW - 1000);
    lh_record_free(r);
}

static void test_the_grace_decides_who_is_held(void **state)
{
    (void)state;
    static const struct {
        int64_t end;
        int state;
    } ends[] = {{NOW - GRACE + 1, LH_HELD}, {NOW - GRACE, LH_FREE}, {NOW, LH_HELD}, {NOW - 10000, LH_FREE}};
    for (size_t i = 0; i < 4; i++) {
        lh_record *r = record_of(
            BCON_NEW("workspace_id", "k", "id", "x", "user_id", "u", "expires_at", BCON_DATE_TIME(ends[i].end)));
        assert_int_equal(r->state, ends[i].state);
        assert_int_equal(r->expired, ends[i].state == LH_FREE);
        if (r->expired)
            assert_string_equal(r->released_owner, "u");
        lh_record_free(r);
    }
}

static void test_owners_of_older_code(void **state)
{
    (void)state;
    bson_oid_t oid;
    bson_oid_init_from_string(&oid, "65a1b2c3d4e5f60718293a4b");
    lh_record *r = record_of(BCON_NEW("workspace_id", "k", "user_id", BCON_OID(&oid)));
    assert_string_equal(lh_record_holder(r, 0)->owner, "65a1b2c3d4e5f60718293a4b");
    lh_record_free(r);
    r = record_of(BCON_NEW("workspace_id", "k", "user_id", BCON_INT32(5)));
    assert_string_equal(lh_record_holder(r, 0)->owner, "");
    assert_true(lh_record_holder(r, 0)->expires_at_ms == LH_NEVER);
    lh_record_free(r);
}

static void expect_malformed(bson_t *document, const char *says)
{
    lh_record *r = record_of(document);
    assert_int_equal(r->state, LH_MALFORMED);
    if (!strstr(r->problem, says))
        fail_msg("\"%s\" is not in: %s", says, r->problem);
    lh_record_free(r);
}

static void test_what_cannot_be_read_is_named(void **state)
{
    (void)state;
    expect_malformed(BCON_NEW("id", "x"), "workspace_id is missing");
    expect_malformed(BCON_NEW("workspace_id", BCON_INT32(5)), "workspace_id is a number");
    expect_malformed(BCON_NEW("workspace_id", "[", "a", "]"), "workspace_id is an array");
    expect_malformed(BCON_NEW("workspace_id", "k", "expires_at", "[", "]"), "expires_at is an array");
    expect_malformed(BCON_NEW("workspace_id", "k", "expires_at", "soon"), "no ISO-8601");
    expect_malformed(BCON_NEW("workspace_id", "k", "token", "5"), "token is a string");
    expect_malformed(BCON_NEW("workspace_id", "k", "token", BCON_INT64(-1)), "token is a number");
    expect_malformed(BCON_NEW("workspace_id", "k", "token", BCON_DOUBLE(NAN)),
                     "token is a number that is out of range");
    expect_malformed(BCON_NEW("workspace_id", "k", "token", BCON_BOOL(true)), "token is a boolean");
    expect_malformed(BCON_NEW("workspace_id", "k", "shared", BCON_BOOL(true)), "shared is a boolean, not an object");
    expect_malformed(BCON_NEW("workspace_id", "k", "waiters", BCON_INT32(0)), "waiters is a number, not an object");
    expect_malformed(BCON_NEW("workspace_id", BCON_BOOL(false)), "workspace_id is a boolean");
    expect_malformed(
        BCON_NEW("workspace_id", "k", "token", BCON_INT64((INT64_C(1) << 62) - 1), "expires_at", BCON_DATE_TIME(0)),
        "token is at its end");
    expect_malformed(BCON_NEW("workspace_id", "k", "shared", "{", "x", "{", "}", "}"), "an entry of shared");
    expect_malformed(BCON_NEW("workspace_id", "k", "waiters", "{", "x", BCON_INT32(1), "}"), "an entry of waiters");
    bson_t *nul = bson_new();
    assert_true(bson_append_utf8(nul, "workspace_id", -1, "a\0b", 3));
    expect_malformed(nul, "NUL");
}

static void test_null_and_false_count_as_missing(void **state)
{
    (void)state;
    static const char *const fields[] = {"token", "shared", "waiters", "expires_at"};
    for (int kind = 0; kind < 3; kind++)
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
            bson_t *d = BCON_NEW("workspace_id", "k", "id", "x");
            if (kind == 0)
                BSON_APPEND_NULL(d, fields[i]);
            else if (kind == 1)
                BSON_APPEND_BOOL(d, fields[i], false);
            else
                BSON_APPEND_UNDEFINED(d, fields[i]);
            lh_record *r = record_of(d);
            assert_int_equal(r->state, LH_HELD);
            assert_true(r->token == 0 && r->waiters == 0 && lh_record_holder(r, 0)->expires_at_ms == LH_NEVER);
            lh_record_free(r);
        }
}

/* Of a document that is held the last token is as good as any. */
static void test_whoever_holds_by_the_last_token_is_shown(void **state)
{
    (void)state;
    const int64_t last = (INT64_C(1) << 62) - 1;
    lh_record *r = record_of(BCON_NEW("workspace_id", "k", "id", "x", "owner", "o", "token", BCON_INT64(last)));
    assert_int_equal(r->state, LH_HELD);
    assert_true(r->token == last);
    lh_record_free(r);
}

static void test_strings_that_are_not_utf8_are_shown_mended(void **state)
{
    (void)state;
    bson_t *d = BCON_NEW("workspace_id", "k");
    assert_true(bson_append_utf8(d, "owner", -1,
                                 "a\xff"
                                 "b\xc3",
                                 4));
    assert_true(bson_append_utf8(d, "host", -1, "\xc3\xa4\0\xed\xa0\x80", 6));
    lh_record *r = record_of(d);
    assert_string_equal(lh_record_holder(r, 0)->owner, "a?b?");
    assert_string_equal(lh_record_holder(r, 0)->host, "\xc3\xa4????");
    lh_record_free(r);
}

/* Four megabytes of what is not UTF-8: in linear time, or the test does not end. */
static void test_much_that_is_not_utf8_takes_no_age(void **state)
{
    (void)state;
    const int len = 4000000;
    char *text = malloc((size_t)len);
    assert_non_null(text);
    memset(text, 0xFF, (size_t)len);
    bson_t *d = BCON_NEW("workspace_id", "k");
    assert_true(bson_append_utf8(d, "owner", -1, text, len));
    free(text);
    lh_record *r = record_of(d);
    assert_int_equal(strspn(lh_record_holder(r, 0)->owner, "?"), len);
    lh_record_free(r);
}

/* Bytes of good documents, changed at random: as BSON they may be broken in any way. */
static void test_damaged_bson_never_crashes(void **state)
{
    (void)state;
    uint64_t seed = 3;
    bson_t *good =
        BCON_NEW("workspace_id", "key", "id", "shared:x", "expires_at", BCON_DATE_TIME(NOW + 5), "token", BCON_INT64(7),
                 "owner", "ann", "user_id", "u", "shared", "{", "x", "{", "owner", "a", "token", BCON_INT32(1),
                 "expires_at", BCON_DATE_TIME(NOW + 5), "}", "y", "{", "}", "}", "waiters", "{", "w", "{", "mode",
                 "shared", "beat", BCON_INT64(1), "beat_at", BCON_DATE_TIME(NOW), "claim_ms", BCON_INT64(5), "ttl_ms",
                 BCON_INT64(5), "}", "}", "released", "{", "id", "x", "owner", "o", "how", "break", "by", "b", "reason",
                 "r", "at", BCON_DATE_TIME(NOW), "}");
    for (int round = 0; round < 100000; round++) {
        uint8_t *bytes = malloc(good->len);
        assert_non_null(bytes);
        memcpy(bytes, bson_get_data(good), good->len);
        for (unsigned i = 0, n = 1 + roll(&seed, 6); i < n; i++)
            bytes[4 + roll(&seed, good->len - 5)] =
                roll(&seed, 3) ? (uint8_t)roll(&seed, 256) : (uint8_t)roll(&seed, 20);
        bson_t damaged;
        if (bson_init_static(&damaged, bytes, good->len)) {
            lh_mine mine;
            lh_record *record = lh_doc_record(&damaged, NOW, GRACE);
            assert_non_null(record);
            lh_record_free(record);
            record = lh_doc_reply_record(&damaged, GRACE);
            lh_record_free(record);
            lh_doc_mine(&damaged, "x", &mine);
            (void)lh_doc_is_held_alone(&damaged, GRACE);
        }
        free(bytes);
    }
    bson_destroy(good);
}

static void test_a_free_record(void **state)
{
    (void)state;
    lh_record *r = lh_doc_free_record("k", NOW);
    look_at(r);
    assert_int_equal(r->state, LH_FREE);
    assert_string_equal(r->key, "k");
    lh_record_free(r);
    lh_record_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_held_document),
        cmocka_unit_test(test_the_grace_decides_who_is_held),
        cmocka_unit_test(test_owners_of_older_code),
        cmocka_unit_test(test_what_cannot_be_read_is_named),
        cmocka_unit_test(test_null_and_false_count_as_missing),
        cmocka_unit_test(test_whoever_holds_by_the_last_token_is_shown),
        cmocka_unit_test(test_strings_that_are_not_utf8_are_shown_mended),
        cmocka_unit_test(test_much_that_is_not_utf8_takes_no_age),
        cmocka_unit_test(test_damaged_bson_never_crashes),
        cmocka_unit_test(test_a_free_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

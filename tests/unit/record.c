/* SPDX-License-Identifier: Apache-2.0
 * Documents of any shape become records: nothing crashes, every string is UTF-8, what cannot be
 * read is malformed. */
#include <math.h>

#include "unit.h"

#include "protocol/doc.h"
#include "protocol/doc_record.h"

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
    assert_true(record->state == LH_FREE || record->state == LH_HELD ||
                record->state == LH_MALFORMED);
    assert_true(is_text(record->key) && is_text(record->problem) && is_text(record->released_how) &&
                is_text(record->released_owner) && is_text(record->released_by) &&
                is_text(record->released_reason));
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
    lh_record *r =
        record_of(BCON_NEW("workspace_id", "k", "id", "x", "owner", "ann", "host", "h", "pid",
                           BCON_INT64(7), "purpose", "why", "token", BCON_INT64(5), "expires_at",
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
    } ends[] = {
        {NOW - GRACE + 1, LH_HELD}, {NOW - GRACE, LH_FREE}, {NOW, LH_HELD}, {NOW - 10000, LH_FREE}};
    for (size_t i = 0; i < 4; i++) {
        lh_record *r = record_of(BCON_NEW("workspace_id", "k", "id", "x", "user_id", "u",
                                          "expires_at", BCON_DATE_TIME(ends[i].end)));
        assert_int_equal(r->state, ends[i].state);
        assert_int_equal(r->expired, ends[i].state == LH_FREE);
        if (r->expired)
            assert_string_equal(r->released_owner, "u");
        lh_record_free(r);
    }
}

static void test_a_key_is_kept_until_its_end_and_no_longer(void **state)
{
    (void)state;
    static const struct {
        const char *id, *released;
        int64_t end;
        int state;
        bool kept;
    } rows[] = {{"kept:x", "kept:x", NOW + 1, LH_HELD, true},
                {"kept:x", "kept:x", NOW, LH_FREE, false},
                {"kept:x", "x", NOW, LH_HELD, false}, /* not ours */
                {"x", "x", NOW + 1, LH_HELD, false},  /* released, and extended by old code */
                {"kept", "kept", NOW, LH_HELD, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lh_mine mine;
        bson_t *document = BCON_NEW("workspace_id", "k", "id", BCON_UTF8(rows[i].id), "expires_at",
                                    BCON_DATE_TIME(rows[i].end), "now", BCON_DATE_TIME(NOW),
                                    "released", "{", "id", BCON_UTF8(rows[i].released), "how",
                                    "release", "at", BCON_DATE_TIME(NOW - 1000), "}");
        lh_doc_mine(document, "x", &mine);
        assert_int_equal(mine.ended, strcmp(rows[i].id, "kept") != 0);
        assert_false(mine.holds);
        assert_int_equal(lh_doc_is_held_alone(document, GRACE), rows[i].state == LH_HELD);
        lh_record *r = record_of(document);
        const lh_holder *h = lh_record_holder(r, 0);
        assert_int_equal(r->state, rows[i].state);
        assert_int_equal(h && h->kept, rows[i].kept);
        assert_string_equal(r->released_how, "release");
        assert_false(r->expired);
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
    expect_malformed(BCON_NEW("workspace_id", "k", "expires_at", "[", "]"),
                     "expires_at is an array");
    expect_malformed(BCON_NEW("workspace_id", "k", "expires_at", "soon"), "not an ISO-8601");
    expect_malformed(BCON_NEW("workspace_id", "k", "token", "5"), "token is a string");
    expect_malformed(BCON_NEW("workspace_id", "k", "token", BCON_INT64(-1)), "token is a number");
    expect_malformed(BCON_NEW("workspace_id", "k", "token", BCON_DOUBLE(NAN)),
                     "token is a number that is out of range");
    expect_malformed(BCON_NEW("workspace_id", "k", "token", BCON_BOOL(true)), "token is a boolean");
    expect_malformed(BCON_NEW("workspace_id", "k", "shared", BCON_BOOL(true)),
                     "shared is a boolean, not an object");
    expect_malformed(BCON_NEW("workspace_id", "k", "waiters", BCON_INT32(0)),
                     "waiters is a number, not an object");
    expect_malformed(BCON_NEW("workspace_id", BCON_BOOL(false)), "workspace_id is a boolean");
    expect_malformed(BCON_NEW("workspace_id", "k", "token", BCON_INT64((INT64_C(1) << 62) - 1),
                              "expires_at", BCON_DATE_TIME(0)),
                     "token has reached its maximum");
    expect_malformed(BCON_NEW("workspace_id", "k", "shared", "{", "x", "{", "}", "}"),
                     "an entry of shared");
    expect_malformed(BCON_NEW("workspace_id", "k", "waiters", "{", "x", BCON_INT32(1), "}"),
                     "an entry of waiters");
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
            assert_true(r->token == 0 && r->waiters == 0 &&
                        lh_record_holder(r, 0)->expires_at_ms == LH_NEVER);
            lh_record_free(r);
        }
}

/* Of a document that is held the last token is as good as any. */
static void test_whoever_holds_by_the_last_token_is_shown(void **state)
{
    (void)state;
    const int64_t last = (INT64_C(1) << 62) - 1;
    lh_record *r = record_of(
        BCON_NEW("workspace_id", "k", "id", "x", "owner", "o", "token", BCON_INT64(last)));
    assert_int_equal(r->state, LH_HELD);
    assert_true(r->token == last);
    lh_record_free(r);
}

/* BSON, and a server, keep both. */
static bson_t *twice(const char *in, const char *field)
{
    bson_t *d = BCON_NEW("_id", "k", "workspace_id", "k"), object = BSON_INITIALIZER,
           whole = BSON_INITIALIZER;
    bson_t *to = *in ? &object : d;
    for (int64_t i = 0; i < 2; i++)
        BSON_APPEND_INT64(to, field, i);
    if (strncmp(in, "entry", 5) == 0) {
        BSON_APPEND_DOCUMENT(&whole, "00000000000000000000000000000001", &object);
        BSON_APPEND_DOCUMENT(d, in + 6, &whole);
    } else if (strcmp(in, "note") == 0) {
        BSON_APPEND_DOCUMENT(&whole, "note", &object);
        BSON_APPEND_DOCUMENT(d, "released", &whole);
    } else if (*in) {
        BSON_APPEND_DOCUMENT(d, in, &object);
    }
    bson_destroy(&object);
    bson_destroy(&whole);
    return d;
}

static void test_a_field_that_is_stored_twice_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *in, *says, *fields[22];
    } objects[] = {
        {"",
         "%s is stored twice",
         {"_id",   "workspace_id", "id",      "owner",  "user_id", "expires_at", "mode",
          "token", "acquired_at",  "ttl_ms",  "beat",   "host",    "pid",        "proc",
          "wake",  "renewed_at",   "purpose", "shared", "waiters", "released",   "v"}},
        {"entry shared",
         "%s is stored twice in an entry of shared",
         {"owner", "token", "expires_at", "acquired_at", "renewed_at", "ttl_ms", "beat", "proc"}},
        {"entry waiters",
         "%s is stored twice in an entry of waiters",
         {"mode", "since", "beat", "beat_at", "claim_ms", "ttl_ms", "owner", "purpose"}},
        {"shared", "a lease id is stored twice in shared", {"00000000000000000000000000000001"}},
        {"waiters", "a lease id is stored twice in waiters", {"00000000000000000000000000000001"}},
        {"released",
         "released.%s is stored twice",
         {"id", "owner", "how", "by", "reason", "at", "note"}},
        {"note", "released.note.%s is stored twice", {"text", "token", "at"}},
    };
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        for (const char *const *field = objects[i].fields; *field; field++) {
            char says[128];
            const char *at = strstr(objects[i].says, "%s");
            (void)snprintf(says, sizeof says, "%.*s%s%s", at ? (int)(at - objects[i].says) : 0,
                           objects[i].says, at ? *field : "", at ? at + 2 : objects[i].says);
            expect_malformed(twice(objects[i].in, *field), says);
        }
}

/* What is no field of ours may be there any number of times, and a name may be in several
 * objects. */
static void test_only_our_own_fields_count(void **state)
{
    (void)state;
    char problem[128];
    bson_t *documents[] = {
        twice("", "comment"),
        twice("note", "comment"),
        twice("released", "comment"),
        BCON_NEW("workspace_id", "k", "id", "a", "token", BCON_INT64(1), "released", "{", "id", "a",
                 "note", "{", "token", BCON_INT64(1), "}", "}", "Token", BCON_INT64(2), "other",
                 "{", "id", "a", "id", "b", "}"),
    };
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        if (lh_doc_problem(documents[i], problem, sizeof problem))
            fail_msg("%zu: %s", i, problem);
        bson_destroy(documents[i]);
    }
}

static void test_a_lease_id_twice_among_thousands_is_found(void **state)
{
    (void)state;
    for (int again = -1; again < 1000; again += 500) {
        bson_t *d = BCON_NEW("workspace_id", "k"), map, entry;
        char id[33];
        BSON_APPEND_DOCUMENT_BEGIN(d, "shared", &map);
        for (int i = 0; i < 3000; i++) {
            (void)snprintf(id, sizeof id, "%032x", i == 2999 && again >= 0 ? again : i);
            BSON_APPEND_DOCUMENT_BEGIN(&map, id, &entry);
            BSON_APPEND_DATE_TIME(&entry, "expires_at", NOW);
            BSON_APPEND_INT64(&entry, "token", 1);
            bson_append_document_end(&map, &entry);
        }
        bson_append_document_end(d, &map);
        char problem[128] = "";
        assert_int_equal(lh_doc_problem(d, problem, sizeof problem), again >= 0);
        if (again >= 0)
            assert_string_equal(problem, "a lease id is stored twice in shared");
        bson_destroy(d);
    }
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
        BCON_NEW("workspace_id", "key", "id", "shared:x", "expires_at", BCON_DATE_TIME(NOW + 5),
                 "token", BCON_INT64(7), "owner", "ann", "user_id", "u", "shared", "{", "x", "{",
                 "owner", "a", "token", BCON_INT32(1), "expires_at", BCON_DATE_TIME(NOW + 5), "}",
                 "y", "{", "}", "}", "waiters", "{", "w", "{", "mode", "shared", "beat",
                 BCON_INT64(1), "beat_at", BCON_DATE_TIME(NOW), "claim_ms", BCON_INT64(5), "ttl_ms",
                 BCON_INT64(5), "}", "}", "released", "{", "id", "x", "owner", "o", "how", "break",
                 "by", "b", "reason", "r", "at", BCON_DATE_TIME(NOW), "}");
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
        cmocka_unit_test(test_a_key_is_kept_until_its_end_and_no_longer),
        cmocka_unit_test(test_owners_of_older_code),
        cmocka_unit_test(test_what_cannot_be_read_is_named),
        cmocka_unit_test(test_null_and_false_count_as_missing),
        cmocka_unit_test(test_whoever_holds_by_the_last_token_is_shown),
        cmocka_unit_test(test_a_field_that_is_stored_twice_is_named),
        cmocka_unit_test(test_only_our_own_fields_count),
        cmocka_unit_test(test_a_lease_id_twice_among_thousands_is_found),
        cmocka_unit_test(test_strings_that_are_not_utf8_are_shown_mended),
        cmocka_unit_test(test_much_that_is_not_utf8_takes_no_age),
        cmocka_unit_test(test_damaged_bson_never_crashes),
        cmocka_unit_test(test_a_free_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

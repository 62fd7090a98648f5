/* SPDX-License-Identifier: Apache-2.0
 * Keys: what is one, and that joining parts can't be fooled. */
#include "unit.h"

#include "base/key.h"

static void test_good_keys(void **state)
{
    (void)state;
    char longest[LH_KEY_MAX];
    memset(longest, 'x', sizeof longest);
    static const char *const good[] = {"a",
                                       " ",
                                       "root:github:torvalds/linux",
                                       "\xc3\xa4",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x94\x92",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xc2\xa0",
                                       "$",
                                       "..",
                                       "\xef\xbf\xbf",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(lh_key_check(good[i], strlen(good[i]), NULL), LH_OK);
    assert_int_equal(lh_key_check(longest, sizeof longest, NULL), LH_OK);
    assert_int_equal(lh_key_check("abc\xff", 3, NULL), LH_OK); /* not NUL-terminated */
}

static void test_bad_keys_say_what_is_wrong_and_where(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        size_t len;
        const char *says;
    } bad[] = {
        {"", 0, "empty"},
        {"a\0b", 3, "U+0000) at byte 1"},
        {"ab\n", 3, "U+000A) at byte 2"},
        {"\x1f", 1, "U+001F) at byte 0"},
        {"\x7f", 1, "U+007F) at byte 0"},
        {"\xc2\x80", 2, "U+0080) at byte 0"},
        {"a\xc2\x9f", 3, "U+009F) at byte 1"},
        {"\xff", 1, "not UTF-8 at byte 0"},
        {"ab\x80", 3, "not UTF-8 at byte 2"},
        {"\xc3", 1, "not UTF-8 at byte 0"},
        {"\xc3(", 2, "not UTF-8 at byte 0"},
        {"\xe2\x82", 2, "not UTF-8 at byte 0"},
        {"\xc0\xaf", 2, "not UTF-8"},             /* overlong */
        {"\xc1\xbf", 2, "not UTF-8"},             /* overlong */
        {"\xe0\x80\xaf", 3, "not UTF-8"},         /* overlong */
        {"\xf0\x80\x80\xaf", 4, "not UTF-8"},     /* overlong */
        {"\xed\xa0\x80", 3, "not UTF-8"},         /* a surrogate */
        {"\xed\xbf\xbf", 3, "not UTF-8"},         /* a surrogate */
        {"\xf4\x90\x80\x80", 4, "not UTF-8"},     /* past U+10FFFF */
        {"\xf8\x88\x80\x80\x80", 5, "not UTF-8"}, /* five bytes */
        {"\xfe", 1, "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lh_error error = LH_ERROR_INIT;
        expect_fails(LH_INVALID, lh_key_check(bad[i].key, bad[i].len, &error), &error, bad[i].says);
    }
    char long_one[LH_KEY_MAX + 1];
    memset(long_one, 'x', sizeof long_one);
    lh_error error = LH_ERROR_INIT;
    expect_fails(LH_INVALID, lh_key_check(long_one, sizeof long_one, &error), &error, "1025 bytes");
    expect_fails(LH_INVALID, lh_key_check(NULL, 0, &error), &error, "no key");
}

static void test_lease_ids(void **state)
{
    (void)state;
    lh_error error = LH_ERROR_INIT;
    assert_int_equal(lh_lease_id_check("0123456789abcdef0123456789abcdef", &error), LH_OK);
    static const char *const bad[] = {NULL,
                                      "",
                                      "0123456789abcdef0123456789abcde",
                                      "0123456789abcdef0123456789abcdef0",
                                      "0123456789ABCDEF0123456789ABCDEF",
                                      "0123456789abcdef0123456789abcdeg",
                                      "$123456789abcdef0123456789abcdef",
                                      "0123456789abcdef.123456789abcdef"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_fails(LH_INVALID, lh_lease_id_check(bad[i], &error), &error, "lease id");
}

static void expect_joined(const char *const *parts, size_t n, const char *wanted)
{
    char *key = NULL;
    assert_int_equal(lh_key_join(parts, n, &key, NULL), LH_OK);
    assert_string_equal(key, wanted);
    lh_string_free(key);
}

static void test_parts_are_joined(void **state)
{
    (void)state;
    expect_joined((const char *[]){"project", "42"}, 2, "project:42");
    expect_joined((const char *[]){"root", "github", "a/b"}, 3, "root:github:a/b");
    expect_joined((const char *[]){"one"}, 1, "one");
    expect_joined((const char *[]){"a:b", "c"}, 2, "a%3Ab:c");
    expect_joined((const char *[]){"a", "b:c"}, 2, "a:b%3Ac");
    expect_joined((const char *[]){"100%", "%3A"}, 2, "100%25:%253A");
}

static void test_bad_parts_are_refused(void **state)
{
    (void)state;
    lh_error error = LH_ERROR_INIT;
    char untouched, *key = &untouched;
    expect_fails(LH_INVALID, lh_key_join(NULL, 0, &key, &error), &error, "no part");
    expect_fails(LH_INVALID, lh_key_join((const char *[]){"a", ""}, 2, &key, &error), &error,
                 "part 2");
    expect_fails(LH_INVALID, lh_key_join((const char *[]){NULL}, 1, &key, &error), &error,
                 "part 1");
    expect_fails(LH_INVALID, lh_key_join((const char *[]){"a", "b\n"}, 2, &key, &error), &error,
                 "control");
    expect_fails(LH_INVALID, lh_key_join((const char *[]){"\xff"}, 1, &key, &error), &error,
                 "UTF-8");
    char colons[LH_KEY_MAX / 3 + 2]; /* escaped it is too long */
    memset(colons, ':', sizeof colons - 1);
    colons[sizeof colons - 1] = '\0';
    expect_fails(LH_INVALID, lh_key_join((const char *[]){colons, "x"}, 2, &key, &error), &error,
                 "bytes");
    assert_ptr_equal(key, &untouched);
}

/* Splits at ':' and takes the escapes out again: what gives the parts back can't have been
 * ambiguous. */
static size_t split(char *key, char *ret_parts[8])
{
    size_t n = 0;
    for (char *part = key; part; n++) {
        char *end = strchr(part, ':');
        if (end)
            *end++ = '\0';
        ret_parts[n] = part;
        char *to = part;
        for (const char *from = part; *from; to++)
            if (*from == '%') {
                *to = strncmp(from, "%3A", 3) == 0 ? ':' : '%';
                from += 3;
            } else {
                *to = *from++;
            }
        *to = '\0';
        part = end;
    }
    return n;
}

static void test_different_parts_never_give_the_same_key(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        char texts[6][12];
        const char *parts[6];
        size_t n = 1 + roll(&seed, 6);
        for (size_t i = 0; i < n; i++) {
            unsigned len = 1 + roll(&seed, 8);
            for (unsigned k = 0; k < len; k++)
                texts[i][k] = ":%3A25ab"[roll(&seed, 8)];
            texts[i][len] = '\0';
            parts[i] = texts[i];
        }
        char *key = NULL, *back[8];
        assert_int_equal(lh_key_join(parts, n, &key, NULL), LH_OK);
        assert_int_equal(split(key, back), n);
        for (size_t i = 0; i < n; i++)
            assert_string_equal(back[i], parts[i]);
        lh_string_free(key);
    }
}

static void test_paths(void **state)
{
    (void)state;
    static const char *const good[] = {"a",     "a/b",  "org/project/file.c", "a/ /b",
                                       "a:b/c", "a/..", "\xc3\xa4/\xc3\xa4"};
    static const struct {
        const char *path, *says;
    } bad[] = {{"/", "begins or ends"},
               {"/a", "begins or ends"},
               {"a/", "begins or ends"},
               {"a//b", "empty part at byte 2"},
               {"a/b///c", "empty part at byte 4"}};
    lh_error error = LH_ERROR_INIT;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(lh_path_check(good[i], &error), LH_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_fails(LH_INVALID, lh_path_check(bad[i].path, &error), &error, bad[i].says);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_keys),
        cmocka_unit_test(test_bad_keys_say_what_is_wrong_and_where),
        cmocka_unit_test(test_lease_ids),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_parts_are_joined),
        cmocka_unit_test(test_bad_parts_are_refused),
        cmocka_unit_test(test_different_parts_never_give_the_same_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Commands in messages: what is quoted, and what does not fit. */
#include "base/shell.h"

#include <string.h>

#include "unit.h"

static void test_a_key_is_one_word(void **state)
{
    static const struct {
        const char *key, *word;
    } cases[] = {{"k", "'k'"},
                 {"", "''"},
                 {"a b", "'a b'"},
                 {"it's", "'it'\\''s'"},
                 {"-x", "-- '-x'"},
                 {"--help", "-- '--help'"},
                 {"$(x) `y` \\", "'$(x) `y` \\'"}};
    char word[LH_WORD_ROOM];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lh_shell_key(cases[i].key, word);
        assert_string_equal(word, cases[i].word);
    }
}

static void test_a_key_that_does_not_fit_is_not_cut(void **state)
{
    char key[LH_WORD_ROOM + 8], word[LH_WORD_ROOM];
    (void)state;
    for (size_t len = 1; len < sizeof key; len++) {
        memset(key, 'k', len);
        key[len] = '\0';
        lh_shell_key(key, word);
        assert_true(strlen(word) == len + 2 || strcmp(word, "KEY") == 0);
        memset(key, '\'', len);
        lh_shell_key(key, word);
        assert_true(strlen(word) == 4 * len + 2 || strcmp(word, "KEY") == 0);
    }
    assert_string_equal(word, "KEY");
}

static void test_names_in_a_call_are_strings(void **state)
{
    char call[LH_CALL_ROOM], name[300];
    (void)state;
    lh_shell_drop_index("app", "work-locks", "say \"x\"\\", call);
    assert_string_equal(call, "db.getSiblingDB(\"app\").getCollection(\"work-locks\")"
                              ".dropIndex(\"say \\\"x\\\"\\\\\")");
    lh_shell_warn_only("app", "it's", call);
    assert_string_equal(call, "db.getSiblingDB(\"app\").runCommand({collMod: \"it's\", "
                              "validationAction: \"warn\"})");
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    lh_shell_drop_index("app", name, name, call);
    assert_string_equal(call, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_one_word),
        cmocka_unit_test(test_a_key_that_does_not_fit_is_not_cut),
        cmocka_unit_test(test_names_in_a_call_are_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

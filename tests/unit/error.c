/* SPDX-License-Identifier: Apache-2.0
 * Outcomes and their texts; messages that are too long are cut at a character. */
#include "unit.h"

#include "base/error.h"

static void test_every_outcome_has_a_word_and_a_sentence_of_its_own(void **state)
{
    (void)state;
    for (int a = LH_OK; a <= LH_ABSENT; a++) {
        assert_true(*lh_outcome_word(a) && *lh_outcome_sentence(a));
        for (int b = LH_OK; b < a; b++)
            assert_string_not_equal(lh_outcome_word(a), lh_outcome_word(b));
    }
    assert_string_equal(lh_outcome_word(LH_BUSY), "busy");
    assert_string_equal(lh_outcome_word(99), "bug");
    assert_string_equal(lh_outcome_word(-1), "bug");
    assert_string_equal(lh_outcome_sentence(99), lh_outcome_sentence(LH_BUG));
}

static void test_words_for_reasons(void **state)
{
    (void)state;
    assert_string_equal(lh_why_word(LH_WHY_HELD), "held");
    assert_string_equal(lh_why_word(LH_WHY_RACE), "race");
    assert_string_equal(lh_why_word(0), "");
    assert_string_equal(lh_why_word(99), "");
    assert_string_equal(lh_why_word(-1), "");
}

static void test_every_reason_has_a_word_of_its_own_and_an_outcome(void **state)
{
    (void)state;
    static const struct {
        int number;
        const char *word;
    } reasons[] = {
#define X(name, number, word, sentence) {name, word},
        LH_REASONS(X)
#undef X
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        lh_error error = LH_ERROR_INIT;
        int outcome = lh_fail(&error, reasons[i].number, "x");
        assert_int_equal(outcome, reasons[i].number / 100);
        assert_int_equal(error.code, outcome);
        assert_int_equal(error.reason, reasons[i].number);
        assert_string_equal(lh_reason_word(error.reason), reasons[i].word);
        assert_true(*lh_reason_sentence(error.reason));
        assert_int_equal(lh_error_reason(&error, outcome), error.reason);
        lh_error_recode(&error, LH_BUG);
        assert_int_equal(error.reason, 0);
        assert_int_equal(lh_error_reason(&error, LH_MEMORY), LH_MEMORY);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(reasons[i].word, reasons[j].word);
    }
    assert_string_equal(lh_reason_word(0), "");
    assert_string_equal(lh_reason_sentence(LH_BUSY), "");
}

static void test_failing_fills_the_error_and_gives_its_code(void **state)
{
    (void)state;
    lh_error error = LH_ERROR_INIT;
    memset(&error, 'x', sizeof error);
    assert_int_equal(lh_fail(&error, LH_DATA, "%s %d", "number", 7), LH_DATA);
    assert_int_equal(error.code, LH_DATA);
    assert_int_equal(error.server_code, 0);
    assert_string_equal(error.lease_id, "");
    assert_string_equal(error.message, "number 7");
    assert_int_equal(lh_fail(NULL, LH_BUSY, "nobody reads it"), LH_BUSY);
    assert_int_equal(lh_fail_memory(&error), LH_MEMORY);
}

static void test_a_long_message_is_cut_at_a_character(void **state)
{
    (void)state;
    static const char *const characters[] = {"x", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x94\x92"};
    lh_error error = LH_ERROR_INIT;
    const size_t room = sizeof error.message - 1;
    for (size_t width = 1; width <= 4; width++) {
        for (size_t shift = 0; shift < 5; shift++) { /* so that every cut is met */
            char text[1200] = "";
            memset(text, 'a', shift);
            while (strlen(text) < 1000)
                (void)strcat(text, characters[width - 1]);
            (void)lh_fail(&error, LH_BUG, "%s", text);
            size_t len = strlen(error.message);
            assert_true(len <= room && len > room - width);
            assert_int_equal((len - shift) % width, 0); /* whole characters */
            assert_memory_equal(error.message, text, len);
        }
    }
}

static void test_cutting(void **state)
{
    (void)state;
    char text[] = "a\xe2\x82\xac";
    lh_cut_utf8(text, 4);
    assert_int_equal(strlen(text), 4);
    lh_cut_utf8(text, 3);
    assert_string_equal(text, "a");
    lh_cut_utf8(text, 0);
    assert_string_equal(text, "");
    char garbage[] = "\x80\x80\x80\x80";
    lh_cut_utf8(garbage, 2);
    assert_string_equal(garbage, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_outcome_has_a_word_and_a_sentence_of_its_own),
        cmocka_unit_test(test_words_for_reasons),
        cmocka_unit_test(test_every_reason_has_a_word_of_its_own_and_an_outcome),
        cmocka_unit_test(test_failing_fills_the_error_and_gives_its_code),
        cmocka_unit_test(test_a_long_message_is_cut_at_a_character),
        cmocka_unit_test(test_cutting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

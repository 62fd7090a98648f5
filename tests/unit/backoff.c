/* SPDX-License-Identifier: Apache-2.0
 * Delays double up to their cap, lie between half and all of their step, and differ between
 * seeds. */
#include "unit.h"

#include "base/backoff.h"

static void test_delays_double_up_to_the_cap(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++) {
        lh_backoff backoff = lh_backoff_from(10, 250, seed);
        static const int64_t steps[] = {10, 20, 40, 80, 160, 250, 250, 250};
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            int64_t ms = lh_backoff_next(&backoff);
            assert_true(ms >= steps[i] / 2 && ms <= steps[i]);
        }
    }
}

static void test_extreme_steps_do_not_overflow(void **state)
{
    (void)state;
    lh_backoff backoff = lh_backoff_from(1, INT64_MAX, 1);
    for (int i = 0; i < 100; i++)
        assert_true(lh_backoff_next(&backoff) >= 0);
    backoff = lh_backoff_from(0, 0, 1);
    assert_int_equal(lh_backoff_next(&backoff), 0);
    backoff = lh_backoff_from(1, 1, 1);
    for (int i = 0; i < 10; i++)
        assert_in_range(lh_backoff_next(&backoff), 0, 1);
}

static void test_seeds_spread(void **state)
{
    (void)state;
    int seen[101] = {0}, different = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        lh_backoff backoff = lh_backoff_from(100, 100, seed);
        different += seen[lh_backoff_next(&backoff)]++ == 0;
    }
    assert_true(different > 40); /* of the 51 between half and all */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delays_double_up_to_the_cap),
        cmocka_unit_test(test_extreme_steps_do_not_overflow),
        cmocka_unit_test(test_seeds_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Which grants a waiter believes, and until when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "acquire/wait_belief.h"
#include "base/clock.h"
#include "lease/lease_held.h"

static void counts_from_the_beat_that_the_grant_names(void **state)
{
    (void)state;
    lh_beats beats = {0};
    for (int64_t n = 0; n < 5; n++)
        assert_int_equal(lh_beats_add(&beats, 1000 + n * 100), n);
    for (int64_t n = 0; n < 5; n++)
        assert_int_equal(lh_beats_deadline(&beats, n, 30000, 5000),
                         1000 + n * 100 + 5000 - LH_DRIFT_MS(5000));
}

static void believes_for_the_lesser_of_ttl_and_claim(void **state)
{
    (void)state;
    lh_beats beats = {0};
    (void)lh_beats_add(&beats, 1000);
    assert_int_equal(lh_beats_deadline(&beats, 0, 2000, 5000), 1000 + 2000 - LH_DRIFT_MS(2000));
    assert_int_equal(lh_beats_deadline(&beats, 0, 60000, 5000), 1000 + 5000 - LH_DRIFT_MS(5000));
}

static void believes_no_beat_that_was_not_sent(void **state)
{
    (void)state;
    lh_beats beats = {0};
    assert_int_equal(lh_beats_deadline(&beats, 0, 30000, 5000), 0);
    (void)lh_beats_add(&beats, 1000);
    assert_int_equal(lh_beats_deadline(&beats, 1, 30000, 5000), 0);
    assert_int_equal(lh_beats_deadline(&beats, -1, 30000, 5000), 0);
    assert_int_equal(lh_beats_deadline(&beats, INT64_MAX, 30000, 5000), 0);
}

static void forgets_what_is_old(void **state)
{
    (void)state;
    lh_beats beats = {0};
    for (int64_t n = 0; n < 100; n++)
        (void)lh_beats_add(&beats, 1000 + n);
    for (int64_t n = 0; n < 100; n++) {
        int64_t deadline = lh_beats_deadline(&beats, n, 30000, 5000);
        assert_int_equal(deadline,
                         n < 100 - LH_BEATS_KEPT ? 0 : 1000 + n + 5000 - LH_DRIFT_MS(5000));
    }
}

/* How far the server's clock is ahead: what an answer allows, and no guess that it refutes. */
static void test_the_servers_clock(void **state)
{
    (void)state;
    const struct {
        int64_t ahead, server, sent, received, now_ahead;
    } cases[] = {
        {INT64_MIN, 5000, 1000, 1000, 4000},
        {INT64_MIN, 5000, 1000, 1010, 3995}, /* the first */
        {4000, 9000, 5000, 5010, 4000},
        {4000, 9000, 4990, 5000, 4000}, /* allowed, to both ends */
        {4000, 9000, 5001, 5011, 3999},
        {4000, 9000, 4980, 4990, 4010}, /* a little off */
        {4000, 9000, 5000, 65000, 4000},
        {-1, -9000, 5000, 5004, -14000}, /* a slow answer; another clock */
        {0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(
            lh_clock_ahead(cases[i].ahead, cases[i].server, cases[i].sent, cases[i].received),
            cases[i].now_ahead);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_servers_clock),
        cmocka_unit_test(counts_from_the_beat_that_the_grant_names),
        cmocka_unit_test(believes_for_the_lesser_of_ttl_and_claim),
        cmocka_unit_test(believes_no_beat_that_was_not_sent),
        cmocka_unit_test(forgets_what_is_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Which grants a waiter believes, and until when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lease_held.h"
#include "wait_belief.h"

static void counts_from_the_beat_that_the_grant_names(void **state)
{
    (void)state;
    lh_beats beats = {0};
    for (int64_t n = 0; n < 5; n++)
        assert_int_equal(lh_beats_add(&beats, 1000 + n * 100), n);
    for (int64_t n = 0; n < 5; n++)
        assert_int_equal(lh_beats_deadline(&beats, n, 30000, 5000), 1000 + n * 100 + 5000 - LH_DRIFT_MS(5000));
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
        assert_int_equal(deadline, n < 100 - LH_BEATS_KEPT ? 0 : 1000 + n + 5000 - LH_DRIFT_MS(5000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_from_the_beat_that_the_grant_names),
        cmocka_unit_test(believes_for_the_lesser_of_ttl_and_claim),
        cmocka_unit_test(believes_no_beat_that_was_not_sent),
        cmocka_unit_test(forgets_what_is_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

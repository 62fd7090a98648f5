/* SPDX-License-Identifier: Apache-2.0
 * The heap of what is due, beside a plain array that is looked through. */
#include "base/due.h"

#include "unit.h"

enum { N = 300 };

typedef struct {
    int number;
    lh_due due;
} thing;

static thing things[N];
static lh_due *heap;

static void begin(void)
{
    heap = NULL;
    for (int i = 0; i < N; i++)
        things[i] = (thing){.number = i, .due = LH_DUE_NEVER};
}

static int64_t least_of(const int64_t *at)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < N; i++)
        least = at[i] < least ? at[i] : least;
    return least;
}

static void nothing_is_due_in_an_empty_heap(void **state)
{
    (void)state;
    begin();
    assert_true(lh_due_next(heap) == INT64_MAX);
    lh_due_set(&heap, &things[0].due, INT64_MAX);
    assert_null(heap);
    lh_due_set(&heap, &things[0].due, 5);
    assert_int_equal(lh_due_next(heap), 5);
    lh_due_set(&heap, &things[0].due, INT64_MAX);
    assert_null(heap);
}

static void gives_all_in_order(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < N; i++)
        lh_due_set(&heap, &things[i].due, (i * 7919) % N);
    for (int i = 0; i < N; i++) {
        thing *first = lh_due_of(heap, thing, due);
        assert_int_equal((first->number * 7919) % N, i);
        assert_ptr_equal(first, &things[first->number]);
        lh_due_set(&heap, heap, INT64_MAX);
    }
    assert_null(heap);
}

/* Sooner, later, out and in again, in any order: always the least is first. */
static void agrees_with_an_array(void **state)
{
    (void)state;
    begin();
    int64_t at[N];
    uint64_t d = 4711;
    for (int i = 0; i < N; i++)
        at[i] = INT64_MAX;
    for (int round = 0; round < 50000; round++) {
        int i = (int)roll(&d, N);
        at[i] = roll(&d, 4) == 0 ? INT64_MAX : (int64_t)roll(&d, 1000);
        lh_due_set(&heap, &things[i].due, at[i]);
        assert_true(lh_due_next(heap) == least_of(at));
        if (roll(&d, 3) == 0 && heap) {
            thing *first = lh_due_of(heap, thing, due);
            assert_true(first->due.at == at[first->number]);
            at[first->number] = INT64_MAX;
            lh_due_set(&heap, heap, INT64_MAX);
            assert_true(first->due.at == INT64_MAX);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_due_in_an_empty_heap),
        cmocka_unit_test(gives_all_in_order),
        cmocka_unit_test(agrees_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

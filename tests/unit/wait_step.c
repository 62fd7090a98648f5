/* SPDX-License-Identifier: Apache-2.0
 * The steps of a waiter: every event in every state, and long random histories of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <leasehold/error.h>

#include "acquire/wait_step.h"

#define NOW    1000
#define NEVER  INT64_MAX
#define STATES (LH_WAIT_SETTLED + 1)

/* Short names for the table. */
enum {
    NEW = LH_WAIT_NEW,
    QUEUED = LH_WAIT_QUEUED,
    ASKING = LH_WAIT_ASKING,
    ASKING_SPENT = LH_WAIT_ASKING_SPENT,
    SPENT = LH_WAIT_SPENT,
    RETIRING = LH_WAIT_RETIRING,
    STOPPING = LH_WAIT_STOPPING,
    LEAVING = LH_WAIT_LEAVING,
    SETTLED_ASKING = LH_WAIT_SETTLED_ASKING,
    SETTLED = LH_WAIT_SETTLED
};
enum {
    ASK = LH_WAIT_DO_ASK,
    RETIRE = LH_WAIT_DO_RETIRE,
    LEAVE = LH_WAIT_DO_LEAVE,
    DRAW = LH_WAIT_DO_DRAW,
    NOTE = LH_WAIT_DO_NOTE,
    DOUBT = LH_WAIT_DO_DOUBT,
    SETTLE = LH_WAIT_DO_SETTLE
};
#define KEPT -1 /* the outcome stays as it was */

/* ---- One step ---------------------------------------------------------------------------------*/

typedef struct {
    const char *what;
    int state;
    lh_wait_event event;
    int next; /* the state after it */
    unsigned actions;
    int64_t ask_at;
    int outcome; /* once settled, or while it leaves */
} row;

#define ANSWER(...)                                                                                \
    {                                                                                              \
        .kind = LH_WAIT_REPLIED, .now = NOW, .outcome = __VA_ARGS__                                \
    }
#define DUE                                                                                        \
    {                                                                                              \
        .kind = LH_WAIT_DUE, .now = NOW                                                            \
    }
#define GRANT(result, spent)                                                                       \
    {                                                                                              \
        .kind = LH_WAIT_GRANTED, .now = NOW, .outcome = (result), .token = 7, .spends = (spent)    \
    }
#define STOP(result)                                                                               \
    {                                                                                              \
        .kind = LH_WAIT_STOP, .now = NOW, .outcome = (result)                                      \
    }
#define LEFT(result, record)                                                                       \
    {                                                                                              \
        .kind = LH_WAIT_LEFT, .now = NOW, .outcome = (result), .has_record = (record)              \
    }

static const row rows[] = {
    /* DUE */
    {"is asked for", NEW, DUE, ASKING, ASK, NEVER, KEPT},
    {"is asked for again", QUEUED, DUE, ASKING, ASK, NEVER, KEPT},
    {"leaves under the spent id", SPENT, DUE, RETIRING, RETIRE, NEVER, KEPT},

    /* ANSWERED: the question */
    {"is granted", ASKING, ANSWER(LH_OK, .granted = true, .token = 9), SETTLED, SETTLE, NEVER,
     LH_OK},
    {"is granted, and cannot be kept", ASKING, ANSWER(LH_MEMORY, .granted = true), SETTLED, SETTLE,
     NEVER, LH_MEMORY},
    {"is granted by its own question after a late grant", ASKING_SPENT,
     ANSWER(LH_OK, .granted = true), SETTLED, SETTLE, NEVER, LH_OK},
    {"is queued", ASKING, ANSWER(LH_BUSY, .place = 3), QUEUED, NOTE, NEVER, KEPT},
    {"is queued, and was granted too late meanwhile", ASKING_SPENT, ANSWER(LH_BUSY, .place = 0),
     SPENT, NOTE, NOW, KEPT},
    {"finds the queue full", ASKING, ANSWER(LH_BUSY, .place = -1), SETTLED, NOTE | SETTLE, NEVER,
     LH_BUSY},
    {"loses a race", ASKING, ANSWER(LH_OK, .next = LH_NEXT_RACE), QUEUED, 0, NOW + LH_WAIT_RACE_MS,
     KEPT},
    {"loses a race with a spent id", ASKING_SPENT, ANSWER(LH_OK, .next = LH_NEXT_RACE), SPENT, 0,
     NOW + LH_WAIT_RACE_MS, KEPT},
    {"needs another id", ASKING, ANSWER(LH_OK, .next = LH_NEXT_NEW_ID), QUEUED, DRAW, NOW, KEPT},
    {"needs another id than the spent one", ASKING_SPENT, ANSWER(LH_OK, .next = LH_NEXT_NEW_ID),
     QUEUED, DRAW, NOW, KEPT},
    {"is not answered", ASKING, ANSWER(LH_UNKNOWN, .jitter_ms = 5), QUEUED, 0,
     NOW + LH_WAIT_RETRY_MS + 5, KEPT},
    {"finds no server", ASKING, ANSWER(LH_UNREACHABLE, .jitter_ms = 0), QUEUED, 0,
     NOW + LH_WAIT_RETRY_MS, KEPT},
    {"finds no server with a spent id", ASKING_SPENT, ANSWER(LH_UNREACHABLE), SPENT, 0,
     NOW + LH_WAIT_RETRY_MS, KEPT},
    {"is refused", ASKING, ANSWER(LH_DENIED), SETTLED, SETTLE, NEVER, LH_DENIED},
    {"has no memory for the answer, and may be queued", ASKING, ANSWER(LH_MEMORY), LEAVING, LEAVE,
     NEVER, LH_MEMORY},
    {"ends what was stopped: its stopper leaves", STOPPING, ANSWER(LH_BUSY, .place = 1), LEAVING, 0,
     NEVER, LH_CANCELLED},
    {"is granted although it was stopped", STOPPING, ANSWER(LH_OK, .granted = true), LEAVING, 0,
     NEVER, LH_CANCELLED},
    {"is granted twice", SETTLED_ASKING, ANSWER(LH_OK, .granted = true, .token = 7), SETTLED, 0,
     NEVER, KEPT},
    {"is granted once more, later", SETTLED_ASKING, ANSWER(LH_OK, .granted = true, .token = 8),
     SETTLED, DOUBT, NEVER, KEPT},
    {"is queued behind its own end", SETTLED_ASKING, ANSWER(LH_BUSY, .place = 0, .token = 7),
     SETTLED, DOUBT, NEVER, KEPT},
    {"was queued before its grant", SETTLED_ASKING, ANSWER(LH_BUSY, .place = 0, .token = 6),
     SETTLED, 0, NEVER, KEPT},
    {"was not queued", SETTLED_ASKING, ANSWER(LH_BUSY, .place = -1, .token = 8), SETTLED, 0, NEVER,
     KEPT},

    /* ANSWERED: leaving under a spent id */
    {"begins anew", RETIRING, ANSWER(LH_OK, .next = LH_NEXT_NEW_ID), QUEUED, DRAW, NOW, KEPT},
    {"cannot leave yet", RETIRING, ANSWER(LH_UNREACHABLE), SPENT, 0, NOW + LH_WAIT_RETRY_MS, KEPT},
    {"may not leave", RETIRING, ANSWER(LH_DENIED), LEAVING, LEAVE, NEVER, LH_DENIED},

    /* GRANTED */
    {"believes a grant", QUEUED, GRANT(LH_OK, true), SETTLED, SETTLE, NEVER, LH_OK},
    {"believes a grant while asking", ASKING, GRANT(LH_OK, true), SETTLED_ASKING, SETTLE, NEVER,
     LH_OK},
    {"hears that its id is in doubt", QUEUED, GRANT(LH_LOST, true), SETTLED, SETTLE, NEVER,
     LH_LOST},
    {"hears of it too late", QUEUED, GRANT(LH_BUSY, true), SPENT, 0, NOW, KEPT},
    {"hears of it too late while asking", ASKING, GRANT(LH_BUSY, true), ASKING_SPENT, 0, NOW, KEPT},
    {"hears a hint", QUEUED, GRANT(LH_BUSY, false), QUEUED, 0, NOW, KEPT},
    {"hears a hint while asking", ASKING, GRANT(LH_BUSY, false), ASKING, 0, NEVER, KEPT},

    /* STOP */
    {"is stopped before anything was sent", NEW, STOP(LH_CLOSED), SETTLED, SETTLE, NEVER,
     LH_CLOSED},
    {"is stopped", QUEUED, STOP(LH_BUSY), LEAVING, LEAVE, NEVER, LH_BUSY},
    {"is stopped with a spent id", SPENT, STOP(LH_CANCELLED), LEAVING, LEAVE, NEVER, LH_CANCELLED},
    {"is stopped while asking", ASKING, STOP(LH_BUSY), STOPPING, LEAVE, NEVER, LH_BUSY},
    {"is stopped while asking with a spent id", ASKING_SPENT, STOP(LH_BUSY), STOPPING, LEAVE, NEVER,
     LH_BUSY},
    {"is stopped while it leaves under a spent id", RETIRING, STOP(LH_BUSY), STOPPING, LEAVE, NEVER,
     LH_BUSY},

    /* LEFT */
    {"has left", LEAVING, LEFT(LH_OK, true), SETTLED, SETTLE, NEVER, LH_CANCELLED},
    {"cannot leave, and surely is not queued", LEAVING, LEFT(LH_UNREACHABLE, true), SETTLED,
     DOUBT | SETTLE, NEVER, LH_UNREACHABLE},
    {"may not leave at all", LEAVING, LEFT(LH_DENIED, true), SETTLED, DOUBT | SETTLE, NEVER,
     LH_DENIED},

    /* CLOSE */
    {"is closed", NEW, {.kind = LH_WAIT_CLOSE}, SETTLED, SETTLE, NEVER, LH_CLOSED},
    {"is closed in the queue", QUEUED, {.kind = LH_WAIT_CLOSE}, SETTLED, SETTLE, NEVER, LH_CLOSED},
    {"is closed with a spent id",
     SPENT,
     {.kind = LH_WAIT_CLOSE},
     SETTLED,
     SETTLE,
     NEVER,
     LH_CLOSED},
    {"is closed while asking",
     ASKING,
     {.kind = LH_WAIT_CLOSE},
     SETTLED_ASKING,
     SETTLE,
     NEVER,
     LH_CLOSED},
    {"is closed while asking, spent",
     ASKING_SPENT,
     {.kind = LH_WAIT_CLOSE},
     SETTLED_ASKING,
     SETTLE,
     NEVER,
     LH_CLOSED},
    {"is closed while retiring",
     RETIRING,
     {.kind = LH_WAIT_CLOSE},
     SETTLED_ASKING,
     SETTLE,
     NEVER,
     LH_CLOSED},

    /* MISSED, ENDED */
    {"is in no queue", QUEUED, {.kind = LH_WAIT_MISSED, .now = NOW}, QUEUED, 0, NOW, KEPT},
    {"is in no queue, spent", SPENT, {.kind = LH_WAIT_MISSED, .now = NOW}, SPENT, 0, NOW, KEPT},
    {"outlives the holder", QUEUED, {.kind = LH_WAIT_ENDED, .now = NOW}, QUEUED, 0, NOW, KEPT},
    {"outlives the holder, spent", SPENT, {.kind = LH_WAIT_ENDED, .now = NOW}, SPENT, 0, NOW, KEPT},
};

/* As it is when it comes into that state. */
static lh_wait_core in_state(int state)
{
    lh_wait_core core = {.state = (lh_wait_state)state, .ask_at = NEVER, .place = -1};
    core.stored = state == SPENT || state == RETIRING || state == ASKING_SPENT;
    if (state == STOPPING || state == LEAVING)
        core.outcome = LH_CANCELLED;
    if (state == SETTLED_ASKING || state == SETTLED)
        core.token = 7;
    return core;
}

static void check(const row *r)
{
    lh_wait_core core = in_state(r->state);
    int before = core.outcome;
    unsigned actions = lh_wait_step(&core, &r->event);
    bool good = (int)core.state == r->next && actions == r->actions && core.ask_at == r->ask_at &&
                core.outcome == (r->outcome == KEPT ? before : r->outcome);
    if (!good)
        fail_msg("a waiter in state %d that %s: state %d, actions %u, at %lld, outcome %d",
                 r->state, r->what, (int)core.state, actions, (long long)core.ask_at, core.outcome);
}

static void takes_every_step_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(&rows[i]);
}

static bool is_in_table(int state, lh_wait_event_kind kind)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].state == state && rows[i].event.kind == kind)
            return true;
    }
    return false;
}

/* No other event changes anything. An answer without a command is an assertion. */
static void ignores_every_other_event(void **state)
{
    (void)state;
    for (int s = NEW; s <= SETTLED; s++) {
        for (int kind = LH_WAIT_DUE; kind <= LH_WAIT_ENDED; kind++) {
            if (is_in_table(s, (lh_wait_event_kind)kind) || kind == LH_WAIT_REPLIED ||
                kind == LH_WAIT_LEFT)
                continue;
            lh_wait_core core = in_state(s), before = core;
            lh_wait_event event = {
                .kind = (lh_wait_event_kind)kind, .now = NOW, .outcome = LH_BUSY, .spends = true};
            assert_int_equal(lh_wait_step(&core, &event), 0);
            assert_memory_equal(&core, &before, sizeof core);
        }
    }
}

static void an_id_of_the_caller_has_no_other(void **state)
{
    (void)state;
    static const int states[] = {ASKING, ASKING_SPENT, RETIRING};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        lh_wait_core core = in_state(states[i]);
        core.own_id = true;
        lh_wait_event event = ANSWER(LH_OK, .next = LH_NEXT_NEW_ID);
        assert_int_equal(lh_wait_step(&core, &event), SETTLE);
        assert_int_equal(core.state, SETTLED);
        assert_int_equal(core.outcome, LH_LOST);
    }
}

/* Only an answer by which it may be stored makes a refusal of the next question leave the queue. */
static void remembers_that_it_may_be_stored(void **state)
{
    (void)state;
    static const struct {
        int first;
        bool stored;
    } cases[] = {{LH_BUSY, true}, {LH_UNKNOWN, true}, {LH_UNREACHABLE, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lh_wait_core core = in_state(ASKING);
        lh_wait_event first = ANSWER(cases[i].first, .place = 0), second = ANSWER(LH_DENIED),
                      due = DUE;
        (void)lh_wait_step(&core, &first);
        (void)lh_wait_step(&core, &due);
        (void)lh_wait_step(&core, &second);
        assert_int_equal(core.state, cases[i].stored ? LEAVING : SETTLED);
    }
}

static void what_may_arrive_later_is_a_doubt(void **state)
{
    (void)state;
    static const int64_t sent[] = {NOW + 99, NOW + 100};
    for (size_t i = 0; i < 2; i++) {
        lh_wait_core core = in_state(ASKING);
        lh_wait_event unsure = ANSWER(LH_BUSY, .place = 0, .unsure = true, .sure_at = NOW + 100),
                      stopped = STOP(LH_BUSY), left = LEFT(LH_OK, true);
        left.now = sent[i];
        (void)lh_wait_step(&core, &unsure);
        (void)lh_wait_step(&core, &stopped);
        assert_int_equal(lh_wait_step(&core, &left), i == 0 ? DOUBT | SETTLE : SETTLE);
    }
}

static void leaving_in_vain_is_unknown_where_it_may_be_stored(void **state)
{
    (void)state;
    lh_wait_core core = in_state(LEAVING);
    core.stored = true;
    lh_wait_event left = LEFT(LH_UNREACHABLE, true);
    assert_int_equal(lh_wait_step(&core, &left), DOUBT | SETTLE);
    assert_int_equal(core.outcome, LH_UNKNOWN);
}

static void busy_without_a_holder_is_out_of_memory(void **state)
{
    (void)state;
    lh_wait_core core = in_state(LEAVING);
    core.outcome = LH_BUSY;
    lh_wait_event left = LEFT(LH_OK, false);
    assert_int_equal(lh_wait_step(&core, &left), SETTLE);
    assert_int_equal(core.outcome, LH_MEMORY);
}

/* ---- Histories --------------------------------------------------------------------------------*/

static uint64_t dice;

static int roll(int sides)
{
    dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((dice >> 33) % (uint64_t)sides);
}

static lh_wait_event any_event(const lh_wait_core *core, int64_t now)
{
    static const int outcomes[] = {LH_OK,     LH_BUSY,   LH_UNKNOWN, LH_UNREACHABLE,
                                   LH_MEMORY, LH_DENIED, LH_LOST};
    static const lh_next nexts[] = {LH_NEXT_DONE, LH_NEXT_DONE, LH_NEXT_RACE, LH_NEXT_NEW_ID};
    lh_wait_event event = {.kind = (lh_wait_event_kind)roll(LH_WAIT_ENDED + 1),
                           .now = now,
                           .outcome = outcomes[roll(7)],
                           .next = nexts[roll(4)],
                           .granted = roll(4) == 0,
                           .unsure = roll(4) == 0,
                           .sure_at = now + roll(1000),
                           .place = roll(4) - 1,
                           .token = roll(20) + 1,
                           .jitter_ms = roll(LH_WAIT_RETRY_MS),
                           .spends = roll(2) == 0,
                           .has_record = roll(2) == 0};
    if (event.kind == LH_WAIT_REPLIED && !lh_wait_is_under_way(core->state))
        event.kind = LH_WAIT_DUE; /* nothing was asked */
    if (event.kind == LH_WAIT_LEFT && core->state != LH_WAIT_LEAVING)
        event.kind = LH_WAIT_GRANTED;
    if (event.granted)
        event.next = LH_NEXT_DONE;
    if (event.kind == LH_WAIT_STOP)
        event.outcome = roll(2) ? LH_BUSY : LH_CANCELLED;
    return event;
}

/* What must hold of every step, whatever came before. */
static void must_hold(const lh_wait_core *before, const lh_wait_event *event,
                      const lh_wait_core *after, unsigned actions)
{
    bool was_under_way = lh_wait_is_under_way(before->state);
    /* one command at a time */
    if (actions & (ASK | RETIRE))
        assert_true(!was_under_way && lh_wait_is_under_way(after->state));
    /* a command ends only by its answer */
    if (was_under_way && event->kind != LH_WAIT_REPLIED)
        assert_true(lh_wait_is_under_way(after->state));
    /* settled once, and for good */
    if (lh_wait_is_settled(before->state)) {
        assert_true(lh_wait_is_settled(after->state));
        assert_int_equal(after->outcome, before->outcome);
        assert_false(actions & ~(unsigned)DOUBT);
    }
    assert_true(!!(actions & SETTLE) ==
                (lh_wait_is_settled(after->state) && !lh_wait_is_settled(before->state)));
    /* no way back into the table */
    if (!lh_wait_is_waiting(before->state))
        assert_false(lh_wait_is_waiting(after->state));
    /* a waiter that only waits has a command due, or an answer that says what it waits for */
    if (after->state == LH_WAIT_SPENT)
        assert_true(after->ask_at != NEVER);
    /* a spent id is believed by nobody but through its own question */
    if (before->state == LH_WAIT_SPENT || before->state == LH_WAIT_RETIRING)
        assert_false(event->kind == LH_WAIT_GRANTED && actions);
    /* what may be stored is left, or is in doubt, or holds, or the closing takes it out */
    if ((actions & SETTLE) && before->stored && event->kind == LH_WAIT_REPLIED)
        assert_true(event->granted || event->outcome == LH_BUSY || event->next == LH_NEXT_NEW_ID);
}

/* However it comes: from here a stop, and the answers, end it in three steps. */
static void must_end(lh_wait_core core, int64_t now)
{
    lh_wait_event events[] = {{.kind = LH_WAIT_STOP, .now = now, .outcome = LH_BUSY},
                              {.kind = LH_WAIT_REPLIED, .now = now, .outcome = LH_BUSY},
                              {.kind = LH_WAIT_LEFT, .now = now, .outcome = LH_OK}};
    (void)lh_wait_step(&core, &events[0]);
    if (lh_wait_is_under_way(core.state))
        (void)lh_wait_step(&core, &events[1]);
    if (core.state == LH_WAIT_LEAVING)
        (void)lh_wait_step(&core, &events[2]);
    assert_int_equal(core.state, LH_WAIT_SETTLED);
}

static void holds_in_random_histories(void **state)
{
    (void)state;
    unsigned visited = 0;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        dice = seed;
        lh_wait_core core = {.ask_at = NEVER, .place = -1, .own_id = roll(4) == 0};
        int64_t now = NOW;
        for (int step = 0; step < 40 && core.state != LH_WAIT_SETTLED; step++) {
            lh_wait_event event = any_event(&core, now += roll(300));
            lh_wait_core before = core;
            unsigned actions = lh_wait_step(&core, &event);
            must_hold(&before, &event, &core, actions);
            must_end(core, now);
            visited |= 1U << core.state;
        }
    }
    assert_int_equal(visited, (1U << STATES) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_step_of_the_table),
        cmocka_unit_test(ignores_every_other_event),
        cmocka_unit_test(an_id_of_the_caller_has_no_other),
        cmocka_unit_test(remembers_that_it_may_be_stored),
        cmocka_unit_test(what_may_arrive_later_is_a_doubt),
        cmocka_unit_test(leaving_in_vain_is_unknown_where_it_may_be_stored),
        cmocka_unit_test(busy_without_a_holder_is_out_of_memory),
        cmocka_unit_test(holds_in_random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

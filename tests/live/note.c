/* SPDX-License-Identifier: Apache-2.0
 * The note that a holder leaves: who gets it, by whatever way the key is granted; and that it is
 * not there when somebody else held the key since. */
#include "live.h"

static void leave(ground *g, lh_lease *lease, const char *note)
{
    lh_release_options o = LH_RELEASE_OPTIONS_INIT;
    o.note = note;
    expect(g, LH_OK, lh_lease_release_with(lease, &o, &g->error));
    lh_lease_free(lease);
}

static void expect_note_at(ground *g, lh_lease *lease, const char *text, int64_t token, int line)
{
    const lh_note *note = NULL;
    int outcome = lh_lease_note(lease, &note, &g->error);
    expect_at(LH_OK, outcome, &g->error, "lh_lease_note", __FILE__, line);
    if (strcmp(note ? note->text : "", text ? text : "") != 0 ||
        (text && token && note->token != token)) {
        print_error("line %d: the note is %s (%lld)\n", line, note ? note->text : "none",
                    note ? (long long)note->token : 0);
        fail();
    }
    if (note)
        assert_true(note->at_ms > 0);
}
#define expect_note(g, lease, text, token) expect_note_at((g), (lease), (text), (token), __LINE__)

/* The next to hold "k" finds this note, and leaves nothing itself. */
static void next_finds_at(ground *g, const char *text, int64_t token, int line)
{
    lh_lease *lease = take(g, "k");
    expect_note_at(g, lease, text, token, line);
    give(g, lease);
}
#define next_finds(g, text, token) next_finds_at((g), (text), (token), __LINE__)

static void test_the_next_holder_has_it_with_its_grant(void **state)
{
    ground *g = *state;
    lh_lease *first = take(g, "k");
    expect_note(g, first, NULL, 0);
    int64_t token = lh_lease_token(first);
    leave(g, first, "etag 7");
    lh_record *record = status_of(g, "k");
    assert_string_equal(record->note, "etag 7");
    assert_int_equal(record->note_token, token);
    assert_int_equal(record->note_at_ms, record->released_at_ms);
    lh_record_free(record);
    lh_lease *second = take(g, "k");
    break_commands(g, 0, "'find', 'findAndModify', 'update', 'aggregate'", "'errorCode': 13");
    expect_note(g, second, "etag 7", token); /* without a command */
    mend_commands(g);
    give(g, second);
    next_finds(g, NULL, 0); /* a release without one takes it away */
}

static void test_every_other_end_takes_it_away(void **state)
{
    ground *g = *state;
    lh_break_options broken = LH_BREAK_OPTIONS_INIT;
    broken.reason = "stuck";
    char to[LH_LEASE_ID_LEN + 1];
    lh_acquire_options resume = LH_ACQUIRE_OPTIONS_INIT;
    resume.resume = resume.by_hand = true;
    resume.owner = "web-1";
    for (int how = 0; how < 7; how++) {
        leave(g, take(g, "k"), "before");
        lh_lease *lease = take_as(g, "k", LH_EXCLUSIVE, 30000, "web-1"), *other = NULL;
        expect_note(g, lease, "before", 0);
        if (how == 0) {
            end_it(g, "k", 60000); /* it died */
        } else if (how == 1) {
            expect(g, LH_OK, lh_break(g->store, "k", &broken, NULL, &g->error));
        } else if (how == 2) {
            expect(g, LH_OK, lh_lease_transfer(lease, "x", to, &g->error));
            expect(g, LH_OK, lh_lease_attach(g->store, "k", to, &other, &g->error));
            expect(g, LH_OK, lh_lease_renew(other, 0, NULL, &g->error));
            expect_note(g, other, NULL, 0);
            end_it(g, "k", 60000);
        } else if (how == 3) {
            expect(g, LH_OK, lh_acquire(g->store, "k", &resume, &other, NULL, &g->error));
            expect_note(g, other, NULL, 0);
            expect(g, LH_OK, lh_lease_release(other, &g->error));
        } else if (how == 4) {
            delete_key(g, "id", lh_lease_id(lease)); /* older code */
        } else if (how == 5) { /* older code that takes what has ended, in place, until its end */
            expect(g, LH_OK, lh_lease_release(lease, &g->error));
            change(g, "k",
                   json("{'0': {'$set': {'id': 'old', 'expires_at': {'$subtract': ['$$NOW', "
                        "5000]}}}}"));
        } else { /* many at once: one command that releases them when the store is closed */
            lh_store_options options = store_options(g);
            expect(g, LH_OK, lh_lease_release(lease, &g->error));
            leave(g, take(g, "k"), "before");
            lh_store *store = open_store_with(g, &options);
            lh_lease *held[2] = {NULL};
            expect(g, LH_OK, lh_acquire(store, "k", NULL, &held[0], NULL, &g->error));
            expect(g, LH_OK, lh_acquire(store, "l", NULL, &held[1], NULL, &g->error));
            lh_store_close(store);
            lh_lease_free(held[0]);
            lh_lease_free(held[1]);
            assert_int_equal(state_of(g, "k"), LH_FREE);
        }
        lh_lease_free(lease);
        lh_lease_free(other);
        next_finds(g, NULL, 0);
    }
}

static void test_readers_pass_it_on(void **state)
{
    ground *g = *state;
    leave(g, take(g, "k"), "v1");
    lh_lease *a = take_as(g, "k", LH_SHARED, 30000, "a"),
             *b = take_as(g, "k", LH_SHARED, 30000, "b");
    expect_note(g, a, "v1", 0);
    expect_note(g, b, "v1", 0);
    give(g, a);
    a = take_as(g, "k", LH_SHARED, 30000, "a");
    expect_note(g, a, "v1", 0);
    int64_t token = lh_lease_token(b);
    leave(g, b, "seen by b"); /* others stay, whose tokens are higher */
    give(g, a);
    lh_lease *writer = take(g, "k");
    expect_note(g, writer, "seen by b", token);
    leave(g, writer, "v2");
    a = take_as(g, "k", LH_SHARED, 30000, "a"); /* the last reader is not released */
    change(g, "k", json("{'$set': {'shared.%s.expires_at': {'$date': 0}}}", lh_lease_id(a)));
    lh_lease_free(a);
    next_finds(g, NULL, 0);
}

/* By whom the key is handed on: a store in this process, or another one. */
static void hand_off(ground *g, lh_store *asker, int mode)
{
    lh_lease *holder = take(g, "k"), *lease = NULL;
    int64_t token = lh_lease_token(holder);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = 20000;
    o.mode = mode;
    lh_waiting *waiting = NULL;
    expect(g, LH_OK, lh_acquire_start(asker, "k", &o, &waiting, &g->error));
    leave(g, holder, "rev 12");
    expect(g, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &g->error));
    expect_note(g, lease, "rev 12", token);
    leave(g, lease, "");
    next_finds(g, mode == LH_SHARED ? "rev 12" : NULL, 0);
}

static void test_who_waits_gets_it(void **state)
{
    ground *g = *state;
    lh_store_options options = store_options(g);
    lh_store *other = open_store_with(g, &options);
    for (int mode = LH_EXCLUSIVE; mode <= LH_SHARED; mode++) {
        hand_off(g, g->store, mode);
        hand_off(g, other, mode);
    }
    lh_store_close(other);
}

static void test_many_keys_and_another_process_read_it(void **state)
{
    ground *g = *state;
    leave(g, take(g, "k"), "for many");
    const char *keys[] = {"k", "l"};
    lh_lease *leases[2] = {NULL}, *attached = NULL;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.by_hand = true;
    expect(g, LH_OK, lh_acquire_many(g->store, keys, 2, &o, leases, NULL, &g->error));
    expect_note(g, leases[0], "for many", 0);
    expect_note(g, leases[1], NULL, 0);
    expect(g, LH_OK, lh_lease_attach(g->store, "k", lh_lease_id(leases[0]), &attached, &g->error));
    break_commands(g, 0, "'find'", "'errorCode': 13");
    const lh_note *note = NULL;
    expect(g, LH_DENIED, lh_lease_note(attached, &note, &g->error));
    assert_null(note);
    mend_commands(g);
    expect_note(g, attached, "for many", 0);
    lh_lease_free(attached);
    expect(
        g, LH_OK,
        lh_lease_attach(g->store, "k", "00000000000000000000000000000001", &attached, &g->error));
    expect(g, LH_LOST, lh_lease_note(attached, &note, &g->error));
    lh_lease_free(attached);
    expect(g, LH_OK, lh_lease_attach(g->store, "k", lh_lease_id(leases[0]), &attached, &g->error));
    leave(g, attached, "by id alone"); /* its token is the document's word */
    next_finds(g, "by id alone", lh_lease_token(leases[0]));
    expect(g, LH_INVALID, lh_lease_note(NULL, &note, &g->error));
    lh_lease_free(leases[0]);
    give(g, leases[1]);
}

static void test_a_reader_known_by_its_id_alone_leaves_its_own_token(void **state)
{
    ground *g = *state;
    lh_lease *a = take_as(g, "k", LH_SHARED, 30000, "a"),
             *b = take_as(g, "k", LH_SHARED, 30000, "b"), *attached = NULL;
    expect(g, LH_OK, lh_lease_attach(g->store, "k", lh_lease_id(a), &attached, &g->error));
    leave(g, attached, "a's");
    lh_record *record = status_of(g, "k");
    assert_string_equal(record->note, "a's");
    assert_int_equal(record->note_token, lh_lease_token(a));
    assert_true(record->note_token < record->token);
    lh_record_free(record);
    lh_lease_free(a);
    give(g, b);
}

static void test_what_it_may_be(void **state)
{
    ground *g = *state;
    char longest[LH_TEXT_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[LH_TEXT_MAX + 1] = '\0';
    const char *refused[] = {longest, "two\nlines", "\x1b[2J", "cut \xc3", "\xc2\x80"};
    lh_lease *lease = take(g, "k");
    lh_release_options o = LH_RELEASE_OPTIONS_INIT;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        o.note = refused[i];
        expect(g, LH_INVALID, lh_lease_release_with(lease, &o, &g->error));
        expect_says(g, "note");
        assert_true(lh_lease_valid(lease));
    }
    longest[LH_TEXT_MAX] = '\0';
    const char *good[] = {longest,
                          "$token",
                          "$$ROOT",
                          "$$REMOVE",
                          "{\"$set\": 1}",
                          "a.b",
                          "\u202eevil", /* right to left */
                          "\xf0\x9f\x98\x80",
                          " ",
                          "0"};
    /* by the short form, and by the whole one */
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        leave(g, lease, good[i]);
        lh_lease *reader = take_as(g, "k", LH_SHARED, 30000, "r");
        expect_note(g, reader, good[i], 0);
        leave(g, reader, good[i]);
        lease = take(g, "k");
        expect_note(g, lease, good[i], 0);
    }
    give(g, lease);
}

static void test_a_repeated_release_leaves_no_other(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    lh_release_options o = LH_RELEASE_OPTIONS_INIT;
    o.note = "first";
    expect(g, LH_OK, lh_lease_release_with(lease, &o, &g->error));
    o.note = "second";
    expect(g, LH_OK, lh_lease_release_with(lease, &o, &g->error));
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    lh_lease_free(lease);
    next_finds(g, "first", 0);
}

static void test_what_others_stored_in_its_place_is_no_hindrance(void **state)
{
    ground *g = *state;
    static const struct {
        const char *stored, *shown;
    } cases[] = {{"7", NULL},
                 {"null", NULL},
                 {"[1, 'x']", NULL},
                 {"{'text': 7, 'token': 'x'}", NULL},
                 {"{'text': ''}", NULL},
                 {"{'text': {'$code': 'x'}}", NULL},
                 {"{'text': 'bare'}", "bare"},
                 {"{'text': 'a\\u0000b', 'token': [], 'at': 7}", "a?b"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lh_lease *lease = take(g, "k");
        give(g, lease);
        change(g, "k", json("{'$set': {'released.note': %s}}", cases[i].stored));
        lh_lease *reader = take_as(g, "k", LH_SHARED, 30000, "r");
        const lh_note *note = NULL;
        expect(g, LH_OK, lh_lease_note(reader, &note, &g->error));
        assert_string_equal(note ? note->text : "", cases[i].shown ? cases[i].shown : "");
        give(g, reader); /* passes it on, whatever it is */
        lh_record *record = status_of(g, "k");
        assert_int_equal(record->state, LH_FREE);
        assert_string_equal(record->note, cases[i].shown ? cases[i].shown : "");
        lh_record_free(record);
    }
    change(g, "k", json("{'$set': {'released': 'gone'}}"));
    end_it(g, "k", 60000);
    next_finds(g, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_the_next_holder_has_it_with_its_grant),
        live_test(test_every_other_end_takes_it_away),
        live_test(test_readers_pass_it_on),
        live_test(test_who_waits_gets_it),
        live_test(test_many_keys_and_another_process_read_it),
        live_test(test_a_reader_known_by_its_id_alone_leaves_its_own_token),
        live_test(test_what_it_may_be),
        live_test(test_a_repeated_release_leaves_no_other),
        live_test(test_what_others_stored_in_its_place_is_no_hindrance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

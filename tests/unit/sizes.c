/* SPDX-License-Identifier: Apache-2.0
 * Structs that a caller allocates, of every size: what is accepted, refused and written. Through
 * the public calls where they check it before they contact a server; byte for byte underneath. That
 * none is missing from the tables: api/test_ages.py. */
#include "unit.h"

#include <leasehold/mongo.h>

#include "base/error.h"
#include "base/options.h"

#define A_SIZE_T sizeof(size_t)

/* ---- The tables -------------------------------------------------------------------------------*/

typedef struct {
    const char *name;
    size_t known;
    const void *macro;
    void (*init)(void *ret, size_t size);
    int (*take)(void *ret, const void *given, lh_error *error);
} options_kind;

#define X(type, macro, ...)                                                                        \
    static const type type##_by_macro = macro##_INIT;                                              \
    static void type##_init_any(void *ret, size_t size)                                            \
    {                                                                                              \
        type##_init(ret, size);                                                                    \
    }
LH_OPTIONS(X)
LH_REPORTS(X)
X(lh_error, LH_ERROR, message)
#undef X

#define X(type, macro, last)                                                                       \
    static int type##_take_any(void *ret, const void *given, lh_error *error)                      \
    {                                                                                              \
        return type##_take(ret, given, error);                                                     \
    }
LH_OPTIONS(X)
#undef X

static const options_kind all_options[] = {
#define X(type, macro, last)                                                                       \
    {#type, sizeof(type), &type##_by_macro, type##_init_any, type##_take_any},
    LH_OPTIONS(X)
#undef X
};
#define N_OPTIONS (sizeof all_options / sizeof *all_options)

typedef struct {
    const char *name;
    size_t known;
    const void *macro;
    void (*init)(void *ret, size_t size);
} sized;

static const sized all_sized[] = {
#define X(type, ...) {#type, sizeof(type), &type##_by_macro, type##_init_any},
    LH_OPTIONS(X) LH_REPORTS(X) X(lh_error, LH_ERROR, message)
#undef X
};
#define N_SIZED (sizeof all_sized / sizeof *all_sized)

/* A store that asks nobody, and one whose server is not there; a lease of the first. */
typedef struct {
    lh_store *off, *store;
    lh_lease *lease;
} world;

static int no_record(void *arg, const lh_record *record)
{
    (void)arg, (void)record;
    return 1;
}

static int no_event(void *arg, const lh_event *event)
{
    (void)arg, (void)event;
    return 1;
}

static int no_entry(void *arg, const lh_audit_entry *entry)
{
    (void)arg, (void)entry;
    return 1;
}

static int no_finding(void *arg, const lh_finding *finding)
{
    (void)arg, (void)finding;
    return 1;
}

static int no_work(void *arg, lh_lease *lease)
{
    (void)arg, (void)lease;
    return LH_OK;
}

static bool no_transaction(mongoc_client_session_t *session, void *arg, bson_t **reply,
                           bson_error_t *why)
{
    (void)session, (void)arg, (void)reply, (void)why;
    return false;
}

/* Every public call that takes options or an error, the options with it: NULL where it takes
 * none. */
#define CALLS(X)                                                                                   \
    X(lh_store_open, lh_store_options, lh_store_open(options, (lh_store **)untouched, error))      \
    X(lh_roles, lh_store_options, lh_roles(options, (char **)untouched, error))                    \
    X(lh_acquire, lh_acquire_options,                                                              \
      lh_acquire(w->off, "k", options, (lh_lease **)untouched, NULL, error))                       \
    X(lh_acquire_many, lh_acquire_options,                                                         \
      lh_acquire_many(w->off, &a_key, 1, options, (lh_lease **)untouched, NULL, error))            \
    X(lh_acquire_start, lh_acquire_options,                                                        \
      lh_acquire_start(w->off, "k", options, (lh_waiting **)untouched, error))                     \
    X(lh_with_lease, lh_acquire_options,                                                           \
      lh_with_lease(w->off, "k", options, no_work, NULL, error))                                   \
    X(lh_lease_release_with, lh_release_options, lh_lease_release_with(w->lease, options, error))  \
    X(lh_list, lh_list_options, lh_list(w->store, options, no_record, NULL, error))                \
    X(lh_stats, lh_stats_options,                                                                  \
      lh_stats(w->store, options, (lh_stats_report **)untouched, error))                           \
    X(lh_watch, lh_watch_options, lh_watch(w->store, options, no_event, NULL, error))              \
    X(lh_break, lh_break_options,                                                                  \
      lh_break(w->store, "k", options, (lh_record **)untouched, error))                            \
    X(lh_cleanup, lh_cleanup_options, lh_cleanup(w->store, options, NULL, error))                  \
    X(lh_reap, lh_reap_options, lh_reap(w->store, options, NULL, NULL, NULL, error))               \
    X(lh_audit, lh_audit_options, lh_audit(w->store, options, no_entry, NULL, error))              \
    X(lh_migrate, lh_migrate_options, lh_migrate(w->store, options, NULL, error))                  \
    X(lh_doctor, lh_doctor_options, lh_doctor(w->store, options, no_finding, NULL, error))         \
    X(lh_store_observed, void, lh_store_observed(w->store, NULL, error))                           \
    X(lh_store_metrics, void, lh_store_metrics(w->store, NULL, error))                             \
    X(lh_key_check, void, lh_key_check("k", 1, error))                                             \
    X(lh_key_join, void, lh_key_join(&a_key, 1, (char **)untouched, error))                        \
    X(lh_cancel_new, void, lh_cancel_new((lh_cancel **)untouched, error))                          \
    X(lh_waiting_finish, void, finish(w, untouched, error))                                        \
    X(lh_waiting_cancel, void, cancel(w, error))                                                   \
    X(lh_lease_attach, void, lh_lease_attach(w->off, "k", an_id, (lh_lease **)untouched, error))   \
    X(lh_lease_keep, void, lh_lease_keep(w->lease, error))                                         \
    X(lh_lease_renew, void, lh_lease_renew(w->lease, 0, NULL, error))                              \
    X(lh_lease_release, void, lh_lease_release(w->lease, error))                                   \
    X(lh_lease_note, void, lh_lease_note(w->lease, (const lh_note **)note, error))                 \
    X(lh_lease_transfer, void, lh_lease_transfer(w->lease, "bob", (char *)untouched, error))       \
    X(lh_status, void, lh_status(w->store, "k", (lh_record **)untouched, error))                   \
    X(lh_status_by_id, void, lh_status_by_id(w->store, "1", (lh_record **)untouched, error))       \
    X(lh_lease_guard, void, lh_lease_guard(w->lease, NULL, NULL, error))                           \
    X(lh_with_guard, void, lh_with_guard(w->lease, NULL, no_transaction, NULL, error))             \
    X(lh_fenced_read, void, lh_fenced_read(w->lease, NULL, NULL, 0, NULL, error))                  \
    X(lh_fenced_write, void, lh_fenced_write(w->lease, NULL, NULL, NULL, NULL, error))

static const char *const a_key = "k", *const an_id = "0123456789abcdef0123456789abcdef";

/* Refused, they free nothing: the same is asked again, and is well. */
static int finish(world *w, void *untouched, lh_error *error)
{
    lh_waiting *waiting = NULL;
    lh_lease *lease = NULL;
    assert_int_equal(lh_acquire_start(w->off, "k", NULL, &waiting, NULL), LH_OK);
    int outcome = lh_waiting_finish(waiting, (lh_lease **)untouched, NULL, error);
    assert_int_equal(lh_waiting_finish(waiting, &lease, NULL, NULL), LH_OK);
    lh_lease_free(lease);
    return outcome;
}

static int cancel(world *w, lh_error *error)
{
    lh_waiting *waiting = NULL;
    assert_int_equal(lh_acquire_start(w->off, "k", NULL, &waiting, NULL), LH_OK);
    int outcome = lh_waiting_cancel(waiting, error);
    assert_int_equal(lh_waiting_cancel(waiting, NULL), LH_OK);
    return outcome;
}

#define X(name, type, call)                                                                        \
    static int call_##name(world *w, const type *options, void *untouched, lh_error *error)        \
    {                                                                                              \
        const lh_note *note_room = NULL, **note = &note_room;                                      \
        (void)w, (void)options, (void)untouched, (void)note;                                       \
        return call;                                                                               \
    }                                                                                              \
    static int any_##name(world *w, const void *options, void *untouched, lh_error *error)         \
    {                                                                                              \
        return call_##name(w, options, untouched, error);                                          \
    }
CALLS(X)
#undef X

static const struct {
    const char *name, *options; /* "void": none */
    int (*call)(world *w, const void *options, void *untouched, lh_error *error);
} calls[] = {
#define X(name, type, call) {#name, #type, any_##name},
    CALLS(X)
#undef X
};
#define N_CALLS (sizeof calls / sizeof *calls)

static int make_world(void **state)
{
    world *w = calloc(1, sizeof *w);
    lh_store_options o = LH_STORE_OPTIONS_INIT;
    o.rollout = LH_OFF;
    assert_int_equal(lh_store_open(&o, &w->off, NULL), LH_OK);
    o.rollout = LH_ENFORCE;
    o.uri = "mongodb://127.0.0.1:9/";
    o.timeout_ms = 100;
    o.at_open = LH_AT_OPEN_NOTHING;
    assert_int_equal(lh_store_open(&o, &w->store, NULL), LH_OK);
    assert_int_equal(lh_acquire(w->off, "held", NULL, &w->lease, NULL, NULL), LH_OK);
    *state = w;
    return 0;
}

static int end_world(void **state)
{
    world *w = *state;
    lh_lease_free(w->lease);
    lh_store_close(w->off);
    lh_store_close(w->store);
    free(w);
    return 0;
}

/* ---- Macros and functions ---------------------------------------------------------------------*/

static bool is_filled(const unsigned char *bytes, size_t n, int with)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != with)
            return false;
    return true;
}

static void test_macro_and_function_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SIZED; i++) {
        const sized *s = &all_sized[i];
        unsigned char room[1024];
        memset(room, 0xAA, sizeof room);
        assert_true(s->known + 64 <= sizeof room);
        s->init(room, s->known);
        assert_memory_equal(room, s->macro, s->known);
        assert_true(is_filled(room + s->known, sizeof room - s->known, 0xAA));
    }
}

static void test_the_function_writes_nothing_beyond_the_callers_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SIZED; i++) {
        const sized *s = &all_sized[i];
        for (size_t size = 0; size <= s->known + 64; size++) {
            unsigned char room[1024];
            size_t kept = size < s->known ? size : s->known;
            memset(room, 0xAA, sizeof room);
            s->init(room, size);
            if (size < A_SIZE_T) { /* there is no room for it */
                assert_true(is_filled(room, sizeof room, 0xAA));
                continue;
            }
            assert_memory_equal(room, &size, A_SIZE_T);
            assert_memory_equal(room + A_SIZE_T, (const char *)s->macro + A_SIZE_T,
                                kept - A_SIZE_T);
            assert_true(is_filled(room + kept, size - kept, 0));
            assert_true(is_filled(room + size, sizeof room - size, 0xAA));
        }
    }
}

/* ---- Options ----------------------------------------------------------------------------------*/

/* `size` bytes that say so, the rest of them as the macro has it, and 0 beyond: no byte more, so
 * that a sanitizer sees a read. */
static unsigned char *given_of(const options_kind *kind, size_t size)
{
    size_t room = size < A_SIZE_T ? A_SIZE_T : size > LH_SIZE_MAX ? kind->known : size;
    unsigned char *given = calloc(1, room);
    assert_non_null(given);
    memcpy(given, kind->macro, room < kind->known ? room : kind->known);
    memcpy(given, &size, A_SIZE_T);
    return given;
}

static void expect_taken(const options_kind *kind, size_t size)
{
    unsigned char *given = given_of(kind, size), taken[1024];
    size_t kept = size < kind->known ? size : kind->known;
    lh_error error = LH_ERROR_INIT;
    memset(given + A_SIZE_T, 0x5A, kept - A_SIZE_T);
    memset(taken, 0xAA, sizeof taken);
    if (kind->take(taken, given, &error) != LH_OK)
        fail_msg("%s of %zu bytes is refused: %s", kind->name, size, error.message);
    assert_memory_equal(taken, &kind->known, A_SIZE_T);
    assert_true(is_filled(taken + A_SIZE_T, kept - A_SIZE_T, 0x5A));
    /* defaults */
    assert_memory_equal(taken + kept, (const char *)kind->macro + kept, kind->known - kept);
    assert_true(is_filled(taken + kind->known, sizeof taken - kind->known, 0xAA));
    free(given);
}

static void test_options_of_older_and_newer_programs_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const options_kind *kind = &all_options[i];
        for (size_t size = A_SIZE_T; size <= kind->known; size += A_SIZE_T)
            expect_taken(kind, size);
        expect_taken(kind, kind->known + A_SIZE_T);
        expect_taken(kind, kind->known + 10 * A_SIZE_T);
        expect_taken(kind, LH_SIZE_MAX);
        unsigned char taken[1024];
        assert_int_equal(kind->take(taken, NULL, NULL), LH_OK);
        assert_memory_equal(taken, kind->macro, kind->known);
    }
}

static const options_kind *kind_of(const char *name)
{
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (strcmp(all_options[i].name, name) == 0)
            return &all_options[i];
    return NULL;
}

/* The call itself refuses them, names the struct, and has done nothing. `at`: a byte that is set;
 * 0: none. */
static size_t refuse(world *w, size_t call, size_t size, size_t at)
{
    const options_kind *kind = kind_of(calls[call].options);
    unsigned char *given = given_of(kind, size), untouched[64];
    char known[32];
    if (at)
        given[at] = 1;
    (void)snprintf(known, sizeof known, "%zu", kind->known);
    memset(untouched, 0xAA, sizeof untouched);
    lh_error error = LH_ERROR_INIT;
    int outcome = calls[call].call(w, given, untouched, &error);
    if (outcome != LH_INVALID || !strstr(error.message, kind->name) ||
        !strstr(error.message, known) || !strstr(error.message, lh_version()))
        fail_msg("%s with %s of %zu bytes, byte %zu: %s: %s", calls[call].name, kind->name, size,
                 at, lh_outcome_word(outcome), error.message);
    assert_true(is_filled(untouched, sizeof untouched, 0xAA));
    assert_int_equal(calls[call].call(w, given, untouched, NULL), LH_INVALID);
    free(given);
    return 1;
}

static void test_every_call_refuses_options_of_no_version(void **state)
{
    world *w = *state;
    size_t tried = 0;
    for (size_t i = 0; i < N_CALLS; i++) {
        const options_kind *kind = kind_of(calls[i].options);
        if (!kind)
            continue;
        const size_t known = kind->known;
        const size_t sizes[] = {0,
                                1,
                                A_SIZE_T - 1, /* not even the size */
                                A_SIZE_T + 1,
                                A_SIZE_T + A_SIZE_T / 2, /* within a field: half a pointer */
                                known - 1,
                                known - A_SIZE_T / 2,
                                known + 1,
                                known + A_SIZE_T / 2,
                                LH_SIZE_MAX + A_SIZE_T, /* of one that was not initialised */
                                (size_t)0xAAAAAAAAAAAAAAAA,
                                (size_t)1 << 32,
                                SIZE_MAX - 7,
                                SIZE_MAX};
        for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++)
            tried += refuse(w, i, sizes[n], 0);
        for (size_t more = A_SIZE_T; more <= 8 * A_SIZE_T; more *= 2)
            for (size_t at = 0; at < more; at++)
                tried += refuse(w, i, known + more, known + at);
        tried += refuse(w, i, LH_SIZE_MAX, LH_SIZE_MAX - 1);
    }
    print_message("%zu refusals\n", tried);
    assert_true(lh_lease_valid(w->lease));
}

static void test_nested_options_are_refused_too(void **state)
{
    (void)state;
    for (int at_open = LH_AT_OPEN_NOTHING; at_open <= LH_AT_OPEN_MIGRATE; at_open++) {
        struct {
            lh_migrate_options known;
            uint64_t unknown;
        } newer = {.known = LH_MIGRATE_OPTIONS_INIT, .unknown = 1};
        newer.known.size = sizeof newer;
        lh_store_options o = LH_STORE_OPTIONS_INIT;
        o.uri = "mongodb://127.0.0.1:9/";
        o.at_open = at_open;
        o.migrate = &newer.known;
        lh_store *store = NULL;
        lh_error error = LH_ERROR_INIT;
        expect_fails(LH_INVALID, lh_store_open(&o, &store, &error), &error, "lh_migrate_options");
        newer.known.size = 0;
        expect_fails(LH_INVALID, lh_store_open(&o, &store, &error), &error,
                     "LH_MIGRATE_OPTIONS_INIT");
        o.rollout = LH_OFF;
        expect_fails(LH_INVALID, lh_store_open(&o, &store, &error), &error,
                     "LH_MIGRATE_OPTIONS_INIT");
        assert_null(store);
    }
}

static void test_options_of_nowhere_are_none(void **state)
{
    world *w = *state;
    lh_error error = LH_ERROR_INIT;
    lh_doctor_options doctor = LH_DOCTOR_OPTIONS_INIT;
    doctor.trial = 2;
    expect_fails(LH_INVALID, lh_doctor(w->store, &doctor, no_finding, NULL, &error), &error,
                 "trial");
}

/* ---- Errors -----------------------------------------------------------------------------------*/

/* An lh_error of another size, in room that shows what was written. */
typedef union {
    lh_error error;
    unsigned char bytes[1024];
} error_room;

static void spoil(error_room *room, size_t size)
{
    memset(room, 0xAA, sizeof *room);
    room->error.size = size;
}

static void test_every_call_refuses_an_error_that_was_not_initialised(void **state)
{
    world *w = *state;
    static const size_t forgotten[] = {0, (size_t)0xAAAAAAAAAAAAAAAA, LH_SIZE_MAX + 1, SIZE_MAX};
    static const size_t too_small[] = {1, sizeof(size_t) - 1, sizeof(size_t), 20,
                                       LH_ERROR_LEAST - 1};
    for (size_t i = 0; i < N_CALLS; i++) {
        const options_kind *kind = kind_of(calls[i].options);
        unsigned char *options = kind ? given_of(kind, kind->known) : NULL, untouched[64];
        memset(untouched, 0xAA, sizeof untouched);
        error_room room;
        for (size_t n = 0; n < sizeof forgotten / sizeof *forgotten; n++) {
            spoil(&room, forgotten[n]);
            int outcome = calls[i].call(w, options, untouched, &room.error);
            if (outcome != LH_INVALID || room.error.code != LH_INVALID ||
                !strstr(room.error.message, "LH_ERROR_INIT"))
                fail_msg("%s takes an error of %zu bytes: %s", calls[i].name, forgotten[n],
                         lh_outcome_word(outcome));
            assert_true(room.error.size == forgotten[n]);
            assert_true(is_filled(room.bytes + LH_ERROR_LEAST, sizeof room - LH_ERROR_LEAST, 0xAA));
        }
        for (size_t n = 0; n < sizeof too_small / sizeof *too_small; n++) { /* no byte is written */
            spoil(&room, too_small[n]);
            assert_int_equal(calls[i].call(w, options, untouched, &room.error), LH_INVALID);
            assert_true(is_filled(room.bytes + A_SIZE_T, sizeof room - A_SIZE_T, 0xAA));
        }
        assert_true(is_filled(untouched, sizeof untouched, 0xAA));
        free(options);
    }
    assert_true(lh_lease_valid(w->lease));
}

static void test_errors_of_older_and_newer_programs_are_filled(void **state)
{
    (void)state;
    const size_t sizes[] = {LH_ERROR_LEAST, sizeof(lh_error), sizeof(lh_error) + 1,
                            sizeof(lh_error) + 64, LH_SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        error_room room;
        spoil(&room, sizes[i]);
        size_t written = sizes[i] < sizeof(lh_error) ? sizes[i] : sizeof(lh_error);
        assert_int_equal(lh_key_check("", 0, &room.error), LH_INVALID);
        assert_non_null(strstr(room.error.message, "key"));
        assert_int_equal(room.error.code, LH_INVALID);
        assert_int_equal(room.error.server_code, 0);
        assert_string_equal(room.error.lease_id, "");
        assert_true(room.error.size == sizes[i]);
        assert_true(is_filled(room.bytes + written, sizeof room - written, 0xAA));

        lh_error other = LH_ERROR_INIT;
        other.server_code = 7;
        (void)snprintf(other.message, sizeof other.message, "of another");
        lh_error_give(&room.error, &other);
        assert_string_equal(room.error.message, "of another");
        assert_int_equal(room.error.server_code, 7);
        assert_true(room.error.size == sizes[i]);
        assert_true(is_filled(room.bytes + written, sizeof room - written, 0xAA));
    }
    lh_error_give(NULL, &(lh_error)LH_ERROR_INIT);
}

/* ---- Reports ----------------------------------------------------------------------------------*/

/* They fail for their options or their store, and fill the report all the same. */
static int ask_cleanup(world *w, void *report, lh_error *error)
{
    lh_cleanup_options o = LH_CLEANUP_OPTIONS_INIT;
    o.older_than_ms = 0;
    return lh_cleanup(w->store, &o, report, error);
}

static int ask_reap(world *w, void *report, lh_error *error)
{
    lh_reap_options o = LH_REAP_OPTIONS_INIT;
    o.by = "";
    return lh_reap(w->store, &o, NULL, NULL, report, error);
}

static int ask_migrate(world *w, void *report, lh_error *error)
{
    lh_migrate_options o = LH_MIGRATE_OPTIONS_INIT;
    o.timeout_ms = -1;
    return lh_migrate(w->store, &o, report, error);
}

static int ask_metrics(world *w, void *report, lh_error *error)
{
    return lh_store_metrics(w->store, report, error);
}

static int ask_observed(world *w, void *report, lh_error *error)
{
    return lh_store_observed(w->store, report, error);
}

static const struct {
    const char *name, *word;
    size_t known;
    int outcome;
    int (*ask)(world *w, void *report, lh_error *error);
} reports[] = {
    {"lh_cleanup_report", "older_than_ms", sizeof(lh_cleanup_report), LH_INVALID, ask_cleanup},
    {"lh_reap_report", "name", sizeof(lh_reap_report), LH_INVALID, ask_reap},
    {"lh_migrate_report", "timeout_ms", sizeof(lh_migrate_report), LH_INVALID, ask_migrate},
    {"lh_observed", "", sizeof(lh_observed), LH_OK, ask_observed},
    {"lh_metrics", "", sizeof(lh_metrics), LH_OK, ask_metrics},
};
#define N_REPORTS (sizeof reports / sizeof *reports)

static void test_reports_are_filled_as_far_as_they_go(void **state)
{
    world *w = *state;
    for (size_t i = 0; i < N_REPORTS; i++) {
        const size_t known = reports[i].known, more[] = {0, A_SIZE_T, 8 * A_SIZE_T};
        for (size_t n = 0; n < sizeof more / sizeof *more; n++) {
            unsigned char room[1024];
            size_t size = known + more[n];
            memset(room, 0xAA, sizeof room);
            memcpy(room, &size, A_SIZE_T);
            lh_error error = LH_ERROR_INIT;
            int outcome = reports[i].ask(w, room, &error);
            assert_int_equal(outcome, reports[i].outcome);
            assert_non_null(strstr(error.message, reports[i].word));
            assert_memory_equal(room, &size, A_SIZE_T);
            assert_true(is_filled(room + known - 8, 1, 0));
            assert_true(is_filled(room + known, sizeof room - known, 0xAA));
        }
    }
}

static void test_reports_of_no_version_are_refused(void **state)
{
    world *w = *state;
    for (size_t i = 0; i < N_REPORTS; i++) {
        const size_t known = reports[i].known;
        const size_t sizes[] = {
            0,         1,         A_SIZE_T,        known - A_SIZE_T,           known - 1,
            known + 1, known + 4, LH_SIZE_MAX + 8, (size_t)0xAAAAAAAAAAAAAAAA, SIZE_MAX};
        for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
            unsigned char room[1024];
            memset(room, 0xAA, sizeof room);
            memcpy(room, &sizes[n], A_SIZE_T);
            lh_error error = LH_ERROR_INIT;
            expect_fails(LH_INVALID, reports[i].ask(w, room, &error), &error, reports[i].name);
            assert_non_null(strstr(error.message, "_INIT"));
            assert_true(is_filled(room + A_SIZE_T, sizeof room - A_SIZE_T, 0xAA));
        }
    }
}

/* ---- Versions ---------------------------------------------------------------------------------*/

static void test_versions_agree(void **state)
{
    (void)state;
    char text[64];
    (void)snprintf(text, sizeof text, "%d.%d.%d", LH_VERSION_MAJOR, LH_VERSION_MINOR,
                   LH_VERSION_PATCH);
    assert_string_equal(text, LH_VERSION);
    assert_string_equal(text, lh_version());
    assert_int_equal(lh_version_number(), LH_VERSION_NUMBER);
    assert_int_equal(LH_VERSION_NUMBER,
                     LH_VERSION_MAJOR * 1000000 + LH_VERSION_MINOR * 1000 + LH_VERSION_PATCH);
    assert_true(LH_VERSION_MINOR < 1000 && LH_VERSION_PATCH < 1000);
#if LH_VERSION_NUMBER < 1000
    fail_msg("the number is of use to the preprocessor");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_macro_and_function_agree),
        cmocka_unit_test(test_the_function_writes_nothing_beyond_the_callers_size),
        cmocka_unit_test(test_options_of_older_and_newer_programs_are_taken),
        cmocka_unit_test(test_every_call_refuses_options_of_no_version),
        cmocka_unit_test(test_nested_options_are_refused_too),
        cmocka_unit_test(test_options_of_nowhere_are_none),
        cmocka_unit_test(test_every_call_refuses_an_error_that_was_not_initialised),
        cmocka_unit_test(test_errors_of_older_and_newer_programs_are_filled),
        cmocka_unit_test(test_reports_are_filled_as_far_as_they_go),
        cmocka_unit_test(test_reports_of_no_version_are_refused),
        cmocka_unit_test(test_versions_agree),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}

/* SPDX-License-Identifier: Apache-2.0
 * Names with white space or control characters around or inside: what a file or a variable adds
 * unseen, and what would make two names of one. Refused by the library in every place, and taken
 * off by lh_trim(). */
#include "unit.h"

#include "base/name.h"

/* White space, and what cannot be seen. */
static const char *const unseen[] = {
    "\n",           "\r",           "\r\n",         " ",
    "  ",           "\t",           "\v",           "\f",
    "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe1\xa0\x8e",
    "\xe2\x80\x80", "\xe2\x80\x83", "\xe2\x80\x8a", "\xe2\x80\x8b",
    "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f",
    "\xe2\x81\xa0", "\xe3\x80\x80", "\xef\xbb\xbf", " \n\t ",
};
/* Control characters that are no white space: never taken off. */
static const char *const controls[] = {"\x01", "\x07",     "\x1b",    "\x1f",
                                       "\x7f", "\xc2\x80", "\xc2\x9f"};

#define COUNT(list) (sizeof(list) / sizeof *(list))

enum { BEFORE, AFTER, AROUND, INSIDE, ALONE, WAYS };

/* "name", with something before, after, around or inside of it, or that alone. */
static const char *decorate(char room[64], int way, const char *with)
{
    (void)snprintf(room, 64, "%s%s%s%s%s", way == BEFORE || way == AROUND ? with : "",
                   way == ALONE ? "" : "na", way == INSIDE || way == ALONE ? with : "",
                   way == ALONE ? "" : "me", way == AFTER || way == AROUND ? with : "");
    return room;
}

static lh_store_options good(void)
{
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = "mongodb://127.0.0.1:9/";
    options.at_open = LH_AT_OPEN_NOTHING;
    return options;
}

static int open_with(const lh_store_options *options, lh_error *error)
{
    lh_store *store = NULL;
    int outcome = lh_store_open(options, &store, error);
    assert_true((outcome == LH_OK) == (store != NULL));
    lh_store_close(store);
    return outcome;
}

#define NAME_OF(field)                                                                             \
    static int name_##field(const char *name, lh_error *error)                                     \
    {                                                                                              \
        lh_store_options o = good();                                                               \
        o.field = name;                                                                            \
        return open_with(&o, error);                                                               \
    }
NAME_OF(db)
NAME_OF(collection)
NAME_OF(owner)
NAME_OF(app_name)

static int name_audit(const char *name, lh_error *error)
{
    lh_store_options o = good();
    o.audit = name;
    return open_with(&o, error);
}

static int name_archive(const char *name, lh_error *error)
{
    lh_store_options o = good();
    o.timeout_ms = 100;
    lh_store *store = NULL;
    assert_int_equal(lh_store_open(&o, &store, error), LH_OK);
    lh_migrate_options migrate = LH_MIGRATE_OPTIONS_INIT;
    migrate.archive = name;
    int outcome = lh_migrate(store, &migrate, NULL, error);
    lh_store_close(store);
    /* the name was taken, and then nobody was there */
    return outcome == LH_UNREACHABLE ? LH_OK : outcome;
}

static const struct {
    const char *what;
    int (*use)(const char *name, lh_error *error);
    bool words; /* blanks between words are allowed */
} kinds[] = {
    {"database name", name_db, false}, {"collection name", name_collection, false},
    {"audit", name_audit, false},      {"archive", name_archive, false},
    {"owner", name_owner, true},       {"app_name", name_app_name, false},
};

static void test_every_kind_of_name_refuses_what_is_not_seen(void **state)
{
    (void)state;
    char room[64];
    size_t tried = 0;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        lh_error error = LH_ERROR_INIT;
        assert_int_equal(kinds[k].use("name", &error), LH_OK);
        for (size_t i = 0; i < COUNT(unseen) + COUNT(controls); i++)
            for (int way = 0; way < WAYS; way++, tried++) {
                const char *with = i < COUNT(unseen) ? unseen[i] : controls[i - COUNT(unseen)];
                bool fine = kinds[k].words && way == INSIDE && strspn(with, " ") == strlen(with);
                int outcome = kinds[k].use(decorate(room, way, with), &error);
                if (outcome != (fine ? LH_OK : LH_INVALID) ||
                    (!fine && !strstr(error.message, kinds[k].what)))
                    fail_msg("%s, way %d, text %zu: %s: %s", kinds[k].what, way, i,
                             lh_outcome_word(outcome), outcome ? error.message : "");
            }
    }
    print_message("%zu names\n", tried);
}

static void test_owners_of_calls_are_names_too(void **state)
{
    (void)state;
    lh_store_options o = good();
    lh_store *store = NULL;
    lh_lease *lease = NULL;
    lh_error error = LH_ERROR_INIT;
    char room[64];
    assert_int_equal(lh_store_open(&o, &store, &error), LH_OK);
    for (size_t i = 0; i < COUNT(unseen); i++)
        for (int way = 0; way < WAYS; way++) {
            if (way == INSIDE && *unseen[i] == ' ')
                continue;
            lh_acquire_options acquire = LH_ACQUIRE_OPTIONS_INIT;
            acquire.owner = decorate(room, way, unseen[i]);
            expect_fails(LH_INVALID, lh_acquire(store, "k", &acquire, &lease, NULL, &error), &error,
                         "owner");
            lh_break_options breaking = LH_BREAK_OPTIONS_INIT;
            breaking.reason = "why";
            breaking.by = room;
            expect_fails(LH_INVALID, lh_break(store, "k", &breaking, NULL, &error), &error,
                         "name of the operator");
            lh_reap_options reap = LH_REAP_OPTIONS_INIT;
            reap.by = room;
            expect_fails(LH_INVALID, lh_reap(store, &reap, NULL, NULL, NULL, &error), &error,
                         "name of the operator");
        }
    lh_store_close(store);
}

static void test_a_connection_string_is_not_changed(void **state)
{
    (void)state;
    static const char *const uris[] = {
        "mongodb://127.0.0.1:9", "mongodb://127.0.0.1:9/", "mongodb://127.0.0.1:9/name",
        "mongodb://127.0.0.1:9/name?appName=a", "mongodb://127.0.0.1:9/?replicaSet=rs"};
    char uri[128];
    lh_error error = LH_ERROR_INIT;
    for (size_t u = 0; u < COUNT(uris); u++)
        for (size_t i = 0; i < COUNT(unseen); i++) {
            lh_store_options o = good();
            o.uri = uri;
            (void)snprintf(uri, sizeof uri, "%s%s", uris[u], unseen[i]);
            expect_fails(LH_CONFIG, open_with(&o, &error), &error, "white space around it");
            (void)snprintf(uri, sizeof uri, "%s%s", unseen[i], uris[u]);
            expect_fails(LH_CONFIG, open_with(&o, &error), &error, "white space around it");
        }
    static const char *const databases[] = {"name%0A",    "name%0a", "name%0D%0A",   "name%20",
                                            "%20name",    "na%20me", "%09name",      "%0A",
                                            "name%C2%A0", "%20",     "name%E2%80%8B"};
    for (size_t i = 0; i < COUNT(databases); i++) {
        lh_store_options o = good();
        o.uri = uri;
        (void)snprintf(uri, sizeof uri, "mongodb://127.0.0.1:9/%s", databases[i]);
        expect_fails(LH_CONFIG, open_with(&o, &error), &error, "database name");
        (void)snprintf(uri, sizeof uri, "mongodb://127.0.0.1:9/%s?w=majority", databases[i]);
        expect_fails(LH_CONFIG, open_with(&o, &error), &error, "database name");
    }
}

static void expect_trimmed(const char *text, const char *wanted)
{
    size_t len;
    const char *start = lh_trim(text, &len);
    assert_true(start >= text && start + len <= text + strlen(text));
    if (len != strlen(wanted) || memcmp(start, wanted, len) != 0)
        fail_msg("\"%s\" becomes \"%.*s\", not \"%s\"", text, (int)len, start, wanted);
}

static void test_what_is_trimmed(void **state)
{
    (void)state;
    char room[64];
    for (size_t i = 0; i < COUNT(unseen); i++) {
        expect_trimmed(decorate(room, BEFORE, unseen[i]), "name");
        expect_trimmed(decorate(room, AFTER, unseen[i]), "name");
        expect_trimmed(decorate(room, AROUND, unseen[i]), "name");
        expect_trimmed(decorate(room, INSIDE, unseen[i]),
                       decorate((char[64]){""}, INSIDE, unseen[i]));
        expect_trimmed(unseen[i], "");
    }
    for (size_t i = 0; i < COUNT(controls); i++)
        for (int way = 0; way < WAYS; way++)
            expect_trimmed(decorate(room, way, controls[i]),
                           decorate((char[64]){""}, way, controls[i]));
    expect_trimmed("", "");
    expect_trimmed(" a b ", "a b");
    expect_trimmed("\xff \xff ", "\xff \xff");         /* no UTF-8: for others to refuse */
    expect_trimmed(" \xc2", "\xc2");                   /* cut off */
    expect_trimmed("\xef\xbb\xbf name\r\n\n", "name"); /* a file that an editor has saved */
}

static void test_the_mode_of_the_environment_is_trimmed(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        int outcome;
    } words[] = {{"off", LH_OK}, {"off\n", LH_OK},   {" off", LH_OK},      {"", LH_OK},
                 {" \n", LH_OK}, {"of", LH_INVALID}, {"offf", LH_INVALID}, {"o ff", LH_INVALID}};
    for (size_t i = 0; i < COUNT(words); i++) {
        lh_store_options o = good();
        lh_error error = LH_ERROR_INIT;
        o.rollout = LH_BY_ENVIRONMENT;
        assert_int_equal(setenv("LEASEHOLD_MODE", words[i].word, 1), 0);
        assert_int_equal(open_with(&o, &error), words[i].outcome);
    }
    (void)unsetenv("LEASEHOLD_MODE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_of_name_refuses_what_is_not_seen),
        cmocka_unit_test(test_owners_of_calls_are_names_too),
        cmocka_unit_test(test_a_connection_string_is_not_changed),
        cmocka_unit_test(test_what_is_trimmed),
        cmocka_unit_test(test_the_mode_of_the_environment_is_trimmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

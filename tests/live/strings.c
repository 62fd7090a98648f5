/* SPDX-License-Identifier: Apache-2.0
 * Invariant 8: every string of a caller is data. What is stored is what was given, to the byte. */
#include "live.h"

#include <pthread.h>

#include "protocol/pipeline.h"

#define RANDOM 3000
/* of the corpus: three strings each, and two more where it is broken: 10,400 */
#define KEYS    3200
#define THREADS 16 /* they share the journal's flushes */

static const char *const nasty[] = {
    "$token",
    "$$ROOT",
    "$$NOW",
    "$$me",
    "$",
    "$$",
    "{'$literal': 1}",
    "{\"$ne\": null}",
    "$literal",
    "a.b.c",
    "id.$[]",
    "'",
    "\"",
    "\\",
    "\\u0000",
    "%s%n",
    "' || '1'=='1",
    "[]",
    "null",
    "true",
    "0",
    "shared:",
    "-",
    " ",
    "\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x92",
    "$where",
    "function(){}",
    "..",
    "/etc/passwd",
    "*",
    "<script>",
    ("\xef\xbb\xbf"
     "bom"),
};

/* Makes the text one that an owner may be, of the same length: neither a byte order mark in it nor
 * blanks at its ends. */
static char *as_owner(char *text)
{
    for (char *mark = text; (mark = strstr(mark, "\xef\xbb\xbf"));)
        memcpy(mark, "bom", 3);
    if (*text == ' ')
        *text = '_';
    if (*text && text[strlen(text) - 1] == ' ')
        text[strlen(text) - 1] = '_';
    return text;
}

static void expect_stored(ground *g, const char *key, const char *owner, const char *purpose)
{
    bson_t *document = document_of(g, key);
    assert_non_null(document);
    assert_string_equal(text_at(document, "_id"), key);
    assert_string_equal(text_at(document, "workspace_id"), key);
    assert_string_equal(text_at(document, "owner"), owner);
    assert_string_equal(text_at(document, "purpose"), purpose);
    bson_destroy(document);
}

static void test_nasty_strings_are_names(void **state)
{
    ground *g = *state;
    for (size_t i = 0; i < sizeof nasty / sizeof *nasty; i++) {
        char owner[64];
        (void)snprintf(owner, sizeof owner, "%s", nasty[i]);
        (void)as_owner(owner);
        for (int mode = LH_EXCLUSIVE; mode <= LH_SHARED; mode++) {
            lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
            options.by_hand = true; /* no keeper: the test renews, or lets it end */
            options.owner = owner;
            options.purpose = nasty[i];
            options.mode = mode;
            lh_lease *lease = NULL;
            expect(g, LH_OK, lh_acquire(g->store, nasty[i], &options, &lease, NULL, &g->error));
            expect_stored(g, nasty[i], owner, nasty[i]);
            lh_record *record = status_of(g, nasty[i]);
            assert_string_equal(lh_record_holder(record, 0)->owner, owner);
            lh_record_free(record);
            expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
            give(g, lease);
            record = status_of(g, nasty[i]);
            assert_string_equal(record->released_owner, owner);
            lh_record_free(record);
        }
        lh_lease *lease = take_as(g, nasty[i], LH_EXCLUSIVE, 30000, owner);
        lh_break_options breaking = LH_BREAK_OPTIONS_INIT;
        breaking.reason = nasty[i];
        breaking.by = owner;
        expect(g, LH_OK, lh_break(g->store, nasty[i], &breaking, NULL, &g->error));
        lh_record *record = status_of(g, nasty[i]);
        assert_string_equal(record->released_reason, nasty[i]);
        assert_string_equal(record->released_by, owner);
        assert_string_equal(record->released_owner, owner);
        lh_record_free(record);
        lh_lease_free(lease);
    }
}

/* The longest that are allowed, of four-byte characters. */
static void test_the_longest_strings_fit(void **state)
{
    ground *g = *state;
    char key[LH_KEY_MAX + 1] = "", owner[LH_OWNER_MAX + 1] = "";
    for (size_t i = 0; i < LH_KEY_MAX / 4; i++)
        memcpy(key + 4 * i, "\xf0\x9f\x94\x92", 5);
    memcpy(owner, key, LH_OWNER_MAX);
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true; /* no keeper: the test renews, or lets it end */
    options.owner = owner;
    options.purpose = key;
    lh_lease *lease = NULL;
    expect(g, LH_OK, lh_acquire(g->store, key, &options, &lease, NULL, &g->error));
    expect_stored(g, key, owner, key);
    give(g, lease);
}

static void random_text(uint64_t *seed, char *ret_text, size_t room)
{
    static const char *const pieces[] = {"$",
                                         "$$",
                                         ".",
                                         "{",
                                         "}",
                                         "\"",
                                         "'",
                                         "[",
                                         "]",
                                         ":",
                                         ",",
                                         "\\",
                                         "$literal",
                                         "$$ROOT",
                                         "$id",
                                         "a",
                                         "Z",
                                         "0",
                                         " ",
                                         "%",
                                         "/",
                                         "\xc3\xbc",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x94\x92",
                                         "null"};
    size_t len = 0;
    ret_text[0] = '\0';
    for (unsigned i = 0, n = 1 + roll(seed, 24); i < n; i++) {
        const char *piece = pieces[roll(seed, sizeof pieces / sizeof *pieces)];
        if (len + strlen(piece) + 1 > room)
            break;
        memcpy(ret_text + len, piece, strlen(piece) + 1);
        len += strlen(piece);
    }
}

typedef struct {
    char key[128], owner[96], purpose[96];
} texts;

/* The command of an acquire, sent by the observer. */
static void append_acquire(const lh_pipelines *pipelines, const texts *t, bool set, bool whole,
                           bson_t *command)
{
    lh_vars vars = {.key = t->key,
                    .me = "0123456789abcdef0123456789abcdef",
                    .owner = t->owner,
                    .host = t->owner,
                    .purpose = t->purpose,
                    .ttl_ms = 30000,
                    .max_shared = 128,
                    .set = set};
    lh_pipeline_command(pipelines, LH_OP_ACQUIRE_EXCLUSIVE, whole, LOCKS, &vars, command);
}

static void test_random_strings_are_stored_as_given(void **state)
{
    ground *g = *state;
    lh_pipelines *pipelines = lh_pipelines_new();
    uint64_t seed = 7;
    for (unsigned i = 0; i < RANDOM / 3; i++) { /* three strings each */
        texts t;
        char random[96];
        random_text(&seed, random, sizeof random);
        (void)snprintf(t.key, sizeof t.key, "%u%s", i, random);
        random_text(&seed, t.owner, sizeof t.owner);
        random_text(&seed, t.purpose, sizeof t.purpose);
        bson_t *command = bson_new();
        append_acquire(pipelines, &t, g->set, i % 2, command);
        BCON_APPEND(command, "writeConcern", "{", "w", BCON_INT32(1),
                    "}"); /* quick: only what is stored is looked at */
        bson_t *reply = run_command(g, g->db, command);
        assert_non_null(reply);
        assert_string_equal(text_at(reply, "value._id"), t.key);
        assert_string_equal(text_at(reply, "value.workspace_id"), t.key);
        assert_string_equal(text_at(reply, "value.owner"), t.owner);
        assert_string_equal(text_at(reply, "value.host"), t.owner);
        assert_string_equal(text_at(reply, "value.purpose"), t.purpose);
        bson_destroy(reply);
    }
    assert_int_equal(count_documents(g), RANDOM / 3);
    lh_pipelines_free(pipelines);
}

/* ---- A corpus of 10,000 strings, through the library ------------------------------------------*/

typedef struct {
    char key[LH_KEY_MAX + 1], owner[LH_OWNER_MAX + 1], purpose[LH_TEXT_MAX + 1],
        by[LH_OWNER_MAX + 1], reason[LH_TEXT_MAX + 1];
} five;

/* Nasty as it is, nasty amid others, random, or random up to the greatest length: the same for the
 * same index. */
static void corpus_text(uint64_t *seed, char *ret_text, size_t max)
{
    unsigned way = roll(seed, 4);
    const char *one = nasty[roll(seed, sizeof nasty / sizeof *nasty)];
    char piece[96];
    size_t len = 0;
    ret_text[0] = '\0';
    if (way < 2)
        len = (size_t)snprintf(ret_text, max + 1, "%s", one);
    while (way > 0 && len + sizeof piece < max + 1 && (way == 3 || len < 100)) {
        random_text(seed, piece, sizeof piece);
        len += (size_t)snprintf(ret_text + len, max + 1 - len, "%s", piece);
    }
}

static void corpus_five(unsigned i, five *ret_five)
{
    uint64_t seed = 1000003u * (i + 1);
    char text[LH_KEY_MAX - 8 + 1];
    corpus_text(&seed, text, LH_KEY_MAX - 8);
    /* each key once */
    (void)snprintf(ret_five->key, sizeof ret_five->key, i % 2 ? "%s %u" : "%s.%u", text, i);
    corpus_text(&seed, ret_five->owner, LH_OWNER_MAX);
    corpus_text(&seed, ret_five->purpose, LH_TEXT_MAX);
    corpus_text(&seed, ret_five->by, LH_OWNER_MAX);
    (void)as_owner(ret_five->owner);
    (void)as_owner(ret_five->by);
    corpus_text(&seed, ret_five->reason, LH_TEXT_MAX);
}

static bool is_broken(unsigned i)
{
    return i % 8 == 0;
}

typedef struct {
    ground *g;
    unsigned first;
    lh_error error; /* code LH_OK: none */
} worker;

static void *store_fives(void *arg)
{
    worker *w = arg;
    five f;
    for (unsigned i = w->first; i < KEYS && w->error.code == LH_OK; i += THREADS) {
        corpus_five(i, &f);
        lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
        options.by_hand = true;
        options.owner = f.owner;
        options.purpose = f.purpose;
        options.mode = i % 3 ? LH_EXCLUSIVE : LH_SHARED;
        lh_break_options breaking = LH_BREAK_OPTIONS_INIT;
        breaking.by = f.by;
        breaking.reason = f.reason;
        lh_lease *lease = NULL;
        if (lh_acquire(w->g->store, f.key, &options, &lease, NULL, &w->error) == LH_OK &&
            is_broken(i))
            (void)lh_break(w->g->store, f.key, &breaking, NULL, &w->error);
        lh_lease_free(lease);
    }
    return NULL;
}

static void expect_text_at(const bson_t *document, const char *path, const char *given)
{
    bson_iter_t top, value;
    uint32_t len;
    assert_true(bson_iter_init(&top, document) && bson_iter_find_descendant(&top, path, &value));
    assert_true(BSON_ITER_HOLDS_UTF8(&value));
    const char *stored = bson_iter_utf8(&value, &len);
    assert_int_equal(len, strlen(given));
    assert_memory_equal(stored, given, len);
}

static void test_a_corpus_is_stored_as_given(void **state)
{
    ground *g = *state;
    pthread_t threads[THREADS];
    worker workers[THREADS];
    for (unsigned t = 0; t < THREADS; t++) {
        workers[t] = (worker){.g = g, .first = t, .error = LH_ERROR_INIT};
        assert_int_equal(pthread_create(&threads[t], NULL, store_fives, &workers[t]), 0);
    }
    for (unsigned t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    for (unsigned t = 0; t < THREADS; t++)
        if (workers[t].error.code != LH_OK)
            fail_msg("%s", workers[t].error.message);
    assert_int_equal(count_documents(g), KEYS);
    for (unsigned i = 0; i < KEYS; i++) {
        five f;
        corpus_five(i, &f);
        bson_t *document = document_of(g, f.key);
        assert_non_null(document);
        expect_text_at(document, "_id", f.key);
        expect_text_at(document, "workspace_id", f.key);
        expect_text_at(document, "purpose", f.purpose);
        expect_text_at(document, is_broken(i) ? "released.owner" : "owner", f.owner);
        if (is_broken(i)) {
            expect_text_at(document, "released.by", f.by);
            expect_text_at(document, "released.reason", f.reason);
        }
        bson_destroy(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(test_nasty_strings_are_names),
        live_test(test_the_longest_strings_fit),
        live_test(test_random_strings_are_stored_as_given),
        live_test(test_a_corpus_is_stored_as_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

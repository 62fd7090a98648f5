/* SPDX-License-Identifier: Apache-2.0
 * From the oplog's changes to what was stored. The shapes are those of a 6.0 server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "torture/oplog.h"

static bson_t *json(const char *text)
{
    char *copy = strdup(text);
    bson_error_t error;
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    bson_t *parsed = bson_new_from_json((const uint8_t *)copy, -1, &error);
    free(copy);
    assert_non_null(parsed);
    return parsed;
}

static void expect_after(const char *before, const char *diff, const char *wanted)
{
    bson_t *document = json(before), *change = json(diff),
           *after = oplog_apply_diff(document, change);
    assert_true(!after == !wanted);
    if (after) {
        bson_t *should = json(wanted);
        char *is = bson_as_relaxed_extended_json(after, NULL),
             *want = bson_as_relaxed_extended_json(should, NULL);
        assert_string_equal(is, want);
        bson_free(is);
        bson_free(want);
        bson_destroy(should);
        bson_destroy(after);
    }
    bson_destroy(document);
    bson_destroy(change);
}

static void sets_inserts_and_deletes(void **state)
{
    (void)state;
    expect_after("{'a':1,'b':2,'c':3}", "{'u':{'b':5}}", "{'a':1,'b':5,'c':3}");
    expect_after("{'a':1,'b':2,'c':3}", "{'d':{'a':false},'i':{'n':9}}", "{'b':2,'c':3,'n':9}");
    expect_after("{'a':1,'b':2}", "{'i':{'a':7}}", "{'b':2,'a':7}");
}

static void changes_what_is_within_and_keeps_the_order(void **state)
{
    (void)state;
    expect_after("{'waiters':{'x':{'beat':1},'y':{'beat':2},'z':{'beat':3}}}",
                 "{'swaiters':{'d':{'x':false},'i':{'w':{'beat':0}},'sy':{'u':{'beat':4}}}}",
                 "{'waiters':{'y':{'beat':4},'z':{'beat':3},'w':{'beat':0}}}");
}

static void refuses_arrays(void **state)
{
    (void)state;
    expect_after("{'a':[1,2]}", "{'sa':{'a':true,'u0':5}}", NULL);
}

static size_t count_lines(const char *path, const char *what)
{
    char line[4096];
    size_t n = 0;
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        n += strstr(line, what) != NULL;
    (void)fclose(file);
    return n;
}

static void follows_one_collection(void **state)
{
    (void)state;
    static const char *const entries[] = {
        ("{'op':'i','ns':'d.c','o':{'_id':'k','workspace_id':'k','id':'a'},"
         "'wall':{'$date':'2026-01-01T00:00:00Z'}}"),
        "{'op':'i','ns':'d.other','o':{'_id':'k','workspace_id':'other'}}",
        "{'op':'n','ns':'','o':{'msg':'noop'}}",
        "{'op':'c','ns':'d.$cmd','o':{'create':'c'}}",
        "{'op':'u','ns':'d.c','o2':{'_id':'k'},'o':{'$v':2,'diff':{'u':{'id':'b'}}}}",
        "{'op':'u','ns':'d.c','o2':{'_id':'k'},'o':{'_id':'k','workspace_id':'k','id':'whole'}}",
        "{'op':'c','ns':'admin.$cmd','o':{'applyOps':[{'op':'d','ns':'d.c','o':{'_id':'k'}}]}}",
    };
    char path[] = "/tmp/leasehold-unit-XXXXXX";
    struct history history = {.fd = mkstemp(path), .p = -1};
    assert_true(history.fd >= 0);
    struct oplog *oplog = oplog_new("d.c", &history);
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        bson_t *entry = json(entries[i]);
        assert_true(oplog_take(oplog, entry));
        bson_destroy(entry);
    }
    bson_t *unknown = json(
        "{'op':'u','ns':'d.c','o2':{'_id':'never seen'},'o':{'$v':2,'diff':{'u':{'id':'b'}}}}");
    assert_false(oplog_take(oplog, unknown));
    bson_destroy(unknown);
    oplog_free(oplog);
    history_close(&history);
    assert_int_equal(count_lines(path, "\"commit\""), 4);
    assert_int_equal(count_lines(path, "\"id\" : \"b\""), 1);
    assert_int_equal(count_lines(path, "\"whole\""), 1);
    assert_int_equal(count_lines(path, "\"doc\" : null"), 1);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_inserts_and_deletes),
        cmocka_unit_test(changes_what_is_within_and_keeps_the_order),
        cmocka_unit_test(refuses_arrays),
        cmocka_unit_test(follows_one_collection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

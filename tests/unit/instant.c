/* SPDX-License-Identifier: Apache-2.0
 * `expires_at` as an instant. (That the server reads the same, live/instants.c shows.) */
#include "unit.h"

#include <math.h>

#include "protocol/doc.h"
#include "protocol/doc_instant.h"

#define NONE INT64_MIN

static int64_t read_value(bson_t *d)
{
    bson_iter_t value;
    int64_t ms = NONE;
    assert_true(bson_iter_init_find(&value, d, "v"));
    if (!lh_doc_instant(&value, &ms))
        assert_true(ms == NONE); /* untouched */
    bson_destroy(d);
    return ms;
}

static int64_t text(const char *iso)
{
    return read_value(BCON_NEW("v", BCON_UTF8(iso)));
}

static void test_iso_forms(void **state)
{
    (void)state;
    static const struct {
        const char *iso;
        int64_t ms;
    } forms[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01", 0},
        {"1970-01-01T00:00", 0},
        {"1970-01-01 00:00:01", 1000},
        {"1970-01-01t00:00:01z", 1000},
        {"1970-01-01T00:00:00.1Z", 100},
        {"1970-01-01T00:00:00.12Z", 120},
        {"1970-01-01T00:00:00.123Z", 123},
        {"1970-01-01T00:00:00.123999999Z", 123},
        {"1970-01-01T01:00:00+01:00", 0},
        {"1970-01-01T01:30:00+0130", 0},
        {"1969-12-31T19:00:00-05", 0},
        {"1970-01-01T00:00:00 Z", 0},
        {"1970-01-01T14:59:00+14:59", 0},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2024-02-29T12:34:56.789Z", 1709210096789},
        {"2100-03-01T00:00:00Z", 4107542400000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (text(forms[i].iso) != forms[i].ms)
            fail_msg("%s is %lld", forms[i].iso, (long long)text(forms[i].iso));
}

static void test_what_is_no_iso(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "soon",
        "2026",
        "2026-01",
        "2026-1-01",
        "26-01-01",
        "2026-00-01",
        "2026-13-01",
        "2026-01-00",
        "2026-01-32",
        "2026-04-31",
        "2026-02-29",
        "1900-02-29",
        "2100-02-29",
        "2026-01-01T",
        "2026-01-01T1",
        "2026-01-01T24:00:00Z",
        "2026-01-01T23:60:00Z",
        "2026-01-01T23:59:60Z",
        "2026-01-01T23:59:59.Z",
        "2026-01-01T23:59:59.1234567890Z",
        "2026-01-01T23:59:59,5Z",
        "2026-01-01T00:00:00Zx",
        "2026-01-01T00:00:00Z ",
        " 2026-01-01",
        "2026-01-01T00:00:00 ",
        "2026-01-01T00:00:00+",
        "2026-01-01T00:00:00+1",
        "2026-01-01T00:00:00+15:00",
        "2026-01-01T00:00:00+01:60",
        "2026-01-01T00:00:00+01:",
        "2026-01-01T00:00:00+01:0",
        "2026-01-01Z",
        "2026-01-01+01:00",
        "2026-01-01T00:00:00Z\n",
        "20260101",
        "1767225600",
        "\xff",
        "2026-01-01\xff",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (text(bad[i]) != NONE)
            fail_msg("\"%s\" is %lld", bad[i], (long long)text(bad[i]));
    bson_t *d = bson_new();
    assert_true(bson_append_utf8(d, "v", -1, "2026-01-01\0", 11));
    assert_true(read_value(d) == NONE);
}

/* Day by day over the calendar, against the C library's own. */
static void test_every_day_of_eight_centuries(void **state)
{
    (void)state;
    for (int64_t day = -134774; day < 160000; day++) { /* 1601 … 2408 */
        time_t seconds = (time_t)(day * 86400);
        struct tm parts;
        char iso[16];
        gmtime_r(&seconds, &parts);
        assert_true(strftime(iso, sizeof iso, "%Y-%m-%d", &parts) == 10);
        if (text(iso) != day * 86400000)
            fail_msg("%s is %lld", iso, (long long)text(iso));
    }
}

static void test_numbers(void **state)
{
    (void)state;
    assert_true(read_value(BCON_NEW("v", BCON_INT32(0))) == 0);
    assert_true(read_value(BCON_NEW("v", BCON_INT32(1767225600))) == 1767225600000);
    assert_true(read_value(BCON_NEW("v", BCON_INT64(1767225600))) == 1767225600000);
    assert_true(read_value(BCON_NEW("v", BCON_INT64(1767225600123))) == 1767225600123);
    /* seconds, the last one */
    assert_true(read_value(BCON_NEW("v", BCON_INT64(99999999999))) == 99999999999000);
    /* milliseconds, the first */
    assert_true(read_value(BCON_NEW("v", BCON_INT64(100000000000))) == 100000000000);
    assert_true(read_value(BCON_NEW("v", BCON_DOUBLE(1767225600.5))) == 1767225600500);
    assert_true(read_value(BCON_NEW("v", BCON_DOUBLE(-0.0))) == 0);
    assert_true(read_value(BCON_NEW("v", BCON_INT64(253402300799999))) == 253402300799999);
    static const double bad[] = {
        -1, -0.5, 253402300800000.0, 1e300, (double)INFINITY, -(double)INFINITY, (double)NAN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(read_value(BCON_NEW("v", BCON_DOUBLE(bad[i]))) == NONE);
    assert_true(read_value(BCON_NEW("v", BCON_INT64(INT64_MAX))) == NONE);
    assert_true(read_value(BCON_NEW("v", BCON_INT64(-1))) == NONE);
}

static void test_other_types(void **state)
{
    (void)state;
    assert_true(read_value(BCON_NEW("v", BCON_DATE_TIME(-5))) == -5);
    assert_true(read_value(BCON_NEW("v", BCON_DATE_TIME(INT64_MAX))) == INT64_MAX);
    assert_true(read_value(BCON_NEW("v", BCON_NULL)) == NONE);
    assert_true(read_value(BCON_NEW("v", BCON_BOOL(true))) == NONE);
    assert_true(read_value(BCON_NEW("v", "[", "]")) == NONE);
    assert_true(read_value(BCON_NEW("v", "{", "}")) == NONE);
    assert_true(read_value(BCON_NEW("v", BCON_MINKEY)) == NONE);
    assert_true(read_value(BCON_NEW("v", BCON_TIMESTAMP(1767225600, 1))) == NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_iso_forms),
        cmocka_unit_test(test_what_is_no_iso),
        cmocka_unit_test(test_every_day_of_eight_centuries),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_other_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

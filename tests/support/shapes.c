/* SPDX-License-Identifier: Apache-2.0
 * Documents of every shape that anybody might have stored: values of all types where a lease has
 * its fields, ends in every notation and near it, maps of readers and waiters that are right,
 * nearly right or garbage. No instant is within a minute of `now`, so that whether something has
 * ended does not depend on when it is looked at. */
#include "shapes.h"

static const char *const odd_texts[] = {
    "",
    "soon",
    "$token",
    "$$ROOT",
    "null",
    "2026-13-01T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "2026-1-1",
    "2026-01-01T25:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T23:59:60Z",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00.1234567890Z",
    "2026-01-01T00:00:00Z\n",
    "\n2026-01-01T00:00:00Z",
    " 2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00Z ",
    "2026-01-01T00:00:00 UTC",
    "2026-01-01T00:00:00+15:00",
    "2026-01-01T00:00:00+1",
    "2026-01-01T00:00:00+01:6",
    "2026-01-01T00:00:00+01:60",
    "2026-01-01T00:00:00-00:00",
    "2026-01-01T",
    "2026-01-01T00",
    "2026-01-01 ",
    "20260101T000000Z",
    "2026-W01-1",
    "2026-001",
    "January 1 2026",
    "1767225600",
    "+2026-01-01",
    "-2026-01-01",
    "2026/01/01",
    "2026-01-01t00:00:00z",
    "2026-01-01T00:00:00,5Z",
    "9999-12-31T23:59:59.999-14:00",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1900-02-29",
    "2000-02-29",
    "2100-02-29T00:00",
    "1582-10-10",
    "2026-06-31",
    "2026-00-10",
    "2026-10-00",
    "\xd9\xa2\xd9\xa0\xd9\xa2\xd9\xa6-01-01",
    "\xff", /* no UTF-8: a server stores it all the same */
    "2026-01-01\xff",
    "2026-01-01T00:00:00\xc3",
    "2026-01-01T00:00:00Z\x80",
    "2026-01-01 (\xff)",
};

void append_text(bson_t *to, const char *name, const char *text)
{
    BSON_APPEND_UTF8(to, name, text);
}

void append_any(shapes *s, bson_t *to, const char *name)
{
    bson_t child;
    bson_decimal128_t decimal;
    bson_oid_t oid;
    static const char *const decimals[] = {"0",        "-1",         "1.5",    "NaN",
                                           "Infinity", "1767225600", "1E+6000"};
    static const double doubles[] = {
        0.0, -0.0, -1.5, 1e300, -1e300, 5e-324, 1.5, 1767225600.25, 1767225600250.75, 9.3e18};
    static const int64_t longs[] = {0,
                                    -1,
                                    1,
                                    1767225600,
                                    1767225600000,
                                    99999999999,
                                    100000000000,
                                    253402300799999,
                                    253402300800000,
                                    INT64_C(1) << 62,
                                    (INT64_C(1) << 62) + 1,
                                    INT64_MAX,
                                    INT64_MIN};
    static const int64_t dates[] = {
        0,         -1,        1767225600000, 253402300799999, 253402300800000,
        INT64_MAX, INT64_MIN, INT64_MIN + 1};
    switch (roll(&s->state, 24)) {
    case 0:
        BSON_APPEND_NULL(to, name);
        break;
    case 1:
        bson_append_bool(to, name, -1, roll(&s->state, 2));
        break;
    case 2:
    case 3:
        BSON_APPEND_DOUBLE(to, name, doubles[roll(&s->state, 10)]);
        break;
    case 4:
        BSON_APPEND_DOUBLE(to, name, roll(&s->state, 2) ? (double)NAN : -(double)INFINITY);
        break;
    case 5:
    case 6:
    case 7:
        BSON_APPEND_INT64(to, name, longs[roll(&s->state, 13)]);
        break;
    case 8:
        BSON_APPEND_INT32(to, name, (int32_t)roll(&s->state, 7) - 3);
        break;
    case 9:
        assert_true(bson_decimal128_from_string(decimals[roll(&s->state, 7)], &decimal));
        BSON_APPEND_DECIMAL128(to, name, &decimal);
        break;
    case 10:
    case 11:
        BSON_APPEND_DATE_TIME(to, name, dates[roll(&s->state, 8)]);
        break;
    case 12:
    case 13:
        append_text(to, name, odd_texts[roll(&s->state, sizeof odd_texts / sizeof *odd_texts)]);
        break;
    case 14:
        bson_append_utf8(to, name, -1, "2026-01-01\0T", 12);
        break;
    case 15:
        BSON_APPEND_DOCUMENT_BEGIN(to, name, &child);
        if (roll(&s->state, 2))
            append_any(s, &child, "x");
        bson_append_document_end(to, &child);
        break;
    case 16:
        BSON_APPEND_ARRAY_BEGIN(to, name, &child);
        if (roll(&s->state, 2))
            append_any(s, &child, "0");
        bson_append_array_end(to, &child);
        break;
    case 17:
        bson_oid_init_from_string(&oid, "65a1b2c3d4e5f60718293a4b");
        BSON_APPEND_OID(to, name, &oid);
        break;
    case 18:
        BSON_APPEND_BINARY(to, name, BSON_SUBTYPE_BINARY, (const uint8_t *)"\0\1", 2);
        break;
    case 19:
        BSON_APPEND_TIMESTAMP(to, name, 1767225600, 1);
        break;
    case 20:
        BSON_APPEND_MINKEY(to, name);
        break;
    case 21:
        BSON_APPEND_MAXKEY(to, name);
        break;
    case 22:
        BSON_APPEND_UNDEFINED(to, name);
        break;
    default:
        BSON_APPEND_REGEX(to, name, "a", "i");
    }
}

void append_absent(shapes *s, bson_t *to, const char *name)
{
    switch (roll(&s->state, 3)) {
    case 0:
        BSON_APPEND_NULL(to, name);
        break;
    case 1:
        BSON_APPEND_UNDEFINED(to, name);
        break;
    default:
        BSON_APPEND_BOOL(to, name, false);
    }
}

void iso_text(int64_t ms, const char *rest, char *ret_text, size_t size)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    char text[32];
    gmtime_r(&seconds, &parts);
    assert_true(strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) > 0);
    (void)snprintf(ret_text, size, "%s%s", text, rest);
}

void append_end(shapes *s, bson_t *to, const char *name)
{
    static const char *const rests[] = {"",       "Z",  "z",     ".5",    ".123Z", ".123456789Z",
                                        "+00:00", " Z", "+0000", "-00:00"};
    int64_t far = (1 + roll(&s->state, 3000)) * MINUTE_MS,
            at = s->now_ms + (roll(&s->state, 2) ? far : -far);
    char text[64];
    switch (roll(&s->state, 8)) {
    case 0:
        iso_text(at, rests[roll(&s->state, 10)], text, sizeof text);
        BSON_APPEND_UTF8(to, name, text);
        break;
    case 1:
        BSON_APPEND_INT64(to, name, at);
        break;
    case 2:
        BSON_APPEND_INT64(to, name, at / 1000);
        break;
    case 3:
        BSON_APPEND_DOUBLE(to, name, (double)at / 1000);
        break;
    default:
        BSON_APPEND_DATE_TIME(to, name, at);
    }
}

void append_end_or_any(shapes *s, bson_t *to, const char *name, unsigned odds)
{
    if (roll(&s->state, odds) == 0)
        append_any(s, to, name);
    else if (roll(&s->state, 30) == 0)
        append_absent(s, to, name);
    else if (roll(&s->state, 20) != 0)
        append_end(s, to, name);
}

void append_date(shapes *s, bson_t *to, const char *name)
{
    int64_t far = (1 + roll(&s->state, 3000)) * MINUTE_MS;
    BSON_APPEND_DATE_TIME(to, name, s->now_ms + (roll(&s->state, 3) ? far : -far));
}

void append_token(shapes *s, bson_t *to, const char *name)
{
    static const double doubles[] = {
        7.0, 7.9, 0.0, 0x1p53 + 2, 0x1p61, 0x1p62 - 0x1p20, 0x1p62 - 0x1p10, 0x1p62};
    const int64_t top = (INT64_C(1) << 62) - 1,
                  last = top - (INT64_C(1) << 20); /* the last behind which another is granted */
    const int64_t high[] = {top,  top - 1,  top - 1000,  last + 2, last + 1,
                            last, last - 1, last - 1000, top + 1};
    switch (roll(&s->state, 18)) {
    case 12:
        BSON_APPEND_INT64(to, name, high[roll(&s->state, 9)]);
        break;
    case 13:
        append_absent(s, to, name);
        break;
    case 0:
        append_any(s, to, name);
        break;
    case 1:
        BSON_APPEND_DOUBLE(to, name, doubles[roll(&s->state, 8)]);
        break;
    case 2:
        BSON_APPEND_INT32(to, name, (int32_t)roll(&s->state, 1000));
        break;
    default:
        BSON_APPEND_INT64(to, name, (int64_t)(dice(&s->state) >> (2 + roll(&s->state, 50))));
    }
}

bool goes_wrong(shapes *s, bool wrong)
{
    return wrong && roll(&s->state, 4) == 0;
}

void append_entry(shapes *s, bson_t *map, const char *id, bool waiter)
{
    bson_t entry;
    bool wrong = roll(&s->state, 8) == 0;
    if (roll(&s->state, 40) == 0) {
        append_any(s, map, id);
        return;
    }
    BSON_APPEND_DOCUMENT_BEGIN(map, id, &entry);
    BSON_APPEND_UTF8(&entry, "owner", "entry");
    const char *date = waiter ? "beat_at" : "expires_at";
    if (goes_wrong(s, wrong))
        append_any(s, &entry, date);
    else
        append_date(s, &entry, date);
    if (!waiter)
        append_token(s, &entry, "token");
    else if (goes_wrong(s, wrong))
        append_any(s, &entry, "mode");
    else
        append_text(&entry, "mode", roll(&s->state, 2) ? "exclusive" : "shared");
    static const char *const numbers[] = {"beat", "claim_ms", "ttl_ms"};
    for (int i = waiter ? 0 : 2; i < 3; i++)
        if (goes_wrong(s, wrong))
            append_any(s, &entry, numbers[i]);
        else
            BSON_APPEND_INT64(&entry, numbers[i], 1 + roll(&s->state, 5000));
    bson_append_document_end(map, &entry);
}

void append_map(shapes *s, bson_t *to, const char *name, bool waiters)
{
    bson_t map;
    if (roll(&s->state, 8) == 0) {
        append_absent(s, to, name);
        return;
    }
    if (roll(&s->state, 10) == 0) {
        append_any(s, to, name);
        return;
    }
    BSON_APPEND_DOCUMENT_BEGIN(to, name, &map);
    for (unsigned i = 0, n = roll(&s->state, 4); i < n; i++) {
        char id[LH_LEASE_ID_LEN + 1];
        (void)snprintf(id, sizeof id, "%032x", i + 1);
        append_entry(s, &map, id, waiters);
    }
    bson_append_document_end(to, &map);
}

bson_t *shape(shapes *s, unsigned i, const char *me, const char *the_key)
{
    static const char *const ids[] = {
        "old-1", "shared:x", "shared:00000000000000000000000000000001",
        "$id",   "shared",   "kept:00000000000000000000000000000001",
        ""};
    char key[32], id[64];
    (void)snprintf(key, sizeof key, "shape-%06u", i);
    (void)snprintf(id, sizeof id, "%s%u", roll(&s->state, 3) ? "lease-" : "shared:", i);
    bson_t *d = bson_new();
    BSON_APPEND_UTF8(d, "_id", key);
    append_text(d, "workspace_id", the_key ? the_key : key);
    const char *holder = roll(&s->state, 4) == 0   ? me
                         : roll(&s->state, 8) == 0 ? ids[roll(&s->state, 7)]
                                                   : id;
    bool odd_id = roll(&s->state, 15) == 0;
    shapes again = *s;
    if (odd_id)
        append_any(s, d, "id");
    else if (roll(&s->state, 15) != 0)
        BSON_APPEND_UTF8(d, "id", holder);
    append_end_or_any(s, d, "expires_at", 4);
    if (roll(&s->state, 2))
        append_token(s, d, "token");
    if (roll(&s->state, 3) == 0)
        append_map(s, d, "shared", false);
    if (roll(&s->state, 4) == 0)
        append_map(s, d, "waiters", true);
    bson_iter_t found;
    bson_value_t end = {0};
    bool has_end = bson_iter_init_find(&found, d, "expires_at");
    if (has_end)
        bson_value_copy(bson_iter_value(&found), &end); /* what is appended moves the document */
    if (roll(&s->state, 3) == 0) {
        bson_t released;
        BSON_APPEND_DOCUMENT_BEGIN(d, "released", &released);
        if (odd_id)
            append_any(&again, &released, "id"); /* the same odd one */
        else
            append_text(&released, "id", roll(&s->state, 4) ? holder : "other");
        append_text(&released, "how", roll(&s->state, 2) ? "release" : "expire");
        if (has_end && roll(&s->state, 2))
            BSON_APPEND_VALUE(&released, "at", &end); /* as a release leaves it, and nonsense too */
        else if (roll(&s->state, 2))
            append_date(s, &released, "at");
        else if (roll(&s->state, 4) == 0)
            append_any(s, &released, "at");
        bson_append_document_end(d, &released);
    } else if (roll(&s->state, 12) == 0) {
        append_any(s, d, "released");
    }
    if (roll(&s->state, 3) == 0)
        append_any(s, d, roll(&s->state, 2) ? "owner" : "user_id");
    else if (roll(&s->state, 4))
        append_text(d, roll(&s->state, 8) ? "owner" : "user_id", "$somebody");
    static const char *const strange[] = {"now",    "more",       "maps_ok", "holders", "waiting",
                                          "ttl_ms", "renewed_at", "mode",    "wake",    "v"};
    if (roll(&s->state, 4) == 0)
        append_any(s, d, strange[roll(&s->state, 10)]);
    if (has_end)
        bson_value_destroy(&end);
    return d;
}

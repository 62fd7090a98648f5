/* SPDX-License-Identifier: Apache-2.0
 * Reads `expires_at` as an instant, whatever older code stored there. */
#include "protocol/doc_instant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/doc.h"

/* a number below this is in seconds, else in milliseconds */
#define SECONDS_BELOW 1e11
#define LAST_MS       INT64_C(253402300799999) /* the end of the year 9999 */

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar. */
static int64_t days_from_civil(int year, int month, int day)
{
    static const int before_month[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    /* Years are counted from 0000-03-01, so a leap day is the last day of its year. */
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t leap_days =
        /* adds 400 years, which have 97 leap days, to avoid a negative division */
        (y + 400) / 4 - (y + 400) / 100 + (y + 400) / 400 - 97;
    return (int64_t)year * 365 + leap_days + before_month[month - 1] + day - 1 - 719527;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Reads `n` digits. */
static bool read_digits(const char **at, int n, int *ret_number)
{
    int number = 0;
    for (int i = 0; i < n; i++) {
        char c = (*at)[i];
        if (c < '0' || c > '9')
            return false;
        number = number * 10 + (c - '0');
    }
    *at += n;
    *ret_number = number;
    return true;
}

static bool skip(const char **at, const char *any_of)
{
    if (!**at || !strchr(any_of, **at))
        return false;
    (*at)++;
    return true;
}

static bool read_date(const char **at, int64_t *ret_days)
{
    static const int days_in[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!read_digits(at, 4, &year) || !skip(at, "-") || !read_digits(at, 2, &month) ||
        !skip(at, "-") || !read_digits(at, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in[month - 1] ||
        (month == 2 && day == 29 && !is_leap(year)))
        return false;
    *ret_days = days_from_civil(year, month, day);
    return true;
}

/* hh:mm[:ss[.fraction]]; the fraction is truncated to milliseconds. */
static bool read_time(const char **at, int64_t *ret_ms)
{
    int hour, minute, second = 0, fraction = 0;
    if (!read_digits(at, 2, &hour) || !skip(at, ":") || !read_digits(at, 2, &minute))
        return false;
    if (skip(at, ":")) {
        if (!read_digits(at, 2, &second))
            return false;
        if (skip(at, ".")) {
            int n = 0, digit;
            for (; n < 9 && read_digits(at, 1, &digit); n++)
                if (n < 3)
                    fraction = fraction * 10 + digit;
            if (n == 0)
                return false;
            for (; n < 3; n++)
                fraction *= 10;
        }
    }
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    *ret_ms = ((hour * 60 + minute) * INT64_C(60) + second) * 1000 + fraction;
    return true;
}

/* Nothing (UTC), Z, or ±hh, ±hhmm, ±hh:mm, up to 14:59. A space may precede it. */
static bool read_zone(const char **at, int64_t *ret_ms)
{
    int hours, minutes = 0;
    *ret_ms = 0;
    bool blank = skip(at, " ");
    if (!**at)
        return !blank;
    if (skip(at, "Zz"))
        return true;
    int sign = **at == '-' ? -1 : 1;
    if (!skip(at, "+-") || !read_digits(at, 2, &hours) || hours > 14)
        return false;
    if (**at && (skip(at, ":"), !read_digits(at, 2, &minutes) || minutes > 59))
        return false;
    *ret_ms = sign * (hours * 60 + minutes) * INT64_C(60000);
    return true;
}

static bool read_iso(const char *text, size_t len, int64_t *ret_ms)
{
    int64_t days, time = 0, zone = 0;
    if (strlen(text) != len) /* a NUL inside */
        return false;
    if (!read_date(&text, &days))
        return false;
    if (*text && (!skip(&text, "Tt ") || !read_time(&text, &time) || !read_zone(&text, &zone)))
        return false;
    if (*text)
        return false;
    *ret_ms = days * INT64_C(86400000) + time - zone;
    return true;
}

static bool read_number(double number, int64_t *ret_ms)
{
    if (!(number >= 0 && number <= (double)LAST_MS)) /* false for NaN, too */
        return false;
    *ret_ms = (int64_t)(number < SECONDS_BELOW ? number * 1000 : number);
    return true;
}

bool lh_doc_instant(const bson_iter_t *value, int64_t *ret_ms)
{
    switch (bson_iter_type(value)) {
    case BSON_TYPE_DATE_TIME:
        *ret_ms = bson_iter_date_time(value);
        return true;
    case BSON_TYPE_UTF8: {
        uint32_t len;
        const char *text = bson_iter_utf8(value, &len);
        return read_iso(text, len, ret_ms);
    }
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
    case BSON_TYPE_DOUBLE:
        return read_number(bson_iter_as_double(value), ret_ms);
    case BSON_TYPE_DECIMAL128: {
        bson_decimal128_t decimal;
        char text[BSON_DECIMAL128_STRING];
        if (!bson_iter_decimal128(value, &decimal))
            return false;
        bson_decimal128_to_string(&decimal, text);
        return read_number(strtod(text, NULL), ret_ms);
    }
    default:
        return false;
    }
}

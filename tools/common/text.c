/* SPDX-License-Identifier: Apache-2.0
 * Text for users, and text from users. Pure: the tables here are constants, and nothing is
 * printed. */
#include "common/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* Longest first, so that the first that divides a duration is the one to write it in. */
static const struct unit {
    const char *suffix;
    int64_t ms;
} units[] = {{"d", DAY}, {"h", HOUR}, {"m", MINUTE}, {"s", SECOND}, {"ms", 1}, {"", SECOND}};
enum { UNITS = sizeof units / sizeof units[0] };

/* The digits at the start of `text`; NULL when there are none, or too many. */
static const char *read_digits(const char *text, int64_t *ret_number)
{
    int64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, *at - '0', &number))
            return NULL;
    }
    *ret_number = number;
    return at == text ? NULL : at;
}

bool text_number(const char *text, int64_t *ret_number)
{
    int64_t number;
    const char *end = read_digits(text, &number);
    if (!end || *end)
        return false;
    *ret_number = number;
    return true;
}

bool text_duration(const char *text, int64_t *ret_ms)
{
    int64_t number;
    const char *suffix = read_digits(text, &number);
    if (!suffix)
        return false;
    for (size_t i = 0; i < UNITS; i++) {
        if (strcmp(suffix, units[i].suffix) == 0)
            return !__builtin_mul_overflow(number, units[i].ms, ret_ms);
    }
    return false;
}

void text_as_option(int64_t ms, char buffer[TEXT_DURATION_SIZE])
{
    size_t i = ms == 0 ? 3 : 0;
    while (ms % units[i].ms != 0)
        i++;
    (void)snprintf(buffer, TEXT_DURATION_SIZE, "%" PRId64 "%s", ms / units[i].ms, units[i].suffix);
}

void text_from_duration(int64_t ms, char buffer[TEXT_DURATION_SIZE])
{
    if (ms < 0)
        ms = ms == INT64_MIN ? INT64_MAX : -ms;
    if (ms < SECOND)
        (void)snprintf(buffer, TEXT_DURATION_SIZE, "0.%d s", (int)(ms / 100));
    else if (ms < MINUTE)
        (void)snprintf(buffer, TEXT_DURATION_SIZE, "%d s", (int)(ms / SECOND));
    else if (ms < HOUR)
        (void)snprintf(buffer, TEXT_DURATION_SIZE, "%d min %d s", (int)(ms / MINUTE),
                       (int)(ms % MINUTE / SECOND));
    else if (ms < DAY)
        (void)snprintf(buffer, TEXT_DURATION_SIZE, "%d h %d min", (int)(ms / HOUR),
                       (int)(ms % HOUR / MINUTE));
    else
        (void)snprintf(buffer, TEXT_DURATION_SIZE, "%" PRId64 " d %d h", ms / DAY,
                       (int)(ms % DAY / HOUR));
}

bool text_time(int64_t at_ms, char buffer[TEXT_TIME_SIZE])
{
    int ms = (int)(at_ms % SECOND);
    time_t seconds = (time_t)(at_ms / SECOND);
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
        return false;
    (void)snprintf(buffer, TEXT_TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ms);
    return true;
}

/* Characters that are invisible, or that change the direction of the text: the categories Cc, Cf,
 * Cs, Zl and Zp of Unicode 15, and its Default_Ignorable_Code_Points (variation selectors and
 * fillers among them). In order. The dashboard has the same (serve/dashboard/dom.js); a test
 * compares the two. */
static const struct {
    uint32_t first, last;
} misleading[] = {
    {0x0000, 0x001F},   {0x007F, 0x009F},   {0x00AD, 0x00AD},   {0x034F, 0x034F},
    {0x0600, 0x0605},   {0x061C, 0x061C},   {0x06DD, 0x06DD},   {0x070F, 0x070F},
    {0x0890, 0x0891},   {0x08E2, 0x08E2},   {0x115F, 0x1160},   {0x17B4, 0x17B5},
    {0x180B, 0x180F},   {0x200B, 0x200F},   {0x2028, 0x202E},   {0x2060, 0x206F},
    {0x3164, 0x3164},   {0xD800, 0xDFFF},   {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF},
    {0xFFA0, 0xFFA0},   {0xFFF0, 0xFFFB},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD},
    {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF},
};

bool text_misleads(uint32_t character)
{
    size_t i = 0, n = sizeof misleading / sizeof misleading[0];
    while (i < n && character > misleading[i].last)
        i++;
    return i < n && character >= misleading[i].first;
}

/* Writes one character's safe form (at most 10 bytes and a NUL) and returns its width. */
static size_t safe_character(char *to, const char *from, size_t len, wchar_t c)
{
    int width = wcwidth(c);
    if (width >= 0 && iswprint((wint_t)c) && !text_misleads((uint32_t)c)) {
        memcpy(to, from, len);
        to[len] = '\0';
        return (size_t)width;
    }
    if (c == L'\n' || c == L'\t' || c == L'\r')
        return (size_t)sprintf(to, "\\%c", c == L'\n' ? 'n' : c == L'\t' ? 't' : 'r');
    return (size_t)sprintf(to,
                           c < 0x80      ? "\\x%02x"
                           : c <= 0xFFFF ? "\\u%04x"
                                         : "\\U%08x",
                           (unsigned)c);
}

char *text_safe(const char *text, size_t *ret_width)
{
    size_t len = strlen(text), width = 0;
    char *safe = malloc(len * 6 +
                        11); /* a byte becomes at most \u0085; the rest is for the last one's NUL */
    if (!safe)
        return NULL;
    char *to = safe;
    *to = '\0';
    mbstate_t state = {0};
    for (size_t i = 0, n; i < len; i += n) {
        wchar_t c;
        n = mbrtowc(&c, text + i, len - i, &state);
        if (n == 0 || n > len - i) { /* no character begins here */
            n = 1;
            width += (size_t)sprintf(to, "\\x%02x", (unsigned char)text[i]);
            state = (mbstate_t){0};
        } else {
            width += safe_character(to, text + i, n, c);
        }
        to += strlen(to);
    }
    if (ret_width)
        *ret_width = width;
    return safe;
}

void text_cut(char *text, size_t columns)
{
    mbstate_t state = {0};
    size_t len = strlen(text), n;
    for (size_t at = 0; at < len; at += n) {
        wchar_t c;
        n = mbrtowc(&c, text + at, len - at, &state);
        int width = n == 0 || n > len - at ? -1 : wcwidth(c);
        if (width < 0 || (size_t)width > columns) {
            text[at] = '\0';
            return;
        }
        columns -= (size_t)width;
    }
}

/* How many letters to insert, drop or change to make `b` of `a` (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 32 };
    size_t row[LONGEST + 1], len = strlen(b);
    if (len > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 1; *a; a++, i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t change = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            size_t shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < shift ? change : shift;
        }
    }
    return row[len];
}

const char *text_nearest(const char *word, const char *const *names)
{
    const char *nearest = NULL;
    size_t least = strlen(word) / 3 + 1; /* one slip for every three letters */
    for (; *names; names++) {
        size_t d = strlen(word) >= 2 && strncmp(word, *names, strlen(word)) == 0
                       ? 0
                       : distance(word, *names);
        if (d < least || (d == least && !nearest)) {
            least = d;
            nearest = *names;
        }
    }
    return nearest;
}

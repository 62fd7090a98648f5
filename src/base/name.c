/* SPDX-License-Identifier: Apache-2.0
 * Checks names, and trims white space. */
#include "base/name.h"
#include "base/error.h"
#include "base/key.h"

#include <string.h>

/* Unicode's white space, and characters of no width, which are as hard to see. */
static bool is_blank(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           c == 0x180E || (c >= 0x2000 && c <= 0x200B) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x2060 || c == 0x3000 || c == 0xFEFF;
}

const char *lh_trim(const char *text, size_t *ret_len)
{
    size_t len = strlen(text), start = 0, end = 0, n;
    for (size_t at = 0; at < len; at += n) {
        uint32_t c;
        n = lh_text_character(text + at, len - at, &c);
        bool blank = n > 0 && is_blank(c);
        if (n == 0)
            n = 1; /* not UTF-8: other checks report this */
        if (blank && start == at)
            start = at + n;
        else if (!blank)
            end = at + n;
    }
    *ret_len = end > start ? end - start : 0;
    return text + start;
}

/* `words`: single spaces between words are allowed. */
static int check(const char *what, const char *name, size_t max, bool words, lh_error *error)
{
    size_t len = strlen(name);
    int outcome = lh_text_check(what, name, len, 1, max, error);
    if (outcome != LH_OK)
        return outcome;
    for (size_t at = 0; at < len;) {
        uint32_t c;
        size_t n = lh_text_character(name + at, len - at, &c);
        bool between = words && c == ' ' && at > 0 && at + n < len;
        if (is_blank(c) && !between)
            return lh_fail(error, LH_INVALID,
                           "the %s has white space (U+%04X) at byte %zu: leave it out%s", what,
                           (unsigned)c, at,
                           words && c != ' ' ? ", or use an ordinary space between words" : "");
        at += n;
    }
    return LH_OK;
}

int lh_name_check(const char *what, const char *name, size_t max, lh_error *error)
{
    return check(what, name, max, false, error);
}

int lh_owner_check(const char *what, const char *owner, lh_error *error)
{
    return check(what, owner ? owner : "", LH_OWNER_MAX, true, error);
}

/* The limits are those of MongoDB's manual ("MongoDB Limits and Thresholds"). They are checked here
 * so that the messages are ours. */
int lh_database_check(const char *what, const char *name, lh_error *error)
{
    int outcome = lh_name_check(what, name, 63, error);
    if (outcome == LH_OK && strpbrk(name, "/\\.\"$*<>:|?"))
        outcome =
            lh_fail(error, LH_INVALID, "the %s must not contain / \\ . \" $ * < > : | or ?", what);
    return outcome;
}

int lh_collection_check(const char *what, const char *name, size_t max, lh_error *error)
{
    int outcome = lh_name_check(what, name, max, error);
    if (outcome == LH_OK && (strchr(name, '$') || strncmp(name, "system.", 7) == 0 || *name == '.'))
        outcome = lh_fail(
            error, LH_INVALID,
            "the %s must be 1 to %zu bytes without $, and must not begin with a dot or \"system.\"",
            what, max);
    return outcome;
}

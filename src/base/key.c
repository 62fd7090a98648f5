/* SPDX-License-Identifier: Apache-2.0
 * Checks keys, paths and lease ids, and joins parts to a key. */
#include "base/key.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

size_t lh_text_character(const char *bytes, size_t len, uint32_t *ret_character)
{
    const unsigned char *text = (const unsigned char *)bytes;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = text[0];
    size_t n = first < 0x80       ? 1
               : first >> 5 == 6  ? 2
               : first >> 4 == 14 ? 3
               : first >> 3 == 30 ? 4
                                  : 0;
    if (n == 0 || n > len)
        return 0;
    uint32_t character = n == 1 ? first : first & (0x7FU >> n);
    for (size_t i = 1; i < n; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        character = character << 6 | (text[i] & 0x3FU);
    }
    if (character < smallest[n] || character > 0x10FFFF ||
        (character >= 0xD800 && character <= 0xDFFF))
        return 0;
    *ret_character = character;
    return n;
}

int lh_text_check(const char *what, const char *text, size_t len, size_t min, size_t max,
                  lh_error *error)
{
    if (len < min)
        return lh_fail(error, LH_INVALID, "the %s is empty: give it 1 to %zu bytes", what, max);
    if (len > max)
        return lh_fail(error, LH_INVALID, "the %s has %zu bytes: at most %zu are allowed", what,
                       len, max);
    for (size_t at = 0; at < len;) {
        uint32_t character;
        size_t n = lh_text_character(text + at, len - at, &character);
        if (n == 0)
            return lh_fail(error, LH_INVALID, "the %s is not UTF-8 at byte %zu", what, at);
        if (character < 0x20 || (character >= 0x7F && character < 0xA0))
            return lh_fail(error, LH_INVALID, "the %s has a control character (U+%04X) at byte %zu",
                           what, (unsigned)character, at);
        at += n;
    }
    return LH_OK;
}

int lh_key_check(const char *key, size_t key_len, lh_error *error)
{
    if (lh_error_check(error) != LH_OK)
        return LH_INVALID;
    if (!key)
        return lh_fail(error, LH_INVALID, "no key was given");
    return lh_text_check("key", key, key_len, 1, LH_KEY_MAX, error);
}

int lh_path_check(const char *key, lh_error *error)
{
    size_t len = strlen(key);
    if (key[0] == '/' || key[len - 1] == '/')
        return lh_fail(error, LH_INVALID,
                       "the path begins or ends with a '/': write org/project, not /org/project/");
    const char *empty = strstr(key, "//");
    if (empty)
        return lh_fail(error, LH_INVALID, "the path has an empty part at byte %zu",
                       (size_t)(empty - key) + 1);
    return LH_OK;
}

int lh_lease_id_check(const char *id, lh_error *error)
{
    if (id && strlen(id) == LH_LEASE_ID_LEN && strspn(id, "0123456789abcdef") == LH_LEASE_ID_LEN)
        return LH_OK;
    return lh_fail(
        error, LH_INVALID,
        "the lease id is not %d lower-case hexadecimal digits: give the id that acquire printed",
        LH_LEASE_ID_LEN);
}

int lh_key_join(const char *const *parts, size_t n, char **ret_key, lh_error *error)
{
    if (lh_error_check(error) != LH_OK)
        return LH_INVALID;
    if (n == 0)
        return lh_fail(error, LH_INVALID, "no part of a key was given");
    size_t room = 0;
    for (size_t i = 0; i < n; i++) {
        if (!parts[i] || !*parts[i])
            return lh_fail(error, LH_INVALID, "part %zu of the key is empty", i + 1);
        /* each byte may be escaped; 1 for the separator or the end */
        room += 3 * strlen(parts[i]) + 1;
    }
    char *key = malloc(room);
    if (!key)
        return lh_fail_memory(error);
    char *end = key;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            *end++ = ':';
        for (const char *c = parts[i]; *c; c++) {
            if (*c != ':' && *c != '%') {
                *end++ = *c;
                continue;
            }
            memcpy(end, *c == ':' ? "%3A" : "%25", 3);
            end += 3;
        }
    }
    *end = '\0';
    int outcome = lh_key_check(key, (size_t)(end - key), error);
    if (outcome != LH_OK)
        free(key);
    else
        *ret_key = key;
    return outcome;
}

void lh_string_free(char *string)
{
    free(string);
}

uint64_t lh_text_hash(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash;
}

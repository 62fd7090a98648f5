/* SPDX-License-Identifier: Apache-2.0
 * Keys: a line feed parts the input; what was joined can be taken apart again, and is a key. */
#include "base/key.h"

#include <bson/bson.h>

#include "fuzz.h"

enum { MOST = 64 };

/* Undoes the escaping of one part; where it ends. */
static const char *part_is(const char *key, const char *part)
{
    for (; *part; part++) {
        if (*part == ':' || *part == '%') {
            must(strncmp(key, *part == ':' ? "%3A" : "%25", 3) == 0);
            key += 3;
        } else {
            must(*key++ == *part);
        }
    }
    return key;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lh_error error = LH_ERROR_INIT;
    bool good = lh_key_check((const char *)data, size, &error) == LH_OK;
    must(!good || (bson_utf8_validate((const char *)data, size, false) && size <= LH_KEY_MAX &&
                   !memchr(data, 0, size)));
    must(good || bson_utf8_validate(error.message, strlen(error.message), false));

    char *text = as_string(data, size), *rest = text, *key = NULL;
    const char *parts[MOST];
    size_t n = 0;
    while (n < MOST && rest)
        parts[n++] = strsep(&rest, "\n");
    if (lh_key_join(parts, n, &key, &error) == LH_OK) {
        must(lh_key_check(key, strlen(key), &error) == LH_OK);
        const char *at = key;
        for (size_t i = 0; i < n; i++) {
            at = part_is(at, parts[i]);
            must(*at == (i + 1 < n ? ':' : '\0'));
            at++;
        }
        lh_string_free(key);
    } else {
        must(!key);
    }
    (void)lh_lease_id_check(text, &error);
    free(text);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * Text from people and for people: what is read can be written and read again; what is printed is
 * safe. */
#include "common/text.h"

#include <bson/bson.h>
#include <inttypes.h>
#include <locale.h>

#include "fuzz.h"

static void safe_is_safe(const char *text)
{
    size_t width = 0;
    char *safe = text_safe(text, &width);
    must(safe);
    must(bson_utf8_validate(safe, strlen(safe), false));
    for (const char *c = safe; *c; c = bson_utf8_next_char(c))
        must(!text_misleads(bson_utf8_get_char(c)));
    must(width <= strlen(safe));
    free(safe);
}

static void numbers(int64_t number)
{
    char duration[TEXT_DURATION_SIZE], option[TEXT_DURATION_SIZE], at[TEXT_TIME_SIZE];
    int64_t again;
    text_from_duration(number, duration);
    if (text_time(number, at))
        must(strlen(at) == strlen("2026-03-01T10:00:00.000Z"));
    if (number >= 0) {
        text_as_option(number, option);
        must(text_duration(option, &again) && again == number);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"acquire", "renew",   "release", "run", "status",
                                        "list",    "migrate", "cleanup", NULL};
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    char *text = as_string(data, size);
    int64_t number;
    if (text_duration(text, &number))
        numbers(number);
    if (text_number(text, &number)) {
        must(number >= 0);
        numbers(number);
    }
    if (size >= sizeof number) {
        memcpy(&number, data, sizeof number);
        numbers(number);
    }
    safe_is_safe(text);
    (void)text_nearest(text, names);
    free(text);
    return 0;
}

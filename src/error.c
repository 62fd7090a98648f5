/* SPDX-License-Identifier: Apache-2.0
 * Outcomes: their words and sentences, and how an lh_error is filled. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PUBLIC_ERROR_SIZE sizeof(((lh_error *)0)->message)

const char *lh_version(void)
{
    return LH_VERSION;
}

const char *lh_outcome_word(int outcome)
{
    switch (outcome) {
#define X(name, number, word, sentence)                                                                                \
    case name:                                                                                                         \
        return word;
        LH_OUTCOMES(X)
#undef X
    default:
        return "bug";
    }
}

const char *lh_outcome_sentence(int outcome)
{
    switch (outcome) {
#define X(name, number, word, sentence)                                                                                \
    case name:                                                                                                         \
        return sentence;
        LH_OUTCOMES(X)
#undef X
    default:
        return lh_outcome_sentence(LH_BUG);
    }
}

void lh_cut_utf8(char *text, size_t max)
{
    size_t len = strlen(text);
    if (len <= max)
        return;
    while (max > 0 && ((unsigned char)text[max] & 0xC0) == 0x80)
        max--;
    text[max] = '\0';
}

int lh_fail(lh_error *error, int code, const char *format, ...)
{
    if (!error)
        return code;
    *error = (lh_error){.code = code};
    /* One byte more than fits is printed, so that a cut is seen and made at a character. */
    char message[PUBLIC_ERROR_SIZE + 1];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    lh_cut_utf8(message, PUBLIC_ERROR_SIZE - 1);
    memcpy(error->message, message, strlen(message) + 1);
    return code;
}

int lh_fail_memory(lh_error *error)
{
    return lh_fail(error, LH_MEMORY, "out of memory");
}

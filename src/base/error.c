/* SPDX-License-Identifier: Apache-2.0
 * Outcomes: their words and sentences, and how an lh_error is filled. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A reason's number is this times its outcome, and some. */
#define OUTCOME_OF_REASON 100

#define X(name, number, word, sentence)                                                            \
    _Static_assert(name / OUTCOME_OF_REASON > LH_OK && name / OUTCOME_OF_REASON <= LH_ABSENT, word);
LH_REASONS(X)
#undef X
_Static_assert(LH_REASON_HELD == LH_BUSY * OUTCOME_OF_REASON + LH_WHY_HELD &&
                   LH_REASON_PATH == LH_BUSY * OUTCOME_OF_REASON + LH_WHY_PATH,
               "the reasons of LH_BUSY are LH_WHY_…");

#define PUBLIC_ERROR_SIZE sizeof(((lh_error *)0)->message)

const char *lh_version(void)
{
    return LH_VERSION;
}

int lh_version_number(void)
{
    return LH_VERSION_NUMBER;
}

const char *lh_outcome_word(int outcome)
{
    switch (outcome) {
#define X(name, number, word, sentence)                                                            \
    case name:                                                                                     \
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
#define X(name, number, word, sentence)                                                            \
    case name:                                                                                     \
        return sentence;
        LH_OUTCOMES(X)
#undef X
    default:
        return lh_outcome_sentence(LH_BUG);
    }
}

const char *lh_reason_word(int reason)
{
    switch (reason) {
#define X(name, number, word, sentence)                                                            \
    case name:                                                                                     \
        return word;
        LH_REASONS(X)
#undef X
    default:
        return "";
    }
}

const char *lh_reason_sentence(int reason)
{
    switch (reason) {
#define X(name, number, word, sentence)                                                            \
    case name:                                                                                     \
        return sentence;
        LH_REASONS(X)
#undef X
    default:
        return "";
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

/* How many bytes of `error` may be written. If it was not initialised, the size of the first
 * version, so that the caller finds the message where it prints it. 0 if its `size` is plausible,
 * but too small for a message. */
static size_t room_of(const lh_error *error)
{
    if (error->size == 0 || error->size > LH_SIZE_MAX)
        return LH_ERROR_LEAST;
    if (error->size < LH_ERROR_LEAST)
        return 0;
    return error->size < sizeof *error ? error->size : sizeof *error;
}

int lh_error_check(lh_error *error)
{
    if (!error || (error->size >= LH_ERROR_LEAST && error->size <= LH_SIZE_MAX))
        return LH_OK;
    return lh_fail(error, LH_INVALID,
                   "the size of lh_error is %zu, which no version has: initialise the struct with "
                   "LH_ERROR_INIT",
                   error->size);
}

void lh_error_give(lh_error *to, const lh_error *from)
{
    size_t room = to ? room_of(to) : 0, there = room_of(from);
    if (room > there)
        room = there;
    if (room > sizeof to->size)
        memcpy((char *)to + sizeof to->size, (const char *)from + sizeof to->size,
               room - sizeof to->size);
}

int lh_fail(lh_error *error, int code, const char *format, ...)
{
    int reason = code >= OUTCOME_OF_REASON ? code : 0;
    if (reason)
        code = reason / OUTCOME_OF_REASON;
    if (!error || room_of(error) == 0)
        return code;
    lh_error_give(error, &(lh_error){.size = sizeof *error, .code = code, .reason = reason});
    /* Prints one byte more than fits, so that a message that is too long is noticed, and truncated
     * at a character. */
    char message[PUBLIC_ERROR_SIZE + 1];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    lh_cut_utf8(message, PUBLIC_ERROR_SIZE - 1);
    memcpy(error->message, message, strlen(message) + 1);
    return code;
}

int lh_error_reason(const lh_error *why, int outcome)
{
    return why->reason / OUTCOME_OF_REASON == outcome ? why->reason : outcome;
}

void lh_error_recode(lh_error *error, int code)
{
    if (!error)
        return;
    error->code = code;
    if (error->reason / OUTCOME_OF_REASON != code)
        error->reason = 0;
}

int lh_fail_memory(lh_error *error)
{
    return lh_fail(error, LH_MEMORY, "out of memory");
}

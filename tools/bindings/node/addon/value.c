/* SPDX-License-Identifier: Apache-2.0 */
#include "addon.h"

#include <math.h>
#include <stdlib.h>

void lhn_arguments(napi_env env, napi_callback_info info, napi_value values[LHN_ARGUMENTS])
{
    size_t n = LHN_ARGUMENTS;
    napi_get_cb_info(env, info, &n, values, NULL, NULL);
}

void *lhn_pointer(napi_env env, napi_value external)
{
    void *pointer = NULL;
    napi_get_value_external(env, external, &pointer);
    return pointer;
}

napi_value lhn_property(napi_env env, napi_value object, const char *name)
{
    napi_value value = NULL;
    if (napi_get_named_property(env, object, name, &value) != napi_ok)
        return lhn_undefined(env);
    return value;
}

char *lhn_text(napi_env env, napi_value value)
{
    size_t size = 0;
    if (napi_get_value_string_utf8(env, value, NULL, 0, &size) != napi_ok)
        return NULL;
    char *text = malloc(size + 1);
    if (!text)
        abort();
    napi_get_value_string_utf8(env, value, text, size + 1, &size);
    return text;
}

int64_t lhn_token_of(napi_env env, napi_value object, const char *name, int64_t otherwise)
{
    int64_t token = otherwise;
    bool lossless = true;
    if (napi_get_value_bigint_int64(env, lhn_property(env, object, name), &token, &lossless) !=
        napi_ok)
        return otherwise;
    return lossless ? token : INT64_MAX; /* no grant has it */
}

char *lhn_text_of(napi_env env, napi_value object, const char *name)
{
    return lhn_text(env, lhn_property(env, object, name));
}

char **lhn_texts(napi_env env, napi_value array, size_t *ret_n)
{
    uint32_t n = 0;
    if (napi_get_array_length(env, array, &n) != napi_ok || n == 0)
        return NULL;
    char **texts = calloc(n, sizeof *texts);
    if (!texts)
        abort();
    for (uint32_t i = 0; i < n; i++) {
        napi_value text;
        napi_get_element(env, array, i, &text);
        texts[i] = lhn_text(env, text);
    }
    *ret_n = n;
    return texts;
}

void lhn_texts_free(char **texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(texts[i]);
    free(texts);
}

int64_t lhn_number(napi_env env, napi_value value, int64_t otherwise)
{
    double number = 0;
    if (napi_get_value_double(env, value, &number) != napi_ok)
        return otherwise;
    if (number >= 9e18)
        return INT64_MAX;
    return number > -9e18 ? (int64_t)number : INT64_MIN;
}

int64_t lhn_number_of(napi_env env, napi_value object, const char *name, int64_t otherwise)
{
    return lhn_number(env, lhn_property(env, object, name), otherwise);
}

bool lhn_flag_of(napi_env env, napi_value object, const char *name)
{
    bool flag = false;
    napi_get_value_bool(env, lhn_property(env, object, name), &flag);
    return flag;
}

napi_value lhn_object(napi_env env)
{
    napi_value object;
    napi_create_object(env, &object);
    return object;
}

napi_value lhn_undefined(napi_env env)
{
    napi_value value;
    napi_get_undefined(env, &value);
    return value;
}

napi_value lhn_text_value(napi_env env, const char *text)
{
    napi_value value;
    napi_create_string_utf8(env, text ? text : "", NAPI_AUTO_LENGTH, &value);
    return value;
}

napi_value lhn_number_value(napi_env env, int64_t number)
{
    napi_value value;
    napi_create_double(env, number == INT64_MAX ? INFINITY : (double)number, &value);
    return value;
}

void lhn_set(napi_env env, napi_value object, const char *name, napi_value value)
{
    napi_set_named_property(env, object, name, value);
}

void lhn_set_text(napi_env env, napi_value object, const char *name, const char *text)
{
    lhn_set(env, object, name, lhn_text_value(env, text));
}

void lhn_set_number(napi_env env, napi_value object, const char *name, int64_t number)
{
    lhn_set(env, object, name, lhn_number_value(env, number));
}

void lhn_set_token(napi_env env, napi_value object, int64_t token)
{
    napi_value value;
    napi_create_bigint_int64(env, token, &value);
    lhn_set(env, object, "token", value);
}

void lhn_set_flag(napi_env env, napi_value object, const char *name, bool flag)
{
    napi_value value;
    napi_get_boolean(env, flag, &value);
    lhn_set(env, object, name, value);
}

static napi_value holder_value(napi_env env, const lh_holder *holder)
{
    napi_value value = lhn_object(env);
    lhn_set_text(env, value, "owner", holder->owner);
    lhn_set_text(env, value, "host", holder->host);
    lhn_set_text(env, value, "purpose", holder->purpose);
    lhn_set_number(env, value, "pid", holder->pid);
    lhn_set_flag(env, value, "shared", holder->mode == LH_SHARED);
    lhn_set_token(env, value, holder->token);
    lhn_set_number(env, value, "acquiredAt", holder->acquired_at_ms);
    lhn_set_number(env, value, "expiresAt", holder->expires_at_ms);
    lhn_set_number(env, value, "remaining", holder->remaining_ms);
    lhn_set_flag(env, value, "kept", holder->kept);
    return value;
}

static napi_value waiter_value(napi_env env, const lh_waiter *waiter)
{
    napi_value value = lhn_object(env);
    lhn_set_text(env, value, "owner", waiter->owner);
    lhn_set_text(env, value, "purpose", waiter->purpose);
    lhn_set_flag(env, value, "shared", waiter->mode == LH_SHARED);
    lhn_set_number(env, value, "since", waiter->since_ms);
    return value;
}

static napi_value holders_value(napi_env env, const lh_record *record)
{
    napi_value value;
    napi_create_array(env, &value);
    const lh_holder *holder;
    for (uint32_t i = 0; (holder = lh_record_holder(record, i)); i++)
        napi_set_element(env, value, i, holder_value(env, holder));
    return value;
}

static napi_value waiters_value(napi_env env, const lh_record *record)
{
    napi_value value;
    napi_create_array(env, &value);
    const lh_waiter *waiter;
    for (uint32_t i = 0; (waiter = lh_record_waiter(record, i)); i++)
        napi_set_element(env, value, i, waiter_value(env, waiter));
    return value;
}

static napi_value released_value(napi_env env, const lh_record *record)
{
    if (!record->released_how[0])
        return lhn_undefined(env);
    napi_value value = lhn_object(env);
    lhn_set_text(env, value, "how", record->released_how);
    lhn_set_text(env, value, "owner", record->released_owner);
    lhn_set_text(env, value, "by", record->released_by);
    lhn_set_text(env, value, "reason", record->released_reason);
    lhn_set_number(env, value, "at", record->released_at_ms);
    return value;
}

napi_value lhn_note_value(napi_env env, const char *text, int64_t token, int64_t at_ms)
{
    if (!text || !text[0])
        return lhn_undefined(env);
    napi_value value = lhn_object(env);
    lhn_set_text(env, value, "text", text);
    lhn_set_token(env, value, token);
    lhn_set_number(env, value, "at", at_ms);
    return value;
}

napi_value lhn_record_value(napi_env env, const lh_record *record)
{
    static const char *const states[] = {"free", "held", "malformed"};
    napi_value value = lhn_object(env);
    lhn_set_text(env, value, "key", record->key);
    lhn_set_text(env, value, "state", states[record->state]);
    lhn_set_text(env, value, "problem", record->problem);
    lhn_set_token(env, value, record->token);
    lhn_set_flag(env, value, "expired", record->expired);
    lhn_set(env, value, "holders", holders_value(env, record));
    lhn_set(env, value, "waiters", waiters_value(env, record));
    lhn_set_number(env, value, "now", record->now_ms);
    lhn_set(env, value, "released", released_value(env, record));
    lhn_set(env, value, "note",
            lhn_note_value(env, record->note, record->note_token, record->note_at_ms));
    return value;
}

napi_value lhn_failure(napi_env env, int outcome, const lh_error *error, const lh_record *record)
{
    napi_value value = lhn_object(env);
    lhn_set_text(env, value, "code", lh_outcome_word(outcome));
    lhn_set_text(env, value, "reason", lh_reason_word(error->reason));
    lhn_set_text(env, value, "message", error->message);
    lhn_set_text(env, value, "leaseId", error->lease_id);
    lhn_set_number(env, value, "serverCode", error->server_code);
    if (record) {
        lhn_set(env, value, "record", lhn_record_value(env, record));
        lhn_set_number(env, value, "retryAfter", record->retry_after_ms);
    }
    return value;
}

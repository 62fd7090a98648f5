/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases that are held. A function that sends a command gets the store too, which counts it. */
#include "addon.h"

#include <stdlib.h>

static void free_handle(napi_env env, void *data, void *hint)
{
    (void)env, (void)hint;
    lh_lease_free(data);
}

napi_value lhn_lease_value(napi_env env, lh_lease *lease)
{
    napi_value value = lhn_object(env), handle;
    napi_create_external(env, lease, free_handle, NULL, &handle);
    lhn_set(env, value, "handle", handle);
    lhn_set_text(env, value, "id", lh_lease_id(lease));
    lhn_set_text(env, value, "owner", lh_lease_owner(lease));
    lhn_set_token(env, value, lh_lease_token(lease));
    return value;
}

struct lease_call {
    lhn_call call;
    lh_lease *lease;
    char *text; /* a note, or an owner */
    int64_t ttl_ms, keep_ms;
    const lh_note *note;
    char id[LH_LEASE_ID_LEN + 1];
};

static void free_call(lhn_call *call)
{
    free(((struct lease_call *)call)->text);
}

static napi_value start(napi_env env, napi_callback_info info, void (*work)(lhn_call *call),
                        napi_value (*value)(napi_env env, lhn_call *call))
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    struct lease_call *call =
        lhn_call_new(env, sizeof *call, lhn_pointer(env, arguments[0]), arguments[1], work);
    call->call.value = value;
    call->call.free = free_call;
    call->lease = lhn_pointer(env, arguments[1]);
    call->text = lhn_text(env, arguments[2]);
    call->ttl_ms = lhn_number(env, arguments[2], 0);
    call->keep_ms = lhn_number(env, arguments[3], 0);
    return lhn_call_start(env, &call->call);
}

static void work_renew(lhn_call *call)
{
    struct lease_call *renew = (struct lease_call *)call;
    call->outcome = lh_lease_renew(renew->lease, renew->ttl_ms, NULL, &call->error);
}

/* (store, lease, ttl or undefined) */
napi_value lhn_renew(napi_env env, napi_callback_info info)
{
    return start(env, info, work_renew, NULL);
}

static void work_release(lhn_call *call)
{
    struct lease_call *release = (struct lease_call *)call;
    lh_release_options options = LH_RELEASE_OPTIONS_INIT;
    options.note = release->text;
    options.keep_ms = release->keep_ms;
    call->outcome = lh_lease_release_with(release->lease, &options, &call->error);
}

/* (store, lease, note or undefined, milliseconds to keep the key or undefined) */
napi_value lhn_release(napi_env env, napi_callback_info info)
{
    return start(env, info, work_release, NULL);
}

static void work_transfer(lhn_call *call)
{
    struct lease_call *transfer = (struct lease_call *)call;
    call->outcome = lh_lease_transfer(transfer->lease, transfer->text, transfer->id, &call->error);
}

static napi_value value_transfer(napi_env env, lhn_call *call)
{
    return lhn_text_value(env, ((struct lease_call *)call)->id);
}

/* (store, lease, to): the id of the new lease */
napi_value lhn_transfer(napi_env env, napi_callback_info info)
{
    return start(env, info, work_transfer, value_transfer);
}

static void work_note(lhn_call *call)
{
    struct lease_call *note = (struct lease_call *)call;
    call->outcome = lh_lease_note(note->lease, &note->note, &call->error);
}

static napi_value value_note(napi_env env, lhn_call *call)
{
    const lh_note *note = ((struct lease_call *)call)->note;
    return note ? lhn_note_value(env, note->text, note->token, note->at_ms) : lhn_undefined(env);
}

/* (store, lease): {text, token, at}, or undefined */
napi_value lhn_note(napi_env env, napi_callback_info info)
{
    return start(env, info, work_note, value_note);
}

/* ---- A lease of another process ---------------------------------------------------------------
 */

struct attach {
    lhn_call call;
    char *key, *id;
    int64_t ttl_ms;
    lh_lease *lease;
};

static void work_attach(lhn_call *call)
{
    struct attach *attach = (struct attach *)call;
    lh_store *store = call->store->store;
    call->outcome = lh_lease_attach(store, attach->key, attach->id, &attach->lease, &call->error);
    if (call->outcome == LH_OK)
        call->outcome = lh_lease_renew(attach->lease, attach->ttl_ms, NULL, &call->error);
    if (call->outcome == LH_OK)
        call->outcome = lh_lease_keep(attach->lease, &call->error);
}

static napi_value value_attach(napi_env env, lhn_call *call)
{
    struct attach *attach = (struct attach *)call;
    napi_value value = lhn_lease_value(env, attach->lease);
    attach->lease = NULL;
    return value;
}

static void free_attach(lhn_call *call)
{
    struct attach *attach = (struct attach *)call;
    free(attach->key);
    free(attach->id);
    lh_lease_free(attach->lease);
}

/* (store, key, id, ttl or undefined): a lease */
napi_value lhn_attach(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    lhn_store *store = lhn_pointer(env, arguments[0]);
    struct attach *attach = lhn_call_new(env, sizeof *attach, store, arguments[0], work_attach);
    attach->call.value = value_attach;
    attach->call.free = free_attach;
    attach->key = lhn_text(env, arguments[1]);
    attach->id = lhn_text(env, arguments[2]);
    attach->ttl_ms = lhn_number(env, arguments[3], 0);
    return lhn_call_start(env, &attach->call);
}

/* (lease): milliseconds; 0: it has ended */
napi_value lhn_remaining(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    const lh_lease *lease = lhn_pointer(env, arguments[0]);
    return lhn_number_value(env, lh_lease_valid(lease) ? lh_lease_remaining_ms(lease) : 0);
}

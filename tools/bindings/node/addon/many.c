/* SPDX-License-Identifier: Apache-2.0
 *
 * Acquires of several keys, and of a path with a wait: the library has no descriptor for them, so
 * each has a thread. */
#include "addon.h"

#include <stdlib.h>

struct many {
    lhn_apart apart;
    char **keys;
    size_t n;
    lhn_acquire_options options;
    lh_lease **leases; /* n of them, once they are granted */
};

static void work_many(lhn_call *call)
{
    struct many *many = (struct many *)call;
    lh_store *store = call->store->store;
    const lh_acquire_options *options = &many->options.options;
    call->outcome =
        many->n == 1
            ? lh_acquire(store, many->keys[0], options, many->leases, &call->record, &call->error)
            : lh_acquire_many(store, (const char *const *)many->keys, many->n, options,
                              many->leases, &call->record, &call->error);
}

static napi_value value_many(napi_env env, lhn_call *call)
{
    struct many *many = (struct many *)call;
    napi_value values;
    napi_create_array_with_length(env, many->n, &values);
    for (uint32_t i = 0; i < many->n; i++) {
        napi_set_element(env, values, i, lhn_lease_value(env, many->leases[i]));
        many->leases[i] = NULL;
    }
    return values;
}

static void free_many(lhn_call *call)
{
    struct many *many = (struct many *)call;
    for (size_t i = 0; i < many->n; i++)
        lh_lease_free(many->leases[i]);
    free(many->leases);
    lhn_texts_free(many->keys, many->n);
    lhn_acquire_options_free(&many->options);
    lhn_apart_free(&many->apart);
}

/* (store, keys, options, array): an array of leases. The array gets the handle for
 * lhn_apart_stop(). */
napi_value lhn_acquire_many(napi_env env, napi_callback_info info)
{
    napi_value arguments[LHN_ARGUMENTS];
    lhn_arguments(env, info, arguments);
    lhn_store *store = lhn_pointer(env, arguments[0]);
    struct many *many = lhn_apart_new(env, sizeof *many, store, arguments[0], work_many);
    many->apart.call.value = value_many;
    many->apart.call.free = free_many;
    many->keys = lhn_texts(env, arguments[1], &many->n);
    many->leases = calloc(many->n + 1, sizeof(lh_lease *));
    if (!many->leases)
        abort();
    lhn_acquire_options_read(env, arguments[2], &many->options);
    many->options.options.cancel = many->apart.cancel;
    return lhn_apart_start(env, &many->apart, arguments[3]);
}

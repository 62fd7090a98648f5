/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_client.h"

#include <mongoc/mongoc.h>

#include "base/clock.h"
#include "store/store_unanswered.h"

mongoc_client_t *lh_store_take(lh_store *store, const lh_call *call, bson_error_t *why)
{
    if (call->client)
        return call->client;
    mongoc_client_t *client = mongoc_client_pool_pop(store->pool);
    if (!client)
        lh_store_set_no_connection(why);
    if (!client || !call->slow)
        return client;
    mongoc_uri_t *uri = mongoc_uri_copy(mongoc_client_get_uri(client));
    mongoc_client_pool_push(store->pool, client);
    int64_t ms = call->deadline - lh_clock_ms();
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS,
                                   (int32_t)(ms > 1000 ? ms : 1000));
    client = mongoc_client_new_from_uri(uri);
    mongoc_uri_destroy(uri);
    if (!client)
        bson_set_error(why, MONGOC_ERROR_SERVER_SELECTION, 0, "out of memory");
    else
        mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
    return client;
}

void lh_store_give(lh_store *store, const lh_call *call, mongoc_client_t *client)
{
    if (!client || call->client)
        return;
    if (call->slow)
        mongoc_client_destroy(client);
    else
        mongoc_client_pool_push(store->pool, client);
}

mongoc_client_t *lh_store_reserve(lh_store *store)
{
    mongoc_client_t *client = mongoc_client_pool_pop(store->pool);
    bson_t *ping = BCON_NEW("ping", BCON_INT32(1));
    /* Connects it before it is needed. (And a client that never was makes the driver complain when
     * the pool ends its sessions.) */
    if (client)
        (void)mongoc_client_command_simple(client, "admin", ping, NULL, NULL, NULL);
    bson_destroy(ping);
    return client;
}

void lh_store_unreserve(lh_store *store, mongoc_client_t *client)
{
    if (client)
        mongoc_client_pool_push(store->pool, client);
}

mongoc_client_session_t *lh_store_session(mongoc_client_t *client)
{
    mongoc_session_opt_t *options = mongoc_session_opts_new();
    /* it would add to our read concerns */
    mongoc_session_opts_set_causal_consistency(options, false);
    mongoc_client_session_t *session = mongoc_client_start_session(client, options, NULL);
    mongoc_session_opts_destroy(options);
    return session;
}

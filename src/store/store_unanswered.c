/* SPDX-License-Identifier: Apache-2.0
 * Why a command was not answered. The driver says it in the domain and the code of its error; of a
 * server that it did not find it says only in sentences why, which are searched here. What it does
 * not say is added where a server is chosen, as codes of our own. */
#include "store/store_unanswered.h"

#include <mongoc/mongoc.h>
#include <string.h>

#include "store/store_refused.h"

/* In the domain MONGOC_ERROR_SERVER_SELECTION, where no code of the driver's is. */
enum { NO_CONNECTION = 1000001, NO_PRIMARY = 1000002 };

/* Has any server of the set been reached? */
static bool is_any_known(mongoc_client_t *client)
{
    size_t n, known = 0;
    mongoc_server_description_t **servers = mongoc_client_get_server_descriptions(client, &n);
    for (size_t i = 0; i < n; i++) {
        const char *type = mongoc_server_description_type(servers[i]);
        known += strcmp(type, "Unknown") != 0 && strcmp(type, "PossiblePrimary") != 0;
    }
    mongoc_server_descriptions_destroy_all(servers, n);
    return known > 0;
}

mongoc_server_description_t *lh_store_select(mongoc_client_t *client, bson_error_t *why)
{
    mongoc_server_description_t *server = mongoc_client_select_server(client, true, NULL, why);
    if (!server && why->domain == MONGOC_ERROR_SERVER_SELECTION && is_any_known(client))
        why->code = NO_PRIMARY;
    return server;
}

void lh_store_set_no_connection(bson_error_t *why)
{
    bson_set_error(why, MONGOC_ERROR_SERVER_SELECTION, NO_CONNECTION,
                   "all connections of the store are in use");
}

static int why_no_server(const bson_error_t *why)
{
    if (why->code == NO_CONNECTION)
        return LH_REASON_CONNECTIONS;
    if (why->code == NO_PRIMARY)
        return LH_REASON_NO_PRIMARY;
    if (strstr(why->message, "ailed to resolve") || strstr(why->message, "ailed to look up"))
        return LH_REASON_NO_ADDRESS;
    if (strstr(why->message, "TLS handshake failed"))
        return LH_REASON_HANDSHAKE;
    /* it accepts connections, perhaps; or the driver gave it up for a lost reply */
    return strstr(why->message, "timeout calling hello") ||
                   strstr(why->message, "socket error or timeout")
               ? LH_REASON_TIMED_OUT
               : LH_REASON_NO_SERVER;
}

int lh_store_why_unreachable(const bson_error_t *why)
{
    switch (why->domain) {
    case MONGOC_ERROR_SERVER:
        return lh_store_code_reason(why->code);
    case MONGOC_ERROR_SERVER_SELECTION:
        return why_no_server(why);
    case MONGOC_ERROR_STREAM:
        if (why->code == MONGOC_ERROR_STREAM_NAME_RESOLUTION)
            return LH_REASON_NO_ADDRESS;
        if (why->code == MONGOC_ERROR_STREAM_CONNECT ||
            why->code == MONGOC_ERROR_STREAM_NOT_ESTABLISHED)
            return LH_REASON_NO_SERVER;
        return LH_REASON_TIMED_OUT;
    default:
        return LH_REASON_TIMED_OUT;
    }
}

int lh_store_why_unknown(const bson_error_t *why)
{
    if (why->domain == MONGOC_ERROR_WRITE_CONCERN)
        return LH_REASON_NO_MAJORITY;
    return why->domain == MONGOC_ERROR_SERVER && lh_store_code_kind(why->code) == LH_CODE_OPEN
               ? LH_REASON_INTERRUPTED
               : LH_REASON_NO_REPLY;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "torture/client.h"

mongoc_client_t *client_new(const char *text, const char *app, int32_t patience_ms)
{
    bson_error_t ignored; /* it may quote a password */
    mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &ignored);
    mongoc_client_t *client = NULL;
    if (uri) {
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, patience_ms);
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, patience_ms);
        mongoc_uri_set_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, false);
        mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true);
        if (app)
            (void)mongoc_uri_set_appname(uri, app);
        client = mongoc_client_new_from_uri(uri);
    }
    mongoc_uri_destroy(uri);
    if (client)
        mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
    return client;
}

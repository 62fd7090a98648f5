/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/whoami.h"

#include <microhttpd.h>

#include "common/json.h"

void whoami_get(struct request *request)
{
    static const char *const words[] = {
        [MAY_LOOK_IN] = "look_in", [MAY_CALL] = "call", [MAY_BREAK] = "break"};
    const struct config *config = &request->server->config;
    char name[CLIENT_NAME_MAX + 1];
    bson_t json;
    clients_name(request->server->clients, request->client, name);
    json_init(&json, NULL);
    json_text(&json, "version", lh_version());
    json_text(&json, "may", words[request->may]);
    json_text(&json, "name", name);
    bson_append_bool(&json, "needs_token", -1, auth_needs_token(request->server->auth));
    bson_append_bool(&json, "breaks", -1, config->admin_token_file && config->may_break);
    answer_json(request, MHD_HTTP_OK, &json);
}

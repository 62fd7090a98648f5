/* SPDX-License-Identifier: Apache-2.0
 * What is served as it is. embed.cmake writes the arrays. */
#include "assets.h"

extern const unsigned char asset_openapi_json[];
extern const size_t asset_openapi_json_len;

void assets_openapi(struct request *request)
{
    answer_static(request, "application/json", asset_openapi_json, asset_openapi_json_len);
}

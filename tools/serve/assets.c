/* SPDX-License-Identifier: Apache-2.0
 * The static files. embed.cmake writes the arrays. */
#include "serve/assets.h"

#include <microhttpd.h>
#include <string.h>

#define HTML "text/html; charset=utf-8"
#define CSS  "text/css; charset=utf-8"
#define JS   "text/javascript; charset=utf-8"
#define SVG  "image/svg+xml"

/* name in the path, name of the array, type */
#define FILES(X)                                                                                   \
    X("api.js", api_js, JS)                                                                        \
    X("app.js", app_js, JS)                                                                        \
    X("clock.js", clock_js, JS)                                                                    \
    X("detail.js", detail_js, JS)                                                                  \
    X("dialogs.js", dialogs_js, JS)                                                                \
    X("dom.js", dom_js, JS)                                                                        \
    X("feed.js", feed_js, JS)                                                                      \
    X("icon.svg", icon_svg, SVG)                                                                   \
    X("index.html", index_html, HTML)                                                              \
    X("leases.js", leases_js, JS)                                                                  \
    X("link.js", link_js, JS)                                                                      \
    X("order.js", order_js, JS)                                                                    \
    X("style.css", style_css, CSS)                                                                 \
    X("table.js", table_js, JS)

#define DECLARE(file, array, type)                                                                 \
    extern const unsigned char asset_dashboard_##array[];                                          \
    extern const size_t asset_dashboard_##array##_len;                                             \
    extern const char asset_dashboard_##array##_etag[];
FILES(DECLARE)

extern const unsigned char asset_openapi_json[];
extern const size_t asset_openapi_json_len;
extern const char asset_openapi_json_etag[];

static const struct {
    const char *name, *type;
    const unsigned char *bytes;
    const size_t *len;
    const char *etag;
} files[] = {
#define ENTRY(file, array, type)                                                                   \
    {file, type, asset_dashboard_##array, &asset_dashboard_##array##_len,                          \
     asset_dashboard_##array##_etag},
    FILES(ENTRY)
#undef ENTRY
};

static void answer_file(struct request *request, const char *name)
{
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (strcmp(files[i].name, name) == 0) {
            answer_static(request, files[i].type, files[i].bytes, *files[i].len, files[i].etag);
            return;
        }
    }
    answer_failure(request, MHD_HTTP_NOT_FOUND, "not_found", "the dashboard has no such file");
}

void assets_openapi(struct request *request)
{
    answer_static(request, "application/json", asset_openapi_json, asset_openapi_json_len,
                  asset_openapi_json_etag);
}

void assets_page(struct request *request)
{
    answer_file(request, "index.html");
}

void assets_file(struct request *request)
{
    answer_file(request, request->key);
}

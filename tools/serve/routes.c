/* SPDX-License-Identifier: Apache-2.0
 * The table of routes, and the checks that a request passes before anything is done for it,
 * cheapest first. */
#include "serve/routes.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "serve/acquire.h"
#include "serve/assets.h"
#include "serve/busy.h"
#include "serve/connections.h"
#include "serve/events.h"
#include "serve/health.h"
#include "serve/leases.h"
#include "serve/list.h"
#include "serve/listen.h"
#include "serve/reports.h"
#include "serve/scrape.h"
#include "serve/sessions.h"
#include "serve/uri.h"
#include "serve/whoami.h"

/* An argument with a * may be there more than once. */
static const char *const list_arguments[] = {"prefix",    "owner", "limit", "expired",
                                             "malformed", "all",   "key*",  NULL};
static const char *const events_arguments[] = {"prefix", NULL};
static const char *const audit_arguments[] = {"key", "since", NULL};
static const char *const busy_arguments[] = {"after", NULL};

const struct route routes[] = {
    {"GET", "/v1/leases", MAY_CALL, BY_WORKER_IF_HEARD, false, list_get, list_arguments,
     list_admit},
    {"POST", "/v1/leases", MAY_CALL, BY_WORKER_IF_HEARD, true, acquire_post, NULL, acquire_admit},
    {"GET", "/v1/leases/{key}", MAY_CALL, BY_WORKER_IF_HEARD, false, leases_status, NULL, NULL},
    {"POST", "/v1/leases/{key}", MAY_CALL, BY_WORKER_IF_HEARD, true, acquire_post, NULL,
     acquire_admit},
    {"PATCH", "/v1/leases/{key}", MAY_CALL, BY_WORKER, true, leases_renew, NULL, NULL},
    {"DELETE", "/v1/leases/{key}", MAY_CALL, BY_WORKER, true, leases_release, NULL, NULL},
    {"GET", "/v1/leases/{key}/session", MAY_CALL, BY_WORKER_IF_HEARD, false, sessions_get, NULL,
     sessions_admit},
    {"POST", "/v1/leases/{key}/transfer", MAY_CALL, BY_WORKER, true, leases_transfer, NULL, NULL},
    {"POST", "/v1/leases/{key}/break", MAY_BREAK, BY_WORKER, true, leases_break, NULL, NULL},
    {"GET", "/v1/events", MAY_CALL, BY_SERVER, false, events_get, events_arguments, NULL},
    {"GET", "/v1/busy", MAY_CALL, BY_SERVER, false, busy_get, busy_arguments, NULL},
    {"GET", "/v1/stats", MAY_CALL, BY_WORKER_IF_HEARD, false, reports_stats, NULL, reports_admit},
    {"GET", "/v1/audit", MAY_CALL, BY_WORKER_IF_HEARD, false, reports_audit, audit_arguments,
     reports_admit},
    {"GET", "/v1/whoami", MAY_LOOK_IN, BY_SERVER, false, whoami_get, NULL, NULL},
    {"GET", "/metrics", MAY_CALL, BY_SERVER, false, scrape_get, NULL, NULL},
    {"GET", "/healthz", MAY_LOOK_IN, BY_SERVER, false, health_alive, NULL, NULL},
    {"GET", "/readyz", MAY_LOOK_IN, BY_SERVER, false, health_ready, NULL, NULL},
    {"GET", "/openapi.json", MAY_LOOK_IN, BY_SERVER, false, assets_openapi, NULL, NULL},
    {"GET", "/", MAY_LOOK_IN, BY_SERVER, false, assets_page, NULL, NULL},
    {"GET", "/dashboard/{file}", MAY_LOOK_IN, BY_SERVER, false, assets_file, NULL, NULL},
    {0},
};

/* Does the path have the pattern's form? *ret_key, *ret_len: what stands for {key} or {file}. */
static bool matches(const char *pattern, const char *path, const char **ret_key, size_t *ret_len)
{
    const char *hole = strchr(pattern, '{');
    if (!hole)
        return strcmp(pattern, path) == 0;
    size_t before = (size_t)(hole - pattern);
    if (strncmp(pattern, path, before) != 0)
        return false;
    *ret_key = path + before;
    *ret_len = strcspn(*ret_key, "/");
    return strcmp(*ret_key + *ret_len, strchr(hole, '}') + 1) == 0;
}

/* The methods that a path has: "GET, POST". "" for none. */
static void list_methods(const char *path, char allow[64])
{
    const char *key;
    size_t len, used = 0;
    allow[0] = '\0';
    for (const struct route *route = routes; route->method; route++) {
        if (matches(route->path, path, &key, &len) && used < 64)
            used +=
                (size_t)snprintf(allow + used, 64 - used, "%s%s", used ? ", " : "", route->method);
    }
}

/* HEAD is GET without the body, which libmicrohttpd leaves out. */
static bool method_is(const struct request *request, const char *method)
{
    return strcmp(request->method, method) == 0 ||
           (strcmp(request->method, "HEAD") == 0 && strcmp(method, "GET") == 0);
}

static bool find(struct request *request, const char *path)
{
    const char *key = NULL;
    size_t len = 0;
    bool known = false;
    for (const struct route *route = routes; route->method && !request->route; route++) {
        if (!matches(route->path, path, &key, &len))
            continue;
        known = true;
        if (method_is(request, route->method))
            request->route = route;
    }
    if (!known) {
        answer_failure(request, MHD_HTTP_NOT_FOUND, "not_found",
                       "there is nothing at this path; /openapi.json lists all paths. A '/' in a "
                       "key is written %%2F");
        return false;
    }
    if (!request->route) {
        char allow[64];
        list_methods(path, allow);
        answer_not_allowed(request, allow);
        return false;
    }
    lh_error error = LH_ERROR_INIT;
    if (key && !uri_decode(key, len, request->key, sizeof request->key)) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                       "the key in the path has a %% without two hexadecimal digits, a NUL, or "
                       "more than %d bytes",
                       LH_KEY_MAX);
        return false;
    }
    if (key && lh_key_check(request->key, strlen(request->key), &error) != LH_OK) {
        answer_outcome(request, &error);
        return false;
    }
    return true;
}

/* Otherwise a page of another site, whose name was made to resolve to our address (DNS rebinding),
 * could call us in the user's name. */
static bool is_for_us(struct request *request)
{
    if (auth_needs_token(request->server->auth) || !listen_by_address(request->server->listener))
        return true;
    const char *host = request_header(request, "Host");
    if (host && listen_is_loopback_name(host))
        return true;
    answer_failure(request, MHD_HTTP_MISDIRECTED_REQUEST, "host",
                   "without --token-file the server serves only requests whose Host header names "
                   "localhost, 127.0.0.1 or [::1]");
    return false;
}

/* Finds the client: by its token, else by its address. */
static bool is_known(struct request *request)
{
    struct server *server = request->server;
    request->client = auth_client(server->auth, request_header(request, "Authorization"));
    if (!request->client)
        request->client = clients_of_address(server->clients, request->address);
    if (!request->client) {
        answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "out of memory");
        return false;
    }
    int result = connections_belong(server->connections, request->held_by, request->client);
    if (result == SHARE_TAKEN)
        return true;
    request->closes = true;
    request_refuse(request, SHARE_CONNECTIONS, result);
    return false;
}

static bool is_small(struct request *request)
{
    const char *length = request_header(request, "Content-Length");
    if (request->uri_len > MOST_URI) {
        answer_failure(request, MHD_HTTP_URI_TOO_LONG, "uri",
                       "the path and the arguments have more than %d bytes", MOST_URI);
        return false;
    }
    if (request_head_size(request) > MOST_HEADERS) {
        answer_failure(request, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, "headers",
                       "the headers have more than %d bytes", MOST_HEADERS);
        return false;
    }
    if (length && strtoull(length, NULL, 10) > MOST_BODY) {
        answer_failure(request, MHD_HTTP_CONTENT_TOO_LARGE, "body",
                       "the body has more than %d bytes", MOST_BODY);
        return false;
    }
    return true;
}

static bool has_body(const struct request *request)
{
    const char *length = request_header(request, "Content-Length");
    return (length && strtoull(length, NULL, 10) > 0) ||
           request_header(request, "Transfer-Encoding");
}

static bool is_json(struct request *request)
{
    const char *type = request_header(request, "Content-Type");
    static const char json[] = "application/json";
    if (!has_body(request))
        return true;
    if (!request->route->body) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid", "%s takes no body here",
                       request->method);
        return false;
    }
    if (type && strncasecmp(type, json, sizeof json - 1) == 0 &&
        strchr("; \t", type[sizeof json - 1]))
        return true;
    answer_failure(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "media_type",
                   "the body must be Content-Type: application/json");
    return false;
}

bool routes_admit(struct request *request, const char *path)
{
    if (!is_small(request) || !is_for_us(request) || !is_known(request) || !find(request, path) ||
        !request_may(request) || !is_json(request))
        return false;
    char unknown[64];
    if (!request_knows_arguments(request, request->route->arguments, unknown)) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                       "there is no argument \"%s\" here, or it is given twice", unknown);
        return false;
    }
    return true;
}

static void work(struct job *job)
{
    struct request *request = JOB_OWNER(job, struct request);
    if (request->route->by == BY_WORKER_IF_HEARD && request_gone(request))
        answer_failure(request, MHD_HTTP_REQUEST_TIMEOUT, "gone",
                       "the client has closed its connection"); /* for the log */
    else if (request_may(request)) /* the tokens may have been read again meanwhile */
        request->route->handle(request);
}

void routes_run(struct request *request)
{
    const struct route *route = request->route;
    if (route->by == BY_SERVER)
        route->handle(request);
    else if (!route->admit || route->admit(request))
        (void)request_work(request, work);
}

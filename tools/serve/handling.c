/* SPDX-License-Identifier: Apache-2.0
 * The first steps of handlers; each step answers the request itself if it fails. */
#include <microhttpd.h>
#include <string.h>

#include "serve/request.h"
#include "serve/routes.h"
#include "serve/uri.h"
#include "serve/waits.h"

bool request_decode(struct request *request, const char *name, char *out, size_t size,
                    bool *ret_given)
{
    const char *raw = request_argument(request, name);
    *ret_given = raw != NULL;
    if (!raw ||
        (uri_decode(raw, strlen(raw), out, size) && bson_utf8_validate(out, strlen(out), false)))
        return true;
    answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                   "%s must be percent-encoded UTF-8 of at most %zu bytes", name, size - 1);
    return false;
}

enum { MOST_ASKED = 60 }; /* of MOST_ARGUMENTS */

struct search {
    struct request *request;
    const char *name;
    struct texts *texts;
    bool good;
};

static enum MHD_Result take_one(void *arg, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    struct search *search = arg;
    char text[LH_KEY_MAX + 1];
    (void)kind;
    if (strcmp(name, search->name) != 0)
        return MHD_YES;
    search->good = search->texts->n < MOST_ASKED && value &&
                   uri_decode(value, strlen(value), text, sizeof text) &&
                   lh_key_check(text, strlen(text), NULL) == LH_OK &&
                   texts_add(search->texts, text);
    return search->good ? MHD_YES : MHD_NO;
}

bool request_decode_all(struct request *request, const char *name, struct texts *texts)
{
    struct search search = {request, name, texts, true};
    (void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, take_one, &search);
    if (!search.good)
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                       "%s must be a percent-encoded key, and may be given %d times", name,
                       MOST_ASKED);
    return search.good;
}

bool request_ttl_fits(struct request *request, int64_t ttl_ms)
{
    int64_t most_ms = request->server->config.max_ttl_ms;
    if (ttl_ms <= most_ms)
        return true;
    answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                   "\"ttl_ms\" is more than %lld, the longest that this server grants (--max-ttl)",
                   (long long)most_ms);
    return false;
}

void request_refuse(struct request *request, enum share share, int why)
{
    static const struct {
        const char *code, *what;
    } words[SHARES] = {
        [SHARE_REQUESTS] = {"too_many_requests", "requests"},
        [SHARE_WAITS] = {"too_many_waits", "requests that wait for a key"},
        [SHARE_EVENTS] = {"too_many_streams", "streams of events"},
        [SHARE_LISTS] = {"too_many_lists", "long lists"},
        [SHARE_SESSIONS] = {"too_many_sessions", "sessions"},
        [SHARE_CONNECTIONS] = {"too_many_connections", "connections"},
    };
    if (why == SHARE_OVER)
        answer_failure(request, MHD_HTTP_TOO_MANY_REQUESTS, words[share].code,
                       "your client has %u %s open, the most that one client may have",
                       clients_most(request->server->clients, share), words[share].what);
    else
        answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "overloaded",
                       "this server has too many %s open", words[share].what);
}

bool request_take(struct request *request, enum share share)
{
    int result = clients_take(request->server->clients, request->client, share);
    if (result != SHARE_TAKEN) {
        request_refuse(request, share, result);
        return false;
    }
    request->shares |= 1U << share;
    request->admitted = true;
    return true;
}

void request_give(struct request *request)
{
    for (unsigned share = 0; share < SHARES; share++) {
        if (request->shares & 1U << share)
            clients_give(request->server->clients, request->client, (enum share)share);
    }
    request->shares = 0;
}

void request_revoke(struct request *request)
{
    answer_failure(request, MHD_HTTP_UNAUTHORIZED, "unauthorized",
                   "send a token of this server: Authorization: Bearer TOKEN");
}

bool request_may(struct request *request)
{
    request->may = (enum may)atomic_load(&request->client->may);
    if (request->may >= request->route->needs)
        return true;
    if (request->may == MAY_LOOK_IN)
        request_revoke(request);
    else
        answer_failure(
            request, MHD_HTTP_FORBIDDEN, "forbidden",
            "only an admin's token may do this: the server reads them from its --admin-token-file");
    return false;
}

bool request_work(struct request *request, void (*run)(struct job *job))
{
    if (!request->admitted && !request_take(request, SHARE_REQUESTS))
        return false;
    request->job.run = run;
    request_suspend(request);
    bool waits = request->wanted && request->wanted->wait_ms > 0;
    work_push(request->server->work, waits ? &request->client->waits : &request->client->calls,
              &request->job);
    return true;
}

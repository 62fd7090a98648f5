/* SPDX-License-Identifier: Apache-2.0
 * Answers: JSON, problems (RFC 9457), and the headers that all of them have. */
#include <inttypes.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/objects.h"
#include "serve/request.h"
#include "serve/routes.h"

/* Browsers must not frame our pages, guess their type, or run scripts from other sites; the
 * dashboard makes no markup out of strings. */
static const struct {
    const char *name, *value;
} common[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for "
     "'script'; trusted-types 'none'"},
};

static void give(struct request *request, unsigned status, const char *type,
                 struct MHD_Response *response)
{
    if (response && type)
        (void)MHD_add_response_header(response, "Content-Type", type);
    if (response) /* a reply with an ETag may be cached, and is revalidated */
        (void)MHD_add_response_header(response, "Cache-Control",
                                      MHD_get_response_header(response, "ETag") ? "no-cache"
                                                                                : "no-store");
    for (size_t i = 0; response && i < sizeof common / sizeof common[0]; i++)
        (void)MHD_add_response_header(response, common[i].name, common[i].value);
    request->status = status;
    request->response = response; /* NULL: the connection is closed */
    if (request->suspended) {
        request->suspended = false;
        MHD_resume_connection(request->connection);
    }
}

void answer_text(struct request *request, unsigned status, const char *type, char *text, size_t len)
{
    struct MHD_Response *response =
        text ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response)
        free(text);
    give(request, status, type, response);
}

void answer_static(struct request *request, const char *type, const void *bytes, size_t len,
                   const char *etag)
{
    /* Persistent memory is only read: the interface has no const. */
    union {
        const void *in;
        void *out;
    } memory = {.in = bytes};
    const char *known = request_header(request, "If-None-Match");
    bool same = known && strstr(known, etag);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(same ? 0 : len, memory.out, MHD_RESPMEM_PERSISTENT);
    if (response)
        (void)MHD_add_response_header(response, "ETag", etag);
    give(request, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, same ? NULL : type, response);
}

void answer_pieces(struct request *request, const char *type, struct MHD_Response *response)
{
    give(request, MHD_HTTP_OK, type, response);
}

void answer_stream(struct request *request, struct MHD_Response *response)
{
    request->streams = true;
    give(request, MHD_HTTP_OK, "text/event-stream", response);
}

static struct MHD_Response *response_of(bson_t *json)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to) {
        bson_destroy(json);
        return NULL;
    }
    json_write(to, json);
    fputc('\n', to);
    struct MHD_Response *response =
        fclose(to) == 0 ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response)
        free(text);
    return response;
}

void answer_json(struct request *request, unsigned status, bson_t *json)
{
    struct MHD_Response *response = response_of(json);
    if (response && status == MHD_HTTP_CREATED && strchr(request->route->path, '{'))
        (void)MHD_add_response_header(response, "Location", request->path);
    give(request, status, "application/json", response);
}

static const char *title_of(unsigned status)
{
    switch (status) {
    case MHD_HTTP_LOCKED:
        return "Locked";
    case MHD_HTTP_CONTENT_TOO_LARGE:
        return "Content Too Large";
    default:
        return MHD_get_reason_phrase_for(status);
    }
}

void problem_init(bson_t *json, unsigned status, const char *code, const char *outcome,
                  const char *detail)
{
    char type[64];
    (void)snprintf(type, sizeof type, "urn:leasehold:problem:%s", code);
    bson_init(json);
    json_text(json, "type", type);
    json_text(json, "title", title_of(status));
    json_number(json, "status", status);
    json_text(json, "detail", detail);
    json_number(json, "v", 1);
    json_text(json, "outcome", outcome);
    json_text(json, "code", code);
}

void answer_problem(struct request *request, unsigned status, bson_t *json, int64_t retry_ms)
{
    struct MHD_Response *response = response_of(json);
    if (response && retry_ms > 0) {
        char seconds[24];
        (void)snprintf(seconds, sizeof seconds, "%" PRId64, (retry_ms + 999) / 1000);
        (void)MHD_add_response_header(response, "Retry-After", seconds);
    }
    if (response && status == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"leasehold\"");
    give(request, status, "application/problem+json", response);
}

/* For a shortage that is temporary. */
static int64_t retry_of(unsigned status)
{
    bool soon = status == MHD_HTTP_SERVICE_UNAVAILABLE || status == MHD_HTTP_GATEWAY_TIMEOUT ||
                status == MHD_HTTP_TOO_MANY_REQUESTS;
    return soon ? 1000 : 0;
}

void answer_failure(struct request *request, unsigned status, const char *code, const char *format,
                    ...)
{
    char detail[512];
    bson_t json;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    problem_init(&json, status, code, "error", detail);
    answer_problem(request, status, &json, retry_of(status));
}

void answer_not_allowed(struct request *request, const char *allow)
{
    char detail[128];
    bson_t json;
    (void)snprintf(detail, sizeof detail, "this path takes %s", allow);
    problem_init(&json, MHD_HTTP_METHOD_NOT_ALLOWED, "method", "error", detail);
    struct MHD_Response *response = response_of(&json);
    if (response)
        (void)MHD_add_response_header(response, "Allow", allow);
    give(request, MHD_HTTP_METHOD_NOT_ALLOWED, "application/problem+json", response);
}

unsigned problem_status(int outcome)
{
    switch (outcome) {
    case LH_BUSY:
        return MHD_HTTP_LOCKED;
    case LH_LOST:
        return MHD_HTTP_GONE;
    case LH_INVALID:
        return MHD_HTTP_BAD_REQUEST;
    case LH_DATA: /* held, until an operator breaks it */
        return MHD_HTTP_CONFLICT;
    case LH_UNKNOWN:
        return MHD_HTTP_GATEWAY_TIMEOUT;
    case LH_SERVER: /* the database refuses, and would refuse again: an operator must change
                     something there
                     */
    case LH_CONFIG:
    case LH_DENIED: /* this server's own user, not the client's */
        return MHD_HTTP_BAD_GATEWAY;
    case LH_UNREACHABLE:
    case LH_MEMORY:
    case LH_CANCELLED:
    case LH_CLOSED:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

void answer_outcome(struct request *request, const lh_error *error)
{
    bson_t json;
    unsigned status = problem_status(error->code);
    problem_init(&json, status, lh_outcome_word(error->code), "error",
                 *error->message ? error->message : lh_outcome_sentence(error->code));
    object_append_reason(&json, error);
    answer_problem(request, status, &json, retry_of(status));
}

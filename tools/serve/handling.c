/* SPDX-License-Identifier: Apache-2.0
 * What handlers begin with; each answers the request where it cannot. */
#include <microhttpd.h>
#include <string.h>

#include "request.h"
#include "uri.h"

bool request_decode(struct request *request, const char *name, char *out, size_t size, bool *ret_given)
{
    const char *raw = request_argument(request, name);
    *ret_given = raw != NULL;
    if (!raw || (uri_decode(raw, strlen(raw), out, size) && bson_utf8_validate(out, strlen(out), false)))
        return true;
    answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid", "%s must be percent-encoded UTF-8 of at most %zu bytes",
                   name, size - 1);
    return false;
}

bool request_work(struct request *request, void (*run)(struct job *job))
{
    request->job.run = run;
    request_suspend(request);
    if (work_push(request->server->work, &request->job))
        return true;
    answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "overloaded", "too many requests wait for the database");
    return false;
}

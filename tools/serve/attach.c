/* SPDX-License-Identifier: Apache-2.0
 * A lease id is received in the header Lease-Id, and sent only in the reply to the client that was
 * granted the lease. */
#include "serve/attach.h"

#include <microhttpd.h>
#include <string.h>

#include "common/json.h"
#include "common/objects.h"

lh_lease *attach_lease(struct request *request)
{
    lh_lease *lease = NULL;
    lh_error error = LH_ERROR_INIT;
    const char *id = request_header(request, "Lease-Id");
    if (!id) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                       "which lease? Send the lease id in the header Lease-Id");
        return NULL;
    }
    if (strlen(id) != LH_LEASE_ID_LEN || strspn(id, "0123456789abcdef") != LH_LEASE_ID_LEN) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                       "Lease-Id must be %d digits of lower-case hexadecimal", LH_LEASE_ID_LEN);
        return NULL;
    }
    if (lh_lease_attach(request->server->store, request->key, id, &lease, &error) == LH_OK)
        return lease;
    answer_outcome(request, &error);
    return NULL;
}

void attach_lost(struct request *request, unsigned status, const char *outcome,
                 const lh_record *record, const lh_error *error)
{
    bson_t json;
    problem_init(&json, status, outcome, outcome, error->message);
    json_text(&json, "key", request->key);
    object_append_reason(&json, error);
    if (record)
        object_append_holders(&json, record);
    answer_problem(request, status, &json, 0);
}

void attach_not_renewed(struct request *request, int code, const lh_record *record,
                        const lh_error *error)
{
    if (code == LH_LOST)
        attach_lost(request, MHD_HTTP_GONE, "lost", record, error);
    else
        answer_outcome(request, error);
}

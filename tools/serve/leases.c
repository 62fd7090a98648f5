/* SPDX-License-Identifier: Apache-2.0
 * A lease id comes in the header Lease-Id and goes out in the answer to who was granted it; nowhere else. */
#include "leases.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "../objects.h"
#include "body.h"
#include "metrics.h"
#include "sessions.h"

lh_lease *leases_attach(struct request *request)
{
    lh_lease *lease = NULL;
    lh_error error;
    const char *id = request_header(request, "Lease-Id");
    if (!id) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid", "which lease? Send its id in the header Lease-Id");
        return NULL;
    }
    if (strlen(id) != LH_LEASE_ID_LEN || strspn(id, "0123456789abcdef") != LH_LEASE_ID_LEN) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid", "Lease-Id must be %d digits of lower-case hexadecimal",
                       LH_LEASE_ID_LEN);
        return NULL;
    }
    if (lh_lease_attach(request->server->store, request->key, id, &lease, &error) == LH_OK)
        return lease;
    answer_outcome(request, &error);
    return NULL;
}

/* Lost: who holds the key now, where that is known. */
static void answer_lost(struct request *request, unsigned status, const char *outcome, const lh_record *record,
                        const lh_error *error)
{
    bson_t json;
    problem_init(&json, status, outcome, outcome, error->message);
    json_text(&json, "key", request->key);
    if (record)
        object_append_holders(&json, record);
    answer_problem(request, status, &json, 0);
}

void leases_answer_renewal(struct request *request, int code, const lh_record *record, const lh_error *error)
{
    if (code == LH_LOST)
        answer_lost(request, MHD_HTTP_GONE, "lost", record, error);
    else
        answer_outcome(request, error);
}

void leases_renew(struct request *request)
{
    int64_t ttl_ms = 0;
    const struct field fields[] = {{"ttl_ms", NULL, 0, &ttl_ms}};
    if (!body_read(request, fields, 1))
        return;
    lh_lease *lease = leases_attach(request);
    if (!lease)
        return;
    lh_record *record = NULL;
    lh_error error;
    int code = lh_lease_renew(lease, ttl_ms, &record, &error);
    metrics_outcome(request->server->metrics, METRICS_RENEW, code);
    if (code == LH_OK) {
        bson_t json;
        object_lease(&json, "renewed", lease, NULL);
        answer_json(request, MHD_HTTP_OK, &json);
    } else {
        leases_answer_renewal(request, code, record, &error);
    }
    lh_record_free(record);
    lh_lease_free(lease);
}

void leases_release(struct request *request)
{
    lh_lease *lease = leases_attach(request);
    if (!lease)
        return;
    lh_error error;
    int code = lh_lease_release(lease, &error);
    metrics_outcome(request->server->metrics, METRICS_RELEASE, code);
    if (code == LH_OK) {
        bson_t json;
        sessions_released(request->server->sessions, lh_lease_id(lease));
        json_init(&json, "released");
        json_text(&json, "key", request->key);
        answer_json(request, MHD_HTTP_OK, &json);
    } else if (code == LH_LOST) {
        answer_lost(request, MHD_HTTP_CONFLICT, "not_holder", NULL, &error);
    } else {
        answer_outcome(request, &error);
    }
    lh_lease_free(lease);
}

void leases_status(struct request *request)
{
    lh_record *record = NULL;
    lh_error error;
    int code = lh_status(request->server->store, request->key, &record, &error);
    metrics_outcome(request->server->metrics, METRICS_LOOK, code);
    if (code == LH_OK) {
        bson_t json;
        object_status(&json, record);
        answer_json(request, MHD_HTTP_OK, &json);
    } else {
        answer_outcome(request, &error);
    }
    lh_record_free(record);
}

void leases_break(struct request *request)
{
    char reason[LH_TEXT_MAX + 1], by[LH_OWNER_MAX + 1];
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    const struct field fields[] = {
        {"reason", reason, sizeof reason, NULL}, {"by", by, sizeof by, NULL}, {"token", NULL, 0, &options.token}};
    if (!request->server->config.may_break) {
        answer_failure(request, MHD_HTTP_FORBIDDEN, "protected", "LEASEHOLD_PROTECT forbids break on this server");
        return;
    }
    reason[0] = by[0] = '\0';
    if (!body_read(request, fields, sizeof fields / sizeof fields[0]))
        return;
    if (!*reason) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                       "\"reason\" is missing: it is stored with the key, for whoever is hit by it");
        return;
    }
    lh_record *record = NULL;
    lh_error error;
    options.reason = reason;
    options.by = *by ? by : NULL;
    int code = lh_break(request->server->store, request->key, &options, &record, &error);
    metrics_outcome(request->server->metrics, METRICS_BREAK, code);
    if (code == LH_OK) {
        bson_t json;
        json_init(&json, "broken");
        json_text(&json, "key", request->key);
        object_append_holders(&json, record);
        answer_json(request, MHD_HTTP_OK, &json);
    } else if (code == LH_LOST) {
        answer_lost(request, MHD_HTTP_CONFLICT, "not_held", NULL, &error);
    } else {
        answer_outcome(request, &error);
    }
    lh_record_free(record);
}

/* ---- giving back ---- */

struct gift {
    struct job job;
    struct server *server;
    char key[LH_KEY_MAX + 1], lease_id[LH_LEASE_ID_LEN + 1];
};

static void give_back(struct job *job)
{
    struct gift *gift = JOB_OWNER(job, struct gift);
    lh_lease *lease = NULL;
    if (lh_lease_attach(gift->server->store, gift->key, gift->lease_id, &lease, NULL) == LH_OK)
        (void)lh_lease_release(lease, NULL); /* it ends with its ttl else */
    lh_lease_free(lease);
    explicit_bzero(gift->lease_id, sizeof gift->lease_id);
    free(gift);
}

void leases_give_back(struct server *server, const char *key, const char *lease_id)
{
    struct gift *gift = calloc(1, sizeof *gift);
    if (!gift)
        return; /* it ends with its ttl */
    gift->job.run = give_back;
    gift->server = server;
    strcpy(gift->key, key);
    strcpy(gift->lease_id, lease_id);
    work_push_always(server->work, &gift->job);
}

/* SPDX-License-Identifier: Apache-2.0
 * One call of the library each. */
#include "serve/leases.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/objects.h"
#include "common/transfer.h"
#include "serve/attach.h"
#include "serve/body.h"
#include "serve/metrics.h"
#include "serve/sessions.h"

void leases_renew(struct request *request)
{
    int64_t ttl_ms = 0;
    const struct field fields[] = {FIELD_NUMBER("ttl_ms", &ttl_ms)};
    if (!body_read(request, fields, 1) || !request_ttl_fits(request, ttl_ms))
        return;
    lh_lease *lease = attach_lease(request);
    if (!lease)
        return;
    lh_record *record = NULL;
    lh_error error = LH_ERROR_INIT;
    int code = lh_lease_renew(lease, ttl_ms, &record, &error);
    metrics_outcome(request->server->metrics, METRICS_RENEW, code);
    if (code == LH_OK) {
        bson_t json;
        object_lease(&json, "renewed", lease, NULL);
        answer_json(request, MHD_HTTP_OK, &json);
    } else {
        attach_not_renewed(request, code, record, &error);
    }
    lh_record_free(record);
    lh_lease_free(lease);
}

void leases_release(struct request *request)
{
    char note[LH_TEXT_MAX + 1] = "";
    lh_release_options options = LH_RELEASE_OPTIONS_INIT;
    const struct field fields[] = {FIELD_TEXT("note", note),
                                   FIELD_NUMBER("keep_ms", &options.keep_ms)};
    options.note = note;
    if (!body_read(request, fields, sizeof fields / sizeof fields[0]))
        return;
    lh_lease *lease = attach_lease(request);
    if (!lease)
        return;
    lh_error error = LH_ERROR_INIT;
    int code = lh_lease_release_with(lease, &options, &error);
    metrics_outcome(request->server->metrics, METRICS_RELEASE, code);
    if (code == LH_OK) {
        bson_t json;
        sessions_released(request->server->sessions, lh_lease_id(lease));
        json_init(&json, "released");
        json_text(&json, "key", request->key);
        answer_json(request, MHD_HTTP_OK, &json);
    } else if (code == LH_LOST) {
        attach_lost(request, MHD_HTTP_GONE, "not_holder", NULL, &error);
    } else {
        answer_outcome(request, &error);
    }
    lh_lease_free(lease);
}

/* The new lease goes to the client, who gives its id to the new owner. */
void leases_transfer(struct request *request)
{
    char to[LH_OWNER_MAX + 1] = "";
    const struct field fields[] = {FIELD_TEXT("to", to)};
    if (!body_read(request, fields, 1))
        return;
    if (!*to) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                       "\"to\" is missing: the name of the new owner");
        return;
    }
    lh_lease *old = attach_lease(request), *lease = NULL;
    if (!old)
        return;
    lh_error error = LH_ERROR_INIT;
    int code = transfer_lease(request->server->store, old, to, &lease, &error);
    metrics_outcome(request->server->metrics, METRICS_TRANSFER, code);
    if (code == LH_OK) {
        bson_t json;
        strcpy(request->lease_id, lh_lease_id(lease));
        object_lease(&json, "granted", lease, to);
        answer_json(request, MHD_HTTP_OK, &json);
    } else if (code == LH_LOST) {
        attach_lost(request, MHD_HTTP_GONE, "lost", NULL, &error);
    } else {
        answer_outcome(request, &error);
    }
    lh_lease_free(lease);
    lh_lease_free(old);
}

void leases_status(struct request *request)
{
    lh_record *record = NULL;
    lh_error error = LH_ERROR_INIT;
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

/* Who broke it: what the caller says, and the name of the token, which is no claim. */
static void sign(const struct request *request,
                 char by[LH_OWNER_MAX + CLIENT_NAME_MAX + sizeof " ()"])
{
    char name[CLIENT_NAME_MAX + 1];
    clients_name(request->server->clients, request->client, name);
    size_t len = strlen(by);
    if (*name && *name != '#')
        (void)snprintf(by + len, CLIENT_NAME_MAX + sizeof " ()", *by ? " (%s)" : "%s", name);
}

void leases_break(struct request *request)
{
    char reason[LH_TEXT_MAX + 1], by[LH_OWNER_MAX + CLIENT_NAME_MAX + sizeof " ()"];
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    const struct field fields[] = {FIELD_TEXT("reason", reason),
                                   {"by", by, LH_OWNER_MAX + 1, NULL, NULL, NULL},
                                   FIELD_NUMBER("token", &options.token)};
    if (!request->server->config.may_break) {
        answer_failure(request, MHD_HTTP_FORBIDDEN, "protected",
                       "LEASEHOLD_PROTECT forbids break on this server");
        return;
    }
    reason[0] = by[0] = '\0';
    if (!body_read(request, fields, sizeof fields / sizeof fields[0]))
        return;
    if (!*reason) {
        answer_failure(
            request, MHD_HTTP_BAD_REQUEST, "invalid",
            "\"reason\" is missing: it is stored with the key, and the former holder can read it");
        return;
    }
    lh_record *record = NULL;
    lh_error error = LH_ERROR_INIT;
    options.reason = reason;
    sign(request, by);
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
        attach_lost(request, MHD_HTTP_CONFLICT, "not_held", NULL, &error);
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

void leases_give_back(struct server *server, struct client *client, const char *key,
                      const char *lease_id)
{
    struct gift *gift = calloc(1, sizeof *gift);
    if (!gift)
        return; /* it ends with its ttl */
    gift->job.run = give_back;
    gift->server = server;
    strcpy(gift->key, key);
    strcpy(gift->lease_id, lease_id);
    work_push(server->work, &client->calls, &gift->job);
}

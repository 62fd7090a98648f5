/* SPDX-License-Identifier: Apache-2.0
 * A lease id comes in the header Lease-Id and goes out in the answer to who was granted it; nowhere else. */
#include "leases.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "../objects.h"
#include "../text.h"
#include "body.h"
#include "metrics.h"

/* The handle on the lease that the header names; NULL: it was answered. */
static lh_lease *attach(struct request *request)
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

void leases_renew(struct request *request)
{
    int64_t ttl_ms = 0;
    const struct field fields[] = {{"ttl_ms", NULL, 0, &ttl_ms}};
    if (!body_read(request, fields, 1))
        return;
    lh_lease *lease = attach(request);
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
    } else if (code == LH_LOST) {
        answer_lost(request, MHD_HTTP_GONE, "lost", record, &error);
    } else {
        answer_outcome(request, &error);
    }
    lh_record_free(record);
    lh_lease_free(lease);
}

void leases_release(struct request *request)
{
    char note[LH_TEXT_MAX + 1] = "";
    lh_release_options options = LH_RELEASE_OPTIONS_INIT;
    const struct field fields[] = {{"note", note, sizeof note, NULL}};
    options.note = note;
    if (!body_read(request, fields, 1))
        return;
    lh_lease *lease = attach(request);
    if (!lease)
        return;
    lh_error error;
    int code = lh_lease_release_with(lease, &options, &error);
    metrics_outcome(request->server->metrics, METRICS_RELEASE, code);
    if (code == LH_OK) {
        bson_t json;
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

/* ---- the list ---- */

struct list {
    FILE *to;
    uint64_t n, limit;
    bool truncated;
};

static int add(void *arg, const lh_record *record)
{
    struct list *list = arg;
    bson_t json;
    if (list->n == list->limit) {
        list->truncated = true;
        return 1;
    }
    if (list->n++ > 0)
        fputs(",\n", list->to);
    object_status(&json, record);
    json_write(list->to, &json);
    return 0;
}

/* true or false; anything else is answered. */
static bool read_flag(struct request *request, const char *name, bool *ret_flag)
{
    char text[8] = "";
    bool given;
    if (!request_decode(request, name, text, sizeof text, &given))
        return false;
    *ret_flag = strcmp(text, "true") == 0;
    if (!given || *ret_flag || strcmp(text, "false") == 0)
        return true;
    answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid", "%s must be true or false", name);
    return false;
}

static bool read_limit(struct request *request, uint64_t *ret_limit)
{
    char text[24] = "";
    bool given;
    int64_t limit = LISTED_DEFAULT;
    if (!request_decode(request, "limit", text, sizeof text, &given))
        return false;
    if (given && (!text_number(text, &limit) || limit < 1 || limit > MOST_LISTED)) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid", "limit must be 1 to %d", MOST_LISTED);
        return false;
    }
    *ret_limit = (uint64_t)limit;
    return true;
}

static void answer_list(struct request *request, const lh_list_options *options, uint64_t limit)
{
    char *text = NULL;
    size_t len = 0;
    lh_error error;
    struct list list = {.to = open_memstream(&text, &len), .limit = limit};
    if (!list.to) {
        answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "out of memory");
        return;
    }
    fputs("{\"v\":1,\"leases\":[", list.to);
    int code = lh_list(request->server->store, options, add, &list, &error);
    metrics_outcome(request->server->metrics, METRICS_LOOK, code == LH_STOPPED ? LH_OK : code);
    fprintf(list.to, "],\"truncated\":%s}\n", list.truncated ? "true" : "false");
    bool whole = fclose(list.to) == 0;
    if (whole && (code == LH_OK || code == LH_STOPPED)) {
        answer_text(request, MHD_HTTP_OK, "application/json", text, len);
        return;
    }
    free(text);
    if (whole)
        answer_outcome(request, &error);
    else
        answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "out of memory");
}

void leases_list(struct request *request)
{
    char prefix[LH_KEY_MAX + 1], owner[LH_OWNER_MAX + 1];
    bool has_prefix, has_owner;
    uint64_t limit;
    lh_list_options options = LH_LIST_OPTIONS_INIT;
    if (!request_decode(request, "prefix", prefix, sizeof prefix, &has_prefix) ||
        !request_decode(request, "owner", owner, sizeof owner, &has_owner) || !read_limit(request, &limit) ||
        !read_flag(request, "expired", &options.expired) || !read_flag(request, "malformed", &options.malformed) ||
        !read_flag(request, "all", &options.free_too))
        return;
    options.prefix = has_prefix ? prefix : NULL;
    options.owner = has_owner ? owner : NULL;
    options.limit = limit + 1; /* to know whether there are more */
    answer_list(request, &options, limit);
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

/* SPDX-License-Identifier: Apache-2.0
 * What operators ask for: counts, and the trail. */
#include "serve/reports.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/objects.h"
#include "common/stats.h"
#include "common/text.h"
#include "serve/metrics.h"

bool reports_admit(struct request *request)
{
    return request_take(request, SHARE_LISTS);
}

void reports_stats(struct request *request)
{
    lh_stats_report *report = NULL;
    lh_error error = LH_ERROR_INIT;
    int code = lh_stats(request->server->store, NULL, &report, &error);
    metrics_outcome(request->server->metrics, METRICS_LOOK, code);
    if (code == LH_OK) {
        bson_t json;
        stats_object(&json, report);
        answer_json(request, MHD_HTTP_OK, &json);
    } else {
        answer_outcome(request, &error);
    }
    lh_stats_free(report);
}

struct trail {
    FILE *to;
    size_t n, limit;
    bool truncated;
};

static int add_entry(void *arg, const lh_audit_entry *entry)
{
    struct trail *trail = arg;
    bson_t json;
    trail->truncated = trail->n == trail->limit;
    if (trail->truncated)
        return 1;
    if (trail->n++ > 0)
        fputs(",\n", trail->to);
    object_audit(&json, entry);
    json_write(trail->to, &json);
    return 0;
}

/* False: it was answered. */
static bool read_arguments(struct request *request, lh_audit_options *options,
                           char key[LH_KEY_MAX + 1])
{
    char since[24];
    bool given;
    if (!request_decode(request, "key", key, LH_KEY_MAX + 1, &given))
        return false;
    options->key = given ? key : NULL;
    if (!request_decode(request, "since", since, sizeof since, &given))
        return false;
    if (!given || text_duration(since, &options->since_ms))
        return true;
    answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                   "since must be a duration: 30s, 5m, 2h or 7d");
    return false;
}

void reports_audit(struct request *request)
{
    char key[LH_KEY_MAX + 1], *text = NULL;
    size_t len;
    lh_error error = LH_ERROR_INIT;
    lh_audit_options options = LH_AUDIT_OPTIONS_INIT;
    if (!read_arguments(request, &options, key))
        return;
    struct trail trail = {.to = open_memstream(&text, &len), .limit = LISTED_DEFAULT};
    int code = LH_MEMORY;
    if (trail.to) {
        fputs("{\"v\":1,\"entries\":[", trail.to);
        code = lh_audit(request->server->store, &options, add_entry, &trail, &error);
        fprintf(trail.to, "],\"truncated\":%s}\n", trail.truncated ? "true" : "false");
    }
    bool whole = trail.to && fclose(trail.to) == 0;
    bool read = code == LH_OK || (code == LH_STOPPED && trail.truncated);
    metrics_outcome(request->server->metrics, METRICS_LOOK, read ? LH_OK : code);
    if (whole && read) {
        answer_text(request, MHD_HTTP_OK, "application/json", text, len);
        return;
    }
    free(text);
    if (read || !trail.to)
        answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "out of memory");
    else
        answer_outcome(request, &error);
}

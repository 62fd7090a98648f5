/* SPDX-License-Identifier: Apache-2.0
 * Counts keys, holders and waiters. The server counts (protocol/answers.lp), so a large collection
 * costs this process nothing. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/options.h"
#include "lease/lease.h"
#include "lease/lease_look.h"
#include "protocol/pipeline.h"
#include "store/store.h"
#include "store/store_contact.h"
#include "store/store_run.h"

#define TIMEOUT_MIN_MS 100
#define TIMEOUT_MAX_MS 3600000

static uint64_t number_of(const bson_t *counted, const char *field)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, counted, field) ? (uint64_t)bson_iter_as_int64(&value) : 0;
}

static const char *text_of(const bson_t *counted, const char *path)
{
    bson_iter_t top, value;
    return bson_iter_init(&top, counted) && bson_iter_find_descendant(&top, path, &value) &&
                   BSON_ITER_HOLDS_UTF8(&value)
               ? bson_iter_utf8(&value, NULL)
               : NULL;
}

static int64_t date_of(const bson_t *counted, const char *path)
{
    bson_iter_t top, value;
    return bson_iter_init(&top, counted) && bson_iter_find_descendant(&top, path, &value) &&
                   BSON_ITER_HOLDS_DATE_TIME(&value)
               ? bson_iter_date_time(&value)
               : 0;
}

/* The report and the document of the reply that owns its strings. */
typedef struct {
    lh_stats_report report;
    bson_t *counted;
} box;

static lh_since since_of(const bson_t *counted, const char *key, const char *owner, const char *at)
{
    const char *name = text_of(counted, owner);
    return (lh_since){
        .key = text_of(counted, key), .owner = name ? name : "", .at_ms = date_of(counted, at)};
}

static lh_stats_report *read_report(const bson_t *reply)
{
    box *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    bson_t counted;
    /* the collection has no document */
    b->counted = lh_reply_first(reply, &counted) ? bson_copy(&counted) : bson_new();
    const bson_t *c = b->counted;
    b->report =
        (lh_stats_report){.documents = number_of(c, "documents"),
                          .exclusive = number_of(c, "exclusive"),
                          .shared = number_of(c, "shared"),
                          .malformed = number_of(c, "malformed"),
                          .free = number_of(c, "free"),
                          .expired = number_of(c, "expired"),
                          .shared_holders = number_of(c, "readers"),
                          .queues = number_of(c, "queues"),
                          .waiters = number_of(c, "waiters"),
                          .oldest = since_of(c, "oldest.key", "oldest.owner", "oldest.at"),
                          .longest_wait = since_of(c, "longest.key", "longest.owner", "longest.at"),
                          .now_ms = date_of(c, "now")};
    return &b->report;
}

int lh_stats(lh_store *store, const lh_stats_options *options, lh_stats_report **ret_report,
             lh_error *error)
{
    lh_stats_options used;
    int outcome = lh_store_check(store, error);
    if (outcome == LH_OK)
        outcome = lh_stats_options_take(&used, options, error);
    if (outcome == LH_OK && (used.timeout_ms < TIMEOUT_MIN_MS || used.timeout_ms > TIMEOUT_MAX_MS))
        outcome = lh_fail(error, LH_INVALID, "timeout_ms is %lld: it must be 100 to 3,600,000",
                          (long long)used.timeout_ms);
    if (outcome == LH_OK)
        outcome = lh_store_contact(store, lh_store_deadline(store, 0), error);
    if (outcome != LH_OK)
        return outcome;
    bson_t command = BSON_INITIALIZER, reply;
    lh_vars vars = lh_lease_vars(store, "", "");
    lh_pipeline_stats(store->pipelines, store->collection, &vars, &command);
    lh_call call = {.what = "count the keys",
                    .command = &command,
                    .deadline = lh_store_deadline(store, used.timeout_ms),
                    .kind = LH_CALL_READ,
                    .slow = true};
    outcome = lh_store_run(store, &call, &reply, NULL, error);
    lh_stats_report *report = outcome == LH_OK ? read_report(&reply) : NULL;
    if (report)
        *ret_report = report;
    else if (outcome == LH_OK)
        outcome = lh_fail_memory(error);
    bson_destroy(&command);
    bson_destroy(&reply);
    return outcome;
}

void lh_stats_free(lh_stats_report *report)
{
    if (!report)
        return;
    bson_destroy(((box *)report)->counted);
    free(report);
}

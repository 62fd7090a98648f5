/* SPDX-License-Identifier: Apache-2.0
 * What lh_stats() counts, as JSON. */
#include "common/stats.h"

#include <stddef.h>

#include "common/json.h"

const struct stats_number stats_numbers[STATS_NUMBERS] = {
#define AT(field) offsetof(lh_stats_report, field)
    {"exclusive", "exclusive", "keys", "held exclusively", AT(exclusive)},
    {"shared", "shared", "keys", "shared", AT(shared)},
    {"malformed", "malformed", "keys", "cannot be read, so held", AT(malformed)},
    {"free", "free", "keys", "free", AT(free)},
    {"expired", "expired", "keys", "past their end, not taken over", AT(expired)},
    {"shared_holders", NULL, "shared_holders", "holders of shared keys", AT(shared_holders)},
    {"queues", NULL, "queues", "keys with waiters", AT(queues)},
    {"waiters", NULL, "waiters", "waiters", AT(waiters)},
#undef AT
};
uint64_t stats_value(const lh_stats_report *report, const struct stats_number *number)
{
    return *(const uint64_t *)(const void *)((const char *)report + number->at);
}

int64_t stats_age_ms(const lh_stats_report *report, const lh_since *since)
{
    return since->key && report->now_ms > since->at_ms ? report->now_ms - since->at_ms : 0;
}

static void append_since(bson_t *json, const char *name, const lh_stats_report *report,
                         const lh_since *since)
{
    bson_t item;
    if (!since->key) {
        json_text(json, name, NULL);
        return;
    }
    bson_append_document_begin(json, name, -1, &item);
    json_text(&item, "key", since->key);
    json_text(&item, "owner", since->owner);
    json_time(&item, "since", since->at_ms, 0);
    json_number(&item, "age_ms", stats_age_ms(report, since));
    bson_append_document_end(json, &item);
}

void stats_object(bson_t *json, const lh_stats_report *report)
{
    json_init(json, NULL);
    json_number(json, "documents", (int64_t)report->documents);
    json_number(json, "held", (int64_t)(report->exclusive + report->shared + report->malformed));
    for (size_t i = 0; i < STATS_NUMBERS; i++)
        json_number(json, stats_numbers[i].json, (int64_t)stats_value(report, &stats_numbers[i]));
    append_since(json, "oldest", report, &report->oldest);
    append_since(json, "longest_wait", report, &report->longest_wait);
}

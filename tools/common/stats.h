/* SPDX-License-Identifier: Apache-2.0
 * What lh_stats() counts, for all who print it. */
#ifndef COMMON_STATS_H
#define COMMON_STATS_H

#include <bson/bson.h>
#include <leasehold/leasehold.h>

/* Each plain number, once: its names, and its description. The numbers with a state are one
 * metric. */
struct stats_number {
    const char *json, *state, *metric, *words;
    size_t at;
};
enum { STATS_NUMBERS = 8 };
extern const struct stats_number stats_numbers[STATS_NUMBERS];

uint64_t stats_value(const lh_stats_report *report, const struct stats_number *number);
/* How long that has lasted; 0: nothing has. */
int64_t stats_age_ms(const lh_stats_report *report, const lh_since *since);

/* Begins the object of the report. */
void stats_object(bson_t *json, const lh_stats_report *report);

#endif

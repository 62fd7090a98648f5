/* SPDX-License-Identifier: Apache-2.0
 * Chooses the document of a key that stays, and gives the reason. Pure.
 *
 * The rule: the newest expires_at stays. Values of all types are compared as instants. One that is
 * null, missing or unreadable counts as the oldest. Among equal ones, the highest _id stays. The
 * result does not depend on the order in which documents are read, so every run, also one after a
 * crash, chooses the same document. */
#include "migrate/migrate_judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "migrate/migrate_order.h"
#include "migrate/migrate_parts.h"
#include "protocol/doc.h"
#include "protocol/doc_instant.h"

void lh_document_view(const uint8_t *data, bson_t *ret_document)
{
    uint32_t len;
    memcpy(&len, data, sizeof len);
    if (!bson_init_static(ret_document, data, BSON_UINT32_FROM_LE(len)))
        bson_init(ret_document); /* impossible: it is part of a checked reply */
}

const char *lh_document_key(const bson_t *document, uint32_t *ret_len)
{
    bson_iter_t value;
    if (!bson_iter_init_find(&value, document, "workspace_id") || !BSON_ITER_HOLDS_UTF8(&value))
        return NULL;
    return bson_iter_utf8(&value, ret_len);
}

/* true: the end can be read; it is *ret_ms. */
static bool end_of(const bson_t *document, int64_t *ret_ms)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, document, "expires_at") && lh_doc_instant(&value, ret_ms);
}

void lh_document_id_text(const bson_t *document, char *ret_text, size_t size)
{
    static const char before[] = "{ \"_id\" : ", after[] = " }";
    bson_t only = BSON_INITIALIZER;
    bson_iter_t id;
    char *json = NULL;
    if (bson_iter_init_find(&id, document, "_id") && bson_append_iter(&only, "_id", -1, &id))
        json = bson_as_relaxed_extended_json(&only, NULL);
    size_t len = json ? strlen(json) : 0;
    if (len > sizeof before + sizeof after - 2) {
        json[len - (sizeof after - 1)] = '\0';
        (void)snprintf(ret_text, size, "%s", json + sizeof before - 1);
        lh_cut_utf8(ret_text, size - 1);
    } else {
        (void)snprintf(ret_text, size, "(unreadable)");
    }
    bson_free(json);
    bson_destroy(&only);
}

void lh_group_init(lh_group *group)
{
    *group = (lh_group){0};
    bson_init(&group->best);
}

void lh_group_fini(lh_group *group)
{
    bson_destroy(&group->best);
}

void lh_group_clear(lh_group *group)
{
    lh_group_fini(group);
    lh_group_init(group);
}

const char *lh_group_key(const lh_group *group, uint32_t *ret_len)
{
    return group->count > 0 ? lh_document_key(&group->best, ret_len) : NULL;
}

/* Whether the document has a higher _id than the best one. */
static bool is_higher(const bson_t *document, const bson_t *best)
{
    bson_iter_t a, b;
    if (!bson_iter_init_find(&a, document, "_id") || !bson_iter_init_find(&b, best, "_id"))
        return false;
    return lh_migrate_order(&a, &b) > 0;
}

void lh_group_add(lh_group *group, const bson_t *document)
{
    int64_t ms = 0;
    bool ends = end_of(document, &ms), better = true;
    if (group->count > 0) {
        bool tie = ends == group->best_ends && (!ends || ms == group->best_ms);
        bool newer = ends && (!group->best_ends || ms > group->best_ms);
        better = newer || (tie && is_higher(document, &group->best));
        group->ties = newer ? 1 : group->ties + (tie ? 1 : 0);
    } else {
        group->ties = 1;
    }
    group->count++;
    group->readable += ends ? 1 : 0;
    if (!better)
        return;
    bson_destroy(&group->best);
    bson_copy_to(document, &group->best);
    group->best_ends = ends;
    group->best_ms = ms;
}

/* "2026-03-01T10:00:00.000Z", or the number if the calendar cannot represent it. */
static void instant_text(int64_t ms, char *ret_text, size_t size)
{
    int64_t rest = ms % 1000;
    if (rest < 0)
        rest += 1000;
    time_t seconds = (time_t)((ms - rest) / 1000);
    struct tm parts;
    char day[32];
    if (gmtime_r(&seconds, &parts) && strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts) > 0)
        (void)snprintf(ret_text, size, "%s.%03dZ", day, (int)rest);
    else
        (void)snprintf(ret_text, size, "%" PRId64 " ms", ms);
}

void lh_group_report(const lh_group *group, const lh_migration *m)
{
    if (!m->options->verdict || group->count < 2)
        return;
    char survivor[160], reason[256], end[48];
    lh_document_id_text(&group->best, survivor, sizeof survivor);
    if (!group->best_ends) {
        (void)snprintf(reason, sizeof reason,
                       "none of %" PRIu64 " documents has a readable end; it has the highest _id",
                       group->count);
    } else {
        instant_text(group->best_ms, end, sizeof end);
        int len = snprintf(reason, sizeof reason, "expires_at %s is the newest of %" PRIu64, end,
                           group->count);
        if (group->readable < group->count)
            len +=
                snprintf(reason + len, sizeof reason - (size_t)len,
                         " (%" PRIu64 " without a readable end)", group->count - group->readable);
        if (group->ties > 1)
            (void)snprintf(reason + len, sizeof reason - (size_t)len,
                           "; of the %" PRIu64 " that have it, this one has the highest _id",
                           group->ties);
    }
    const char *key = lh_group_key(group, NULL);
    lh_verdict verdict = {
        .key = key ? key : "", .survivor = survivor, .reason = reason, .losers = group->count - 1};
    m->options->verdict(m->options->verdict_arg, &verdict);
}
